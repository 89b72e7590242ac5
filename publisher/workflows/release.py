"""The main job: plan, push by digest, verify, promote, settle, record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from publisher.model.attestation import SignOptions
from publisher.model.errors import (
    ExactTagTaken,
    Interrupted,
    Refused,
    UsageError,
)
from publisher.model.manifest import Content, Manifest
from publisher.model.plan import Action, Kind
from publisher.model.protocols import StoredImage
from publisher.model.receipt import State
from publisher.model.value import Value
from publisher.planning.plan import ReleasedContent, make_plan
from publisher.registry.answers import BlobUnknown
from publisher.transfer.compression import Compression
from publisher.workflows.checkout import check_tree
from publisher.workflows.content.copy import carry
from publisher.workflows.content.layer_hints import earlier_releases
from publisher.workflows.content.receipt_artifact import file_receipt
from publisher.workflows.content.send import Pushed, Shipping, prove_nothing, push
from publisher.workflows.content.sources import check_revision, chosen_sources
from publisher.workflows.hub import create_missing, describe_after_release, prove_push, refuse_frozen
from publisher.workflows.plan import draft as make_draft
from publisher.workflows.plan import draft_without_secrets, sign_draft, with_signing
from publisher.workflows.proof import prove_release
from publisher.workflows.record import Run, RunRecord, RunStart, earlier_run, now, planned_changes
from publisher.workflows.tagging.local_copies import warn_of_stale_copies
from publisher.workflows.tagging.promotion import Promotion, end_early, kept_manifests
from publisher.workflows.tagging.writer import TagWriter
from publisher.workflows.verify import level_of, refuse_unreadable, take_inventory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from publisher.model.digest import Digest
    from publisher.model.plan import Plan
    from publisher.model.receipt import Receipt
    from publisher.model.reference import TagReference
    from publisher.receipts.journal import JournalEntry
    from publisher.workflows.destination import Destination
    from publisher.workflows.jobs import Job, PlanOptions, ReleaseDraft
    from publisher.workflows.plan import SavedPlans
    from publisher.workflows.session import Session

_UNDECIDED = (Kind.EXACT, Kind.REF)


class ReleaseOptions(Value, frozen=True, kw_only=True):
    """How a release is done. `verify` None means: by pull where an engine is at hand, else by digest.

    saved: the plans to carry out exactly, or not at all. early_tag: whether a registry that takes no manifest by
    digest gets it under the exact tag at once, before anything is proven. build: whether `[build]` makes the image,
    whatever source is configured. dry_run: nothing is made, sent or written.
    """

    build: bool = False
    dry_run: bool = False
    via: str = "auto"
    verify: str | None = None
    smoke: bool = True
    allow_dirty: bool = False
    compression: Compression | None = None
    pull_local: bool = False
    receipt: Path | None = None
    saved: SavedPlans | None = None
    early_tag: bool = False
    sign: SignOptions = SignOptions()


def prepare(
    session: Session, job: Job, wish: PlanOptions, sources: Sequence[str], options: ReleaseOptions
) -> ReleaseDraft:
    """Plan and preflight: everything that can be refused is refused here, before anything is sent."""
    return with_signing(session, draft_release(session, job, wish, sources, options), options.sign)


def draft_release(
    session: Session, job: Job, wish: PlanOptions, sources: Sequence[str], options: ReleaseOptions
) -> ReleaseDraft:
    """As `prepare`, before anybody is asked for a key's password."""
    if job.settings.smoke and options.smoke:
        from publisher.workflows.smoke.run import running_of

        # Preflight: an image that can't be run here must not be found out after it was sent.
        running_of(session, job.settings.smoke, "image")
        session.engine.about()
    named = sources or [job.settings.source or ""]
    # What is in a registry already was not made from this tree.
    if options.build or not all(name.startswith("docker://") for name in named):
        check_tree(session, allow_dirty=options.allow_dirty, dry_run=options.dry_run)
    names = _named_or_built(session, job, wish, sources, options)
    draft = (draft_without_secrets if options.dry_run else make_draft)(session, job, wish, names or ())
    check_revision(draft.sources, draft.plan.revision, allow=options.allow_dirty)
    if options.saved and not any(source.is_recompressed for source in draft.sources):
        options.saved.hold(job.name, draft.plan)
    if not all(isinstance(source.image, StoredImage) for source in draft.sources):
        compression = _compression(job, options)
        compression.check()
        smokes = bool(job.settings.smoke) and options.smoke
        refuse_unreadable(session, compression, level_of(session, options.verify), smokes=smokes)
    refuse_frozen(session, draft)
    return draft


def _named_or_built(
    session: Session, job: Job, wish: PlanOptions, sources: Sequence[str], options: ReleaseOptions
) -> tuple[str, ...] | None:
    """What a release takes: its arguments, else `source`, else what `[build]` builds; with `--build` always that.

    None stands for what a dry run doesn't build. Raises UsageError where a source is named and a build is asked for.
    """
    if options.build and sources:
        raise UsageError("--build builds the image that is released, and a source is named too")
    if not is_built(session, job, sources, options):
        return chosen_sources(sources, job.settings.source)
    from publisher.workflows.build import built_source

    if not options.dry_run:
        _preflight(session, job, wish, options)
    with session.time_limit.suspend():
        return built_source(session, job, wish, options.compression, via=options.via, dry_run=options.dry_run)


def is_built(session: Session, job: Job, sources: Sequence[str], options: ReleaseOptions) -> bool:
    """Whether a release of the image begins with its build."""
    is_named = bool(sources) or (bool(job.settings.source) and not options.build)
    return not is_named and bool(options.build or job.settings.build or session.settings.build)


def _preflight(session: Session, job: Job, wish: PlanOptions, options: ReleaseOptions) -> None:
    """Nobody waits for a build that can't be released."""
    draft = make_draft(session, job, wish, ())
    if options.saved and not any(source.is_recompressed for source in draft.sources):
        options.saved.hold(job.name, draft.plan)
    refuse(draft.plan)
    refuse_frozen(session, draft)
    if _writes(draft.plan):
        prove_push(session, draft)


def refuse(plan: Plan) -> None:
    """Raise for a plan that can't be carried out."""
    if plan.refusals:
        first = plan.refusals[0]
        hint = "release a new version; --force overwrites exact tags"
        raise ExactTagTaken(
            f"{first.reference} can't be released: {first.reason}", reference=first.reference, hint=hint
        )
    if not plan.moves:
        raise Refused("the plan gives no tag", hint="name a version with --version, or tag the commit in git")


def release(session: Session, draft: ReleaseDraft, options: ReleaseOptions) -> Run:
    """Carry out a draft that was not refused. Errors before the first tag raise; later ones come with the receipt."""
    started = now()
    with _open_entry(session, draft) as entry:
        try:
            return _carry_out(session, draft, options, entry, started)
        except (Exception, Interrupted) as error:
            run = end_early(session, draft, entry, started, options.receipt, error)
            if run is None:
                raise
            return run


def _carry_out(
    session: Session, draft: ReleaseDraft, options: ReleaseOptions, entry: JournalEntry, started: str
) -> Run:
    content, via, adopted = _bring(session, draft, options)
    draft = replace(draft, plan=_final_plan(draft, content))
    if options.saved and not any(source.is_recompressed for source in draft.sources):
        options.saved.hold(draft.job.name, draft.plan)
    refuse(draft.plan)
    smokes = bool(draft.job.settings.smoke) and options.smoke
    proof = prove_release(session, draft, content, level_of(session, options.verify), smokes=smokes)
    signatures = sign_draft(session, draft, content)
    inventory = proof.inventory or take_inventory(session, draft.destinations[0].remote, content)
    start = RunStart(
        command="release",
        started=started,
        content=content,
        config=inventory.config,
        platforms=_platforms(draft, content),
        size=inventory.size,
        verification=proof.verification,
        plan=draft.plan,
        via=via,
        adopted=adopted,
        signatures=signatures,
        manifests=kept_manifests(draft, content, adopted=adopted),
    )
    earlier = earlier_run(session, draft.plan, content.digest)
    record = RunRecord(session, start, planned_changes(draft.plan), options.receipt, earlier)
    return _promote(session, draft, content, TagWriter(session, record, entry), options, proof.free)


def _open_entry(session: Session, draft: ReleaseDraft) -> JournalEntry:
    images = [str(repository) for repository in draft.job.repositories]
    identities = [source.key for source in draft.sources]
    return session.journal.open([*sorted(images), draft.plan.version or "", *identities])


def _final_plan(draft: ReleaseDraft, content: Content) -> Plan:
    known = draft.known or ReleasedContent()
    plan = make_plan(draft.candidates, draft.published, replace(known, digest=content.digest))
    return replace(plan, signing=draft.plan.signing)


# Push.


def _bring(session: Session, draft: ReleaseDraft, options: ReleaseOptions) -> tuple[Content, str | None, bool]:
    """The content in every repository: adopted where an exact tag has it, else pushed by digest."""
    holder = _holder(draft)
    if holder is not None:
        return _adopt(session, draft, *holder)
    session.parallel(lambda destination: create_missing(session, draft, destination), draft.destinations)
    if options.early_tag:
        _allow_early_tags(draft)
    session.progress.step(f"push     {', '.join(str(source.name) for source in draft.sources)}")
    pushed = _send(session, draft, options, prove=lambda: prove_push(session, draft, sends=True))
    session.progress.step(f"pushed   {pushed.content.digest} ({pushed.via})")
    return pushed.content, pushed.via, False


def _allow_early_tags(draft: ReleaseDraft) -> None:
    """Only a tag that doesn't exist yet may be written early: nobody can rely on it."""
    for destination in draft.destinations:
        new = (move for move in draft.plan.moves if move.kind is Kind.EXACT and move.action is Action.CREATE)
        own = (move.reference.tag for move in new if move.reference.repository == destination.repository)
        destination.remote.early_tag = next(own, None)


def _send(
    session: Session, draft: ReleaseDraft, options: ReleaseOptions, prove: Callable[[], None] = prove_nothing
) -> Pushed:
    compression, annotations = _compression(draft.job, options), dict(draft.plan.annotations)
    is_explicit = options.compression is not None or compression != Compression()
    how = Shipping(options.via, compression, annotations, earlier_releases(draft), is_explicit, prove)
    return push(session, draft.sources, [destination.remote for destination in draft.destinations], how)


def _compression(job: Job, options: ReleaseOptions) -> Compression:
    return options.compression or Compression(job.settings.transfer.compression, job.settings.transfer.level)


def _holder(draft: ReleaseDraft) -> tuple[Destination, Digest] | None:
    """A repository that has the same image under an exact tag of this release already."""
    if draft.known is None:
        return None
    destinations = {destination.repository: destination for destination in draft.destinations}
    for move in draft.plan.moves:
        fits = move.kind in _UNDECIDED and move.action is Action.UNCHANGED
        if fits and move.before and draft.known.is_image(move.before):
            return destinations[move.reference.repository], move.before
    return None


def _adopt(
    session: Session, draft: ReleaseDraft, holder: Destination, digest: Digest
) -> tuple[Content, str | None, bool]:
    content = holder.remote.get(digest)
    session.progress.step(f"adopted  {digest}: the same image is there already")
    writing = {move.reference.repository for move in draft.plan.moves if move.action.writes}

    def bring(other: Destination) -> None:
        if other.remote.head(digest) is None:
            carry(session, holder.remote, content, other.remote)

    others = [other for other in draft.destinations if other.repository in writing and other is not holder]
    session.parallel(bring, others)
    return content, None, True


# Promote, settle, record.


def _promote(
    session: Session,
    draft: ReleaseDraft,
    content: Content,
    writer: TagWriter,
    options: ReleaseOptions,
    free: frozenset[TagReference],
) -> Run:
    if not _writes(draft.plan):
        return writer.record.as_planned()
    promotion = Promotion(session, draft, content, writer, free)

    def work() -> None:
        _write_exact(session, draft, promotion, options)
        promotion.floating()

    run = writer.finish(work)
    if run.error is None:
        writer.follow_up(lambda: _follow_up(session, draft, content, run.receipt, pull=options.pull_local))
    return run


def _follow_up(session: Session, draft: ReleaseDraft, content: Content, receipt: Receipt, *, pull: bool) -> None:
    session.progress.step(f"promoted {_tally(receipt)}")
    if draft.job.settings.tags.record:
        file_receipt(session, receipt, content, [destination.remote for destination in draft.destinations])
    describe_after_release(session, draft.job)
    warn_of_stale_copies(session, receipt, draft.destinations, content=content, pull=pull)


def _write_exact(session: Session, draft: ReleaseDraft, promotion: Promotion, options: ReleaseOptions) -> None:
    """Registries collect what no tag holds: content that has gone before its first tag is sent once more."""
    try:
        promotion.exact()
    except BlobUnknown:
        if promotion.is_under_way:
            raise
        session.progress.warn("the registry has lost some of the content: sending it again")
        _send(session, draft, options)
        promotion.exact()


def _tally(receipt: Receipt) -> str:
    done = sum(change.state is State.DONE for change in receipt.moves)
    return f"{done} of {len(receipt.moves)} tags written"


def _writes(plan: Plan) -> bool:
    return any(move.action.writes for move in plan.moves)


def _platforms(draft: ReleaseDraft, content: Content) -> tuple[str, ...]:
    if isinstance(content, Manifest):
        return (str(draft.sources[0].platform),)
    return tuple(str(entry.platform) for entry in content.images if entry.platform)

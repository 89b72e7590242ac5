"""The main job: plan, push by digest, verify, promote, settle, record."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from publisher.model.attestation import SignOptions
from publisher.model.digest import Digest
from publisher.model.errors import (
    DirtyTree,
    ExactTagTaken,
    Incomplete,
    Interrupted,
    PublishError,
    Refused,
    UsageError,
    VerificationFailed,
)
from publisher.model.manifest import Content, Manifest
from publisher.model.plan import Action, Kind
from publisher.model.protocols import StoredImage
from publisher.model.receipt import State, Verification
from publisher.model.reference import Reference
from publisher.model.value import Value
from publisher.planning.plan import Known, make_plan
from publisher.registry.answers import BlobUnknown
from publisher.transfer.compression import Compression
from publisher.workflows.content.copy import carry
from publisher.workflows.content.layer_hints import earlier_releases
from publisher.workflows.content.receipt_artifact import file_receipt
from publisher.workflows.content.send import Pushed, Shipping, push
from publisher.workflows.content.sources import check_revision, chosen_sources
from publisher.workflows.hub import create_missing, describe_after_release, refuse_frozen
from publisher.workflows.plan import ReleaseDraft, draft, sign_draft, with_signing
from publisher.workflows.record import Begun, Changes, Run, RunRecord, incomplete, now
from publisher.workflows.tagging.local_copies import warn_of_stale_copies
from publisher.workflows.tagging.promotion import Promotion
from publisher.workflows.verify import Proof, level_of, refuse_unreadable, take_inventory, verify_content

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from publisher.model.plan import Plan
    from publisher.model.receipt import Receipt
    from publisher.model.reference import Repository
    from publisher.receipts.journal import JournalEntry
    from publisher.workflows.jobs import Job, PlanOptions
    from publisher.workflows.plan import SavedPlans
    from publisher.workflows.session import Session
    from publisher.workflows.tagging.promotion import Progress

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
    if job.settings.smoke and options.smoke:
        from publisher.workflows.smoke.run import running_of

        # Preflight: an image that can't be run here must not be found out after it was sent.
        running_of(session, job.settings.smoke, "image")
        session.engine.about()
    named = sources or [job.settings.source or ""]
    # What is in a registry already was not made from this tree.
    if options.build or not all(name.startswith("docker://") for name in named):
        _check_tree(session, options)
    names = _named_or_built(session, job, wish, sources, options)
    made = draft(session, job, wish, names or ())
    check_revision(made.sources, made.plan.revision, allow=options.allow_dirty)
    if options.saved:
        options.saved.hold(job.name, made.plan)
    if not all(isinstance(source.image, StoredImage) for source in made.sources):
        compression = _compression(job, options)
        compression.check()
        smokes = bool(job.settings.smoke) and options.smoke
        refuse_unreadable(session, compression, level_of(session, options.verify), smokes=smokes)
    refuse_frozen(session, made)
    return with_signing(session, made, options.sign)


def _named_or_built(
    session: Session, job: Job, wish: PlanOptions, sources: Sequence[str], options: ReleaseOptions
) -> tuple[str, ...] | None:
    """What a release takes: its arguments, else `source`, else what `[build]` builds; with `--build` always that.

    None stands for what a dry run doesn't build. Raises UsageError where a source is named and a build is asked for.
    """
    if options.build and sources:
        raise UsageError("--build builds the image that is released, and a source is named too")
    is_named = bool(sources) or (bool(job.settings.source) and not options.build)
    if is_named or not (options.build or job.settings.build or session.settings.build):
        return chosen_sources(sources, job.settings.source)
    from publisher.workflows.build import built_source

    return built_source(session, job, wish, dry_run=options.dry_run)


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


def _check_tree(session: Session, options: ReleaseOptions) -> None:
    facts = session.facts
    if facts.changed and not options.allow_dirty:
        shown = ", ".join(facts.changed[:3]) + (" …" if len(facts.changed) > 3 else "")  # noqa: PLR2004 - enough to see
        raise DirtyTree(
            f"the working tree has changes that are not committed: {shown}",
            hint="commit or stash them, or pass --allow-dirty",
        )
    if facts.untracked:
        session.progress.warn(f"{facts.untracked} untracked files are not part of the commit that is released")


def release(session: Session, made: ReleaseDraft, options: ReleaseOptions) -> Run:
    """Carry out a draft that was not refused. Errors before the first tag raise; later ones come with the receipt."""
    started = now()
    with _open_entry(session, made) as entry:
        content, via, adopted = _bring(session, made, options)
        made = replace(made, plan=_final_plan(made, content))
        if options.saved:
            options.saved.hold(made.job.name, made.plan)
        refuse(made.plan)
        try:
            proof = _verify(session, made, content, options)
            proof = _smoke(session, made, content, proof, options)
            signatures = sign_draft(session, made, content)
        except PublishError as error:
            raise _wrote_early(session, made, error) from error
        begun = Begun(
            command="release",
            started=started,
            content=content,
            platforms=_platforms(made, content),
            size=_size(session, made, content, proof),
            verification=proof.verification,
            plan=made.plan,
            via=via,
            adopted=adopted,
            signatures=signatures,
        )
        changes = Changes(session, made.plan, content.digest)
        record = RunRecord(session, begun, changes.at(None), options.receipt)
        return _promote(session, made, content, Recording(changes, record, entry), options)


def _open_entry(session: Session, made: ReleaseDraft) -> JournalEntry:
    images = [str(repository) for repository in made.job.repositories]
    identities = [str(sorted(source.identity)) for source in made.sources]
    return session.journal.open([*sorted(images), made.plan.version or "", *identities])


def _final_plan(made: ReleaseDraft, content: Content) -> Plan:
    same = made.known.same if made.known else frozenset[Digest]()
    plan = make_plan(made.asked, made.published, Known(content.digest, same))
    return replace(plan, signing=made.plan.signing)


# Push.


def _bring(session: Session, made: ReleaseDraft, options: ReleaseOptions) -> tuple[Content, str | None, bool]:
    """The content in every repository: adopted where an exact tag has it, else pushed by digest."""
    holder = _holder(made)
    if holder is not None:
        return _adopt(session, made, holder)
    repositories = made.job.repositories
    for repository in repositories:
        create_missing(session, made, repository)
        # On Docker Hub the first write would create the repository, with the account's default visibility.
        if not repository.on_hub or made.published[repository].tags:
            session.remote(repository).prove_push()
    if options.early_tag:
        _allow_early_tags(session, made)
    session.progress.step(f"push     {', '.join(str(source.name) for source in made.sources)}")
    pushed = _send(session, made, options)
    session.progress.step(f"pushed   {pushed.content.digest} ({pushed.via})")
    return pushed.content, pushed.via, False


def _allow_early_tags(session: Session, made: ReleaseDraft) -> None:
    """Only a tag that doesn't exist yet may be written early: nobody can rely on it."""
    for repository in made.job.repositories:
        new = (move for move in made.plan.moves if move.kind is Kind.EXACT and move.action is Action.CREATE)
        own = (Reference.parse(move.reference) for move in new)
        session.remote(repository).early_tag = next((one.tag for one in own if one.repository == repository), None)


def _wrote_early(session: Session, made: ReleaseDraft, error: PublishError) -> PublishError:
    """A release that fails after a tag was written early has changed something: it says what."""
    early = [one for one in made.job.repositories if session.remote(one).wrote_early]
    if not early:
        return error
    tags = ", ".join(f"{one}:{session.remote(one).early_tag}" for one in early)
    hint = "run the same command again: it finishes what is left"
    return Incomplete(f"{tags} was written early, and then: {error.message}", reference=error.reference, hint=hint)


def _send(session: Session, made: ReleaseDraft, options: ReleaseOptions) -> Pushed:
    how = Shipping(options.via, _compression(made.job, options), dict(made.plan.annotations), earlier_releases(made))
    return push(session, made.sources, made.job.repositories, how)


def _compression(job: Job, options: ReleaseOptions) -> Compression:
    return options.compression or Compression(job.settings.transfer.compression, job.settings.transfer.level)


def _holder(made: ReleaseDraft) -> tuple[Repository, Digest] | None:
    """A repository that has the same image under an exact tag of this release already."""
    if made.known is None:
        return None
    for move in made.plan.moves:
        held = Digest.parse(move.before) if move.before else None
        fits = move.kind in _UNDECIDED and move.action is Action.UNCHANGED
        if fits and held and made.known.is_image(held):
            return Reference.parse(move.reference).repository, held
    return None


def _adopt(session: Session, made: ReleaseDraft, holder: tuple[Repository, Digest]) -> tuple[Content, str | None, bool]:
    repository, digest = holder
    origin = session.remote(repository)
    content = origin.get(digest)
    session.progress.step(f"adopted  {digest}: the same image is there already")
    writing = {Reference.parse(move.reference).repository for move in made.plan.moves if move.action.writes}
    for other in made.job.repositories:
        if other in writing and other != repository and session.remote(other).head(digest) is None:
            carry(session, origin, content, other)
    return content, None, True


# Verify.


def _verify(session: Session, made: ReleaseDraft, content: Content, options: ReleaseOptions) -> Proof:
    if not _writes(made.plan):
        return Proof(Verification(level="none"), None)
    level = level_of(session, options.verify)
    proofs = [_verify_one(session, repository, content, level) for repository in made.job.repositories]
    session.progress.step(f"verified {level}: {proofs[0].verification.blobs} blobs")
    return proofs[0]


def _smoke(session: Session, made: ReleaseDraft, content: Content, proof: Proof, options: ReleaseOptions) -> Proof:
    """Run what was pushed, from the registry by its digest; a broken image moves no tag."""
    settings = made.job.settings.smoke
    if not settings or not options.smoke or not _writes(made.plan):
        return proof
    from publisher.workflows.smoke.run import prove

    repository = made.job.repositories[0]
    name = f"{session.engine_name(repository)}@{content.digest}"
    with session.engine.borrowed(name, session.engine_credential(repository)):
        shown = prove(session, settings, name)
    return replace(proof, verification=replace(proof.verification, smoke=shown))


def _writes(plan: Plan) -> bool:
    return any(move.action.writes for move in plan.moves)


def _verify_one(session: Session, repository: Repository, content: Content, level: str) -> Proof:
    remote = session.remote(repository)
    proof = verify_content(session, remote, content.digest, level)
    if level != "none" and remote.is_signed_in:
        _read_as_stranger(session, repository, content)
    return proof


def _read_as_stranger(session: Session, repository: Repository, content: Content) -> None:
    """What a public repository shows to everybody must be the same; a private one shows nothing."""
    try:
        held = session.remote(repository, anonymous=True).head(content.digest)
    except PublishError:
        return
    if held is not None and held.digest != content.digest:
        raise VerificationFailed(f"{repository} shows strangers {held.digest} instead of {content.digest}")


# Promote, settle, record.


class Recording(NamedTuple):
    """A release's receipt while its tags move: its lines, and where they are kept."""

    changes: Changes
    record: RunRecord
    entry: JournalEntry

    def save(self, progress: Progress | None) -> None:
        """Keep what is known so far."""
        self.record.save(self.entry, lambda: self.changes.at(progress))

    def finish(self, progress: Progress | None, error: PublishError | None = None) -> Run:
        """The end; `error` is what it ends with."""
        return self.record.finish(self.entry, self.changes.at(progress), error)

    def stopped(self, progress: Progress, error: PublishError | Interrupted) -> Run:
        """Before the first tag the error is the run's own; after it the run is incomplete. An interrupt stays one."""
        if isinstance(error, Interrupted):
            self.finish(progress, error.told())
            raise error
        if not progress.is_under_way:
            self.finish(progress, error)
            raise error
        return self.finish(progress, incomplete(error, self.changes.at(progress)))


def _promote(
    session: Session, made: ReleaseDraft, content: Content, recording: Recording, options: ReleaseOptions
) -> Run:
    if not _writes(made.plan):
        return recording.finish(None)
    recording.save(None)
    promotion = Promotion(session, made, content, recording.save)
    try:
        _write_exact(session, made, promotion, options)
        promotion.floating()
    except (PublishError, Interrupted) as error:
        return recording.stopped(promotion.progress, error)
    run = recording.finish(promotion.progress)
    session.progress.step(f"promoted {_tally(run.receipt)}")
    if made.job.settings.tags.record:
        file_receipt(session, run.receipt, content, made.job.repositories)
    describe_after_release(session, made.job)
    warn_of_stale_copies(session, run.receipt, content=content, pull=options.pull_local)
    return run


def _write_exact(session: Session, made: ReleaseDraft, promotion: Promotion, options: ReleaseOptions) -> None:
    """Registries collect what no tag holds: content that has gone before its first tag is sent once more."""
    try:
        promotion.exact()
    except BlobUnknown:
        if promotion.progress.is_under_way:
            raise
        session.progress.warn("the registry has lost some of the content: sending it again")
        _send(session, made, options)
        promotion.exact()


def _tally(receipt: Receipt) -> str:
    done = sum(change.state is State.DONE for change in receipt.moves)
    return f"{done} of {len(receipt.moves)} tags written"


def _size(session: Session, made: ReleaseDraft, content: Content, proof: Proof) -> int:
    if isinstance(content, Manifest):
        return sum(blob.size for blob in content.blobs)
    inventory = proof.inventory or take_inventory(session, session.remote(made.job.repositories[0]), content)
    return inventory.size


def _platforms(made: ReleaseDraft, content: Content) -> tuple[str, ...]:
    if isinstance(content, Manifest):
        return (str(made.sources[0].platform),)
    return tuple(str(entry.platform) for entry in content.images if entry.platform)

"""Point tags at an image that a registry has: bytes unchanged, all platforms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.errors import (
    ExactTagTaken,
    PublishError,
    Refused,
    SourceNotFound,
    UsageError,
    VerificationFailed,
)
from publisher.model.manifest import Content, Index, Manifest, Platform
from publisher.model.plan import Action, Kind
from publisher.model.receipt import Change, State, Verification
from publisher.model.reference import Reference, Repository, Tag, TagReference
from publisher.model.value import Value
from publisher.planning.tag_reader import TagReader, tag_reader
from publisher.transfer.assemble import narrow
from publisher.transfer.identity import platform_reader
from publisher.workflows.content.copy import carry
from publisher.workflows.jobs import PlanOptions, jobs
from publisher.workflows.record import Run, RunRecord, RunStart, now
from publisher.workflows.tagging.local_copies import warn_of_stale_copies
from publisher.workflows.tagging.survey import destination_of, read_tag
from publisher.workflows.tagging.writer import Step, TagWriter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from publisher.model.digest import Digest
    from publisher.planning.version import Version
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.destination import Destination
    from publisher.workflows.session import Session

# A line has few versions above the one that a floating tag holds; more than this is not looked through.
_MOST_READ = 100


class RetagOptions(Value, frozen=True, kw_only=True):
    """How tags are moved."""

    force: bool = False
    clobber: bool = True
    dry_run: bool = False
    platforms: tuple[str, ...] = ()
    receipt: Path | None = None


def read_targets(source: Reference, texts: Sequence[str]) -> tuple[TagReference, ...]:
    """Read DST; a bare `:tag` means the source's repository. Raises UsageError for one without a tag."""
    return tuple(dict.fromkeys(_read_target(source, text) for text in texts))


def _read_target(source: Reference, text: str) -> TagReference:
    if text.startswith(":"):
        return source.repository.tag(text[1:])
    reference = Reference.parse(text)
    if reference.tag is None or reference.digest is not None:
        raise UsageError(f"'{text}' is not a tag to write", hint="name it as REPOSITORY:TAG or :TAG")
    return TagReference(reference.repository, reference.tag)


class _Target(Value, frozen=True):
    """A tag to write, and what it holds now."""

    destination: Destination
    tag: Tag
    digest: Digest | None

    @property
    def reference(self) -> TagReference:
        return self.destination.repository.tag(self.tag)

    @property
    def reader(self) -> TagReader:
        return tag_reader(self.destination.ruleset)


class _Image(Value, frozen=True):
    """What the tags are to hold. tag: the source's, where it is named by one."""

    remote: RemoteRepository
    tag: Tag | None
    content: Content


def retag(session: Session, source: Reference, targets: Sequence[TagReference], options: RetagOptions) -> Run:
    """Look at all targets, refuse or write; raises before the first write, a later error comes with the receipt."""
    session.aim([target.repository for target in targets])
    started = now()
    image, looked_at = _look(session, source, targets)
    image = _narrowed(image, options)
    changes = [_decide(image, target, options) for target in looked_at]
    record = RunRecord(session, _start(image.content, started), changes, options.receipt)
    record.intended = {change.reference: image.content.digest for change in changes if change.action.writes}
    if options.dry_run or not record.intended:
        return record.as_planned()
    _carry(session, image, looked_at)
    _refuse_unsigned(session, image.content, looked_at)
    with session.journal.open([str(target) for target in targets]) as entry:
        return _write(session, image.content, looked_at, TagWriter(session, record, entry))


def _look(session: Session, source: Reference, targets: Sequence[TagReference]) -> tuple[_Image, list[_Target]]:
    """Read the source, and what every target holds, side by side: over a slow link the round trips count."""
    origin = session.remote(source.repository)
    repositories = {target.repository for target in targets}
    destinations = {repository: destination_of(session, repository, PlanOptions()) for repository in repositories}

    def read(target: TagReference | None) -> _Target | Content | None:
        if target is None:
            return origin.find(source.target)
        destination = destinations[target.repository]
        return _Target(destination, target.tag, read_tag(destination.remote, target.tag))

    content, *others = session.parallel(read, [None, *targets])
    if not isinstance(content, Manifest | Index):
        raise SourceNotFound(f"{source} is not in the registry", reference=source)
    return _Image(origin, source.tag, content), [target for target in others if isinstance(target, _Target)]


def _narrowed(image: _Image, options: RetagOptions) -> _Image:
    """The whole image, or those of its platforms that were asked for; nothing is written yet."""
    remote, platforms = image.remote, [Platform.parse(text) for text in options.platforms]
    content = narrow(
        image.content, platforms, lambda entry: remote.get(entry.digest), platform_reader(remote.open_blob)
    )
    return _Image(remote, image.tag, content)


def _start(content: Content, started: str) -> RunStart:
    """An index states no size of its blobs, and reading its children would cost a pull each: 0."""
    single = content if isinstance(content, Manifest) else None
    listed = content.images if isinstance(content, Index) else ()
    return RunStart(
        command="retag",
        started=started,
        content=content,
        platforms=tuple(str(entry.platform) for entry in listed if entry.platform),
        size=sum(blob.size for blob in single.blobs) if single else 0,
        verification=Verification(level="digest"),
    )


def _decide(image: _Image, target: _Target, options: RetagOptions) -> Change:
    kind = target.reader.kind_of(target.tag)
    is_same = target.digest == image.content.digest
    action = Action.UNCHANGED if is_same else Action.CREATE if target.digest is None else Action.MOVE
    if action is Action.MOVE and not options.force:
        _refuse_move(image, target, kind, options)
    version = target.reader.version_of(target.tag)
    return Change(
        reference=target.reference,
        kind=kind,
        version=str(version) if version else None,
        action=action,
        before=target.digest,
        after=target.digest,
        state=State.UNCHANGED if is_same else State.NOT_DONE,
    )


def _refuse_move(image: _Image, target: _Target, kind: Kind, options: RetagOptions) -> None:
    reference = target.reference
    if not options.clobber:
        raise Refused(f"{reference} holds other content, and --no-clobber was given", reference=reference)
    if kind is Kind.EXACT:
        raise ExactTagTaken(
            f"{reference} is a published version and holds another image",
            reference=reference,
            hint="--force overwrites it",
        )
    version = target.reader.version_of(image.tag) if image.tag else None
    if kind is not Kind.FLOATING or version is None:
        return
    if current := _version_under(target, version):
        raise Refused(
            f"{reference} holds {current}, and {image.tag} is lower",
            reference=reference,
            hint="--force moves it all the same; 'publish yank' takes a version back for good",
        )


def _version_under(target: _Target, floor: Version) -> str | None:
    """The exact tag of a version above `floor` that has the digest a floating tag holds."""
    remote, reader = target.destination.remote, target.reader
    higher = [(version, tag) for tag in remote.tags() if (version := reader.version_of(tag)) and version > floor]
    for _version, tag in sorted(higher, reverse=True)[:_MOST_READ]:
        if read_tag(remote, Tag(tag)) == target.digest:
            return tag
    return None


def _carry(session: Session, image: _Image, targets: Sequence[_Target]) -> None:
    """Bring content, and what refers to it, to the repositories that lack it."""
    remotes = {target.destination.repository: target.destination.remote for target in targets}
    for repository in sorted(remotes.keys() - {image.remote.repository}):
        carry(session, image.remote, image.content, remotes[repository])


def _refuse_unsigned(session: Session, content: Content, targets: Sequence[_Target]) -> None:
    """Where the configuration says who must have signed a repository's images, no tag of it points to others."""
    for repository in {target.destination.repository: None for target in targets}:
        who = _demanded_signers(session, repository)
        if not who:
            continue
        from publisher.workflows.signatures import SignatureDemand, checker_of

        own = [target for target in targets if target.destination.repository == repository]
        demand = SignatureDemand(checker_of(session, who, lambda: None))
        signatures = demand.read(session, own[0].destination.remote, content)
        problems = ((target.reference, demand.problem(signatures, target.tag)) for target in own)
        for reference, problem in problems:
            if problem:
                raise VerificationFailed(
                    f"{reference} can't point to {content.digest.short}: {problem}",
                    reference=reference,
                    hint="[sign] verify says who must have signed it, and no tag was written",
                )


def _demanded_signers(session: Session, repository: Repository) -> tuple[str, ...]:
    """By `[sign] verify` of the image that the configuration publishes there."""
    from publisher.workflows.signatures import configured_signers

    settings = session.settings
    for job in jobs(settings, PlanOptions(), nameless=True) if settings.images else ():
        if repository in job.repositories:
            table = job.settings.sign or settings.sign
            return configured_signers(session, table) if table else ()
    return ()


def _write(session: Session, content: Content, targets: Sequence[_Target], writer: TagWriter) -> Run:
    lines = [(target, writer.record.line(target.reference)) for target in targets]
    steps = [_step(content, target, line) for target, line in lines if line.action.writes]
    try:
        run = writer.finish(lambda: writer.write(steps))
    except PublishError as error:
        # The tags were looked at: what they hold is told, though none was changed.
        return Run(writer.record.receipt, error, writer.record.intended)
    if run.error is None:
        destinations = [target.destination for target in targets]
        writer.follow_up(lambda: warn_of_stale_copies(session, run.receipt, destinations, content=content))
    return run


def _step(content: Content, target: _Target, line: Change) -> Step:
    return Step(
        destination=target.destination,
        tag=target.tag,
        kind=line.kind,
        version=line.version,
        before=target.digest,
        goal=content.digest,
        content=content,
    )

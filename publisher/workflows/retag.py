"""Point tags at an image that a registry has: bytes unchanged, all platforms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from publisher.model.digest import Digest
from publisher.model.errors import (
    ExactTagTaken,
    Interrupted,
    PublishError,
    Refused,
    SourceNotFound,
    Unreachable,
    UsageError,
    VerificationFailed,
)
from publisher.model.manifest import Content, Index, Manifest, Platform
from publisher.model.plan import Action, Kind
from publisher.model.receipt import Change, State, Verification
from publisher.model.reference import Reference, Tag
from publisher.model.value import Value
from publisher.planning.version import is_exact_name, is_floating_name, lowers, version_of
from publisher.transfer.assemble import narrow
from publisher.workflows.content.copy import carry
from publisher.workflows.content.send import platform_reader
from publisher.workflows.record import Begun, Run, RunRecord, incomplete, now, touched
from publisher.workflows.tagging.local_copies import warn_of_stale_copies
from publisher.workflows.tagging.writer import read_back

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from publisher.receipts.journal import JournalEntry
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.session import Session

# A line has few versions above the one that a floating tag holds; more than this is not looked through.
_MOST_LOOKED_AT = 100


class RetagOptions(Value, frozen=True, kw_only=True):
    """How tags are moved."""

    force: bool = False
    clobber: bool = True
    dry_run: bool = False
    platforms: tuple[str, ...] = ()
    receipt: Path | None = None


def destinations(source: Reference, texts: Sequence[str]) -> tuple[Reference, ...]:
    """Read DST; a bare `:tag` means the source's repository. Raises UsageError for one without a tag."""
    found = []
    for text in texts:
        bare = text.startswith(":")
        reference = source.repository.tag(text[1:]) if bare else Reference.parse(text)
        if reference.tag is None or reference.digest is not None:
            raise UsageError(f"'{text}' is not a tag to write", hint="name it as REPOSITORY:TAG or :TAG")
        found.append(reference)
    return tuple(dict.fromkeys(found))


def retag(session: Session, source: Reference, targets: Sequence[Reference], options: RetagOptions) -> Run:
    """Look at all targets, refuse or write; raises before the first write, a later error comes with the receipt."""
    session.aim([target.repository for target in targets])
    started = now()
    content, held = _look(session, source, targets)
    content = _chosen(session, source, content, options)
    changes = [_decide(session, source, content, target, held[target], options) for target in targets]
    record = RunRecord(session, _begun(content, started), changes, options.receipt)
    record.intended = {change.reference: content.digest for change in changes if change.action.writes}
    if options.dry_run or not any(change.action.writes for change in changes):
        return record.finish(None, changes)
    _carry(session, source, content, targets)
    with session.journal.open([str(target) for target in targets]) as entry:
        return _write_all(session, content, record, entry)


def _begun(content: Content, started: str) -> Begun:
    """An index states no size of its blobs, and reading its children would cost a pull each: 0."""
    single = content if isinstance(content, Manifest) else None
    listed = content.images if isinstance(content, Index) else ()
    return Begun(
        command="retag",
        started=started,
        content=content,
        platforms=tuple(str(entry.platform) for entry in listed if entry.platform),
        size=sum(blob.size for blob in single.blobs) if single else 0,
        verification=Verification(level="digest"),
    )


def _look(
    session: Session, source: Reference, targets: Sequence[Reference]
) -> tuple[Content, dict[Reference, str | None]]:
    """Read the source, and what every target holds, side by side: over a slow link the round trips count."""

    def read(reference: Reference) -> Content | str | None:
        remote = session.remote(reference.repository)
        if reference == source and reference not in targets:
            return remote.find(reference.target)
        found = remote.head(_tag(reference))
        return str(found.digest) if found else None

    asked = [source, *targets]
    found = dict(zip(asked, session.parallel(read, asked), strict=True))
    content = found.pop(source) if source not in targets else session.remote(source.repository).find(source.target)
    if not isinstance(content, Manifest | Index):
        raise SourceNotFound(f"{source} is not in the registry", reference=source)
    return content, {target: held for target, held in found.items() if isinstance(held, str | None)}


def _tag(reference: Reference) -> Tag:
    return reference.tag or Tag("latest")


def _chosen(session: Session, source: Reference, content: Content, options: RetagOptions) -> Content:
    """The whole image, or those of its platforms that were asked for; nothing is written yet."""
    remote = session.remote(source.repository)
    wanted = [Platform.parse(text) for text in options.platforms]
    return narrow(content, wanted, lambda entry: remote.get(entry.digest), platform_reader(remote))


def _decide(
    session: Session, source: Reference, content: Content, target: Reference, held: str | None, options: RetagOptions
) -> Change:
    tag = str(target.tag)
    kind = Kind.EXACT if is_exact_name(tag) else Kind.FLOATING if is_floating_name(tag) else Kind.REF
    same = held == str(content.digest)
    action = Action.UNCHANGED if same else Action.CREATE if held is None else Action.MOVE
    if action is Action.MOVE and not options.force:
        _refuse_move(session, source, target, kind, str(held), options)
    version = version_of(tag)
    return Change(
        reference=str(target),
        kind=kind,
        version=str(version) if version else None,
        action=action,
        before=held,
        after=held,
        state=State.UNCHANGED if same else State.NOT_DONE,
    )


def _refuse_move(
    session: Session, source: Reference, target: Reference, kind: Kind, held: str, options: RetagOptions
) -> None:
    if not options.clobber:
        raise Refused(f"{target} holds other content, and --no-clobber was given", reference=target)
    if kind is Kind.EXACT:
        raise ExactTagTaken(
            f"{target} is a published version and holds another image", reference=target, hint="--force overwrites it"
        )
    if kind is not Kind.FLOATING or source.tag is None or version_of(source.tag) is None:
        return
    current = _version_under(session.remote(target.repository), held, str(source.tag))
    if current and lowers(str(target.tag), current, str(source.tag)):
        raise Refused(
            f"{target} holds {current}, and {source.tag} is lower",
            reference=target,
            hint="--force moves it all the same; 'publish yank' takes a version back for good",
        )


def _version_under(remote: RemoteRepository, held: str, above: str) -> str | None:
    """The exact tag, higher than `above`, that has the digest a floating tag holds."""
    floor = version_of(above)
    higher = [(version, tag) for tag in remote.tags() if (version := version_of(tag)) and floor and version > floor]
    for _version, tag in sorted(higher, reverse=True)[:_MOST_LOOKED_AT]:
        found = remote.head(Tag(tag))
        if found and str(found.digest) == held:
            return tag
    return None


def _carry(session: Session, source: Reference, content: Content, targets: Sequence[Reference]) -> None:
    """Bring content, and what refers to it, to the repositories that lack it."""
    others = {target.repository for target in targets} - {source.repository}
    for repository in sorted(others):
        carry(session, session.remote(source.repository), content, repository)


def _write_all(session: Session, content: Content, record: RunRecord, entry: JournalEntry) -> Run:
    changes = {change.reference: change for change in record.receipt.moves}

    def write(change: Change) -> PublishError | None:
        changes[change.reference], problem = _write(session, content, change)
        record.save(entry, changes.values)
        return problem

    record.save(entry, changes.values)
    try:
        problems = session.parallel(write, [change for change in record.receipt.moves if change.action.writes])
    except Interrupted as interrupt:
        record.finish(entry, changes.values(), interrupt.as_error())
        raise
    error = next(filter(None, problems), None)
    if error and touched(changes.values()):
        error = incomplete(error, changes.values())
    run = record.finish(entry, changes.values(), error)
    if error is None:
        warn_of_stale_copies(session, run.receipt, content=content)
    return run


def _write(session: Session, content: Content, change: Change) -> tuple[Change, PublishError | None]:
    """Write one tag and read it back; a write that seems to have failed may have worked."""
    reference = Reference.parse(change.reference)
    problem: PublishError | Interrupted | None = None
    try:
        session.remote(reference.repository).put(content, _tag(reference))
    except (PublishError, Interrupted) as error:
        problem = error
    before = Digest.parse(change.before) if change.before else None
    # A refusal is an answer; without one, or after a good one, the read may be too early.
    stale = {before} if problem is None or isinstance(problem, Unreachable) else set[Digest | None]()
    try:
        held = read_back(session, reference, stale)
    except (PublishError, Interrupted) as error:
        return msgspec.structs.replace(change, after=None, state=State.UNKNOWN), _told(problem or error)
    after = str(held) if held else None
    if held == content.digest:
        return msgspec.structs.replace(change, after=after, state=State.DONE), None
    problem = problem or VerificationFailed(f"{reference} holds {after} after it was written", reference=reference)
    return msgspec.structs.replace(change, after=after, state=State.NOT_DONE), _told(problem)


def _told(problem: PublishError | Interrupted) -> PublishError:
    return problem.as_error() if isinstance(problem, Interrupted) else problem

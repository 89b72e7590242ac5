"""Prove that a registry holds what it should, to the byte."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from publisher.model import media
from publisher.model.documents import Verdict, VerdictState
from publisher.model.errors import ConfigError, PublishError, VerificationFailed
from publisher.model.manifest import Content, Descriptor, Index, Manifest
from publisher.model.receipt import Verification
from publisher.model.reference import Reference, Tag, described_digest
from publisher.model.value import Value
from publisher.planning.tag_reader import newest_first
from publisher.transfer.copy import blobs_of
from publisher.transfer.identity import identity, platform_of
from publisher.workflows.content.sources import Source, find_source
from publisher.workflows.jobs import PlanOptions
from publisher.workflows.pull_back import pull_back
from publisher.workflows.record import recorded_tags
from publisher.workflows.tagging.local_copies import stale_copy
from publisher.workflows.tagging.survey import destination_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from publisher.model.digest import Digest
    from publisher.model.reference import Repository, TagReference
    from publisher.registry.repository import RemoteRepository
    from publisher.transfer.compression import Compression
    from publisher.workflows.record import RecordedTag
    from publisher.workflows.session import Session
    from publisher.workflows.signatures import SignatureDemand

_PIECE = 1 << 20
_DEEPEST = 8


class Inventory(Value, frozen=True):
    """All manifests of an image, the root first, and all blobs, each once."""

    manifests: tuple[Content, ...]
    blobs: tuple[Descriptor, ...]

    @property
    def size(self) -> int:
        """The sum of the blobs in bytes."""
        return sum(blob.size for blob in self.blobs)

    @property
    def config(self) -> Digest | None:
        """That of an image for one platform, whether an index lists it, beside attestations, or not; else None."""
        root = self.manifests[0]
        images = {entry.digest for entry in root.images} if isinstance(root, Index) else {root.digest}
        configs = [one.config.digest for one in self.manifests if isinstance(one, Manifest) and one.digest in images]
        return configs[0] if len(configs) == len(images) == 1 else None


def take_inventory(
    session: Session, remote: RemoteRepository, root: Content, read: Mapping[Digest, Content] = MappingProxyType({})
) -> Inventory:
    """Read every manifest below `root` back, hashed; raises VerificationFailed where one is missing or different.

    read: those that were read back already.
    """
    contents = list(_descend(session, remote, root, read, 0))
    blobs = {blob.digest: blob for content in contents if isinstance(content, Manifest) for blob in content.blobs}
    return Inventory(tuple(contents), tuple(blobs.values()))


def _descend(
    session: Session, remote: RemoteRepository, content: Content, read: Mapping[Digest, Content], depth: int
) -> Iterator[Content]:
    if depth > _DEEPEST:
        raise VerificationFailed(f"the index is nested deeper than {_DEEPEST} levels", reference=remote.repository)
    yield content
    if isinstance(content, Index):
        for child in session.parallel(
            lambda entry: read.get(entry.digest) or remote.get(entry.digest), content.manifests
        ):
            yield from _descend(session, remote, child, read, depth + 1)


class Proof(Value, frozen=True):
    """What was proven, and what was read for it: None at level `none`.

    free: exact tags that were seen beside it to hold nothing else than what is released.
    """

    verification: Verification
    inventory: Inventory | None
    free: frozenset[TagReference] = frozenset()


def verify_content(
    session: Session,
    remote: RemoteRepository,
    digest: Digest,
    level: str,
    sent: Content | None = None,
    known: Mapping[Digest, Content] = MappingProxyType({}),
) -> Proof:
    """Prove the content under `digest` up to `level`; raises VerificationFailed.

    sent: what was sent under it: its parts are asked for at once, and not only when it was read back. known: what this
    run has read from the repository before, and did not write.
    `digest`: manifests are read back and hashed, blobs are there with their size. `pull`: the engine pulls it too.
    `deep`: every byte is downloaded and hashed, and the engine pulls it where one is at hand.
    """
    if level == "none":
        return Proof(Verification(level=level), None)
    inventory = _read_back(session, remote, digest, sent, known)
    downloaded = _download(session, remote, inventory) if level == "deep" else 0
    pulls = level == "pull" or (level == "deep" and session.engine_at_hand is not None)
    pulled = pull_back(session, remote, inventory.manifests) if pulls else "none"
    if pulled is None:
        level, pulled = ("digest" if level == "pull" else level), "none"
    return Proof(Verification(level=level, blobs=len(inventory.blobs), bytes=downloaded, pulled=pulled), inventory)


def _read_back(
    session: Session,
    remote: RemoteRepository,
    digest: Digest,
    sent: Content | None,
    known: Mapping[Digest, Content],
) -> Inventory:
    """Every manifest, hashed, and every blob there with its size."""
    children = [entry.digest for entry in sent.manifests] if isinstance(sent, Index) else []
    to_read = [child for child in children if child not in known]
    blobs = tuple(
        blobs_of([*([sent] if sent else []), *(known[child] for child in children if child in known)]).values()
    )
    read: dict[Digest, Content] = {**known}
    looks = [partial(_read_manifest, remote, one, read) for one in dict.fromkeys((digest, *to_read))]
    session.parallel(lambda look: look(), [*looks, *(partial(_check_size, remote, blob) for blob in blobs)])
    inventory = take_inventory(session, remote, read[digest], read)
    session.parallel(lambda blob: _check_size(remote, blob), [one for one in inventory.blobs if one not in blobs])
    return inventory


def _read_manifest(remote: RemoteRepository, digest: Digest, read: dict[Digest, Content]) -> None:
    read[digest] = remote.get(digest)


def level_of(session: Session, level: str | None) -> str:
    """The level that was asked for; by default `pull` where an engine is at hand, else `digest`."""
    return level or ("pull" if session.engine_at_hand else "digest")


def refuse_unreadable(session: Session, compression: Compression, level: str, *, smokes: bool) -> None:
    """Raise ConfigError where the engine is to pull what it can't read: better now than after it was sent."""
    pulls = smokes or level == "pull" or (level == "deep" and session.engine_at_hand is not None)
    if compression.name != "zstd" or not pulls or session.engine.reads_zstd:
        return
    raise ConfigError(
        f"this engine ({session.engine.version}) can't pull layers compressed with zstd; engines since 23 can",
        hint="take gzip, or pass --verify digest --no-smoke",
    )


def _check_size(remote: RemoteRepository, blob: Descriptor) -> None:
    size = remote.blob_size(blob.digest)
    if size == blob.size:
        return
    problem = "is missing" if size is None else f"has {size:,} bytes instead of {blob.size:,}"
    raise VerificationFailed(f"blob {blob.digest} {problem} in {remote.repository}", reference=remote.repository)


def _download(session: Session, remote: RemoteRepository, inventory: Inventory) -> int:
    with session.progress.meter("verify", inventory.size) as meter:

        def check(blob: Descriptor) -> int:
            with remote.open_blob(blob) as stream:
                while piece := stream.read(_PIECE):
                    meter.advance(len(piece))
            return blob.size

        return sum(session.parallel(check, inventory.blobs))


class Expectation(Value, frozen=True):
    """What references are held against: a level, a source that they should be, the engine's own copy.

    recorded: what receipts say that exact tags hold, by reference. signed: who must have signed, and what is demanded.
    """

    level: str = "digest"
    source: str | None = None
    local: bool = False
    recorded: Mapping[Reference, RecordedTag] = msgspec.field(default_factory=dict)
    signed: SignatureDemand | None = None


def every_tag(session: Session, repositories: Iterable[Reference]) -> list[Reference]:
    """All tags of these repositories but those of signatures, which are verified with their images.

    Raises RepositoryMissing, or VerificationFailed where there is no tag.
    """
    names = dict.fromkeys(reference.repository for reference in repositories)
    return [reference for repository in names for reference in _tags_of(session, repository)]


def _tags_of(session: Session, repository: Repository) -> list[Reference]:
    destination = destination_of(session, repository, PlanOptions())
    tags = [tag for tag in destination.remote.present_tags() if described_digest(tag) is None]
    if not tags:
        raise VerificationFailed(f"{repository.familiar} has no tag to verify", reference=repository)
    return [Reference(repository, Tag(tag)) for tag in newest_first(destination.ruleset, tags)]


def verify_references(
    session: Session, references: Sequence[Reference], expectation: Expectation
) -> tuple[Verdict, ...]:
    """One verdict for each reference: is it there, whole, and what was asked for."""
    source = find_source(session, expectation.source) if expectation.source else None
    expectation = replace(expectation, recorded=recorded_tags(session))
    return tuple(session.parallel(lambda reference: _verdict(session, reference, expectation, source), references))


def _verdict(session: Session, reference: Reference, expectation: Expectation, source: Source | None) -> Verdict:
    remote = session.remote(reference.repository)
    try:
        content = remote.find(reference.tag or reference.target)
        if content is None:
            return _say(reference, VerdictState.MISSING, "no such tag or digest in the registry")
        if problem := _difference(session, remote, reference, content, expectation, source):
            return _say(reference, VerdictState.DIFFERENT, problem, content.digest)
        proof = verify_content(session, remote, content.digest, expectation.level)
        shown = platforms(remote, content)
        signed = expectation.signed.check(session, remote, reference, content) if expectation.signed else None
    except VerificationFailed as error:
        return _say(reference, VerdictState.DIFFERENT, error.message)
    except PublishError as error:
        if error.exit_code in {2, 3}:
            raise
        return _say(reference, VerdictState.UNKNOWN, error.message)
    checked = f"{proof.verification.blobs} blobs checked"
    if signed is None:
        return _say(reference, VerdictState.EQUAL, checked, content.digest, shown)
    state = VerdictState.DIFFERENT if signed.problem else VerdictState.EQUAL
    detail = signed.problem or f"{checked}; {signed.detail}"
    return replace(_say(reference, state, detail, content.digest, shown), signatures=signed.records)


def _difference(
    session: Session,
    remote: RemoteRepository,
    reference: Reference,
    content: Content,
    expectation: Expectation,
    source: Source | None,
) -> str | None:
    """Why the registry's content is not what was asked for."""
    if reference.digest and content.digest != reference.digest:
        return f"the tag is at {content.digest}"
    if source and identity(content, lambda entry: remote.get(entry.digest)) != source.identity:
        return f"it is not the image {source.name}"
    record = expectation.recorded.get(reference) if reference.digest is None else None
    if record and record.digest not in {None, content.digest}:
        return f"the version was overwritten: by the receipt {record.receipt} the tag holds {record.digest}"
    stale = stale_copy(session, session.engine, reference, content) if expectation.local else None
    return f"the engine's own {stale} is another image: docker pull {stale}" if stale else None


def platforms(remote: RemoteRepository, content: Content) -> tuple[str, ...]:
    """The platforms of an image, by its index entries or its config; none of what is no image."""
    if isinstance(content, Index):
        return tuple(str(entry.platform) for entry in content.images if entry.platform)
    if isinstance(content, Manifest) and content.config.media_type not in media.CONFIGS:
        return ()
    return (str(platform_of(content, remote.open_blob)),)


def _say(
    reference: Reference,
    state: VerdictState,
    detail: str,
    digest: Digest | None = None,
    shown: tuple[str, ...] = (),
) -> Verdict:
    return Verdict(
        reference=reference,
        digest=digest,
        platforms=shown,
        state=state,
        detail=detail,
    )

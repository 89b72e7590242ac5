"""Prove that a registry holds what it should, to the byte."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from publisher.model.errors import PublishError, VerificationFailed
from publisher.model.manifest import Content, Descriptor, Index, Manifest
from publisher.model.receipt import Verification
from publisher.model.verdict import Verdict, VerdictState
from publisher.transfer.identity import identity, platform_of_config
from publisher.workflows.sources import Source, find_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from publisher.model.digest import Digest
    from publisher.model.reference import Reference
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.session import Session

LEVELS: Final = ("none", "digest", "pull", "deep")
_PIECE = 1 << 20
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Inventory:
    """All manifests of an image, the root first, and all blobs, each once."""

    manifests: tuple[Content, ...]
    blobs: tuple[Descriptor, ...]

    @property
    def size(self) -> int:
        """The sum of the blobs in bytes."""
        return sum(blob.size for blob in self.blobs)


def take_inventory(session: Session, remote: RemoteRepository, root: Content) -> Inventory:
    """Read every manifest below `root` back, hashed; raises VerificationFailed where one is missing or different."""
    found = list(_descend(session, remote, root, 0))
    blobs = {blob.digest: blob for content in found if isinstance(content, Manifest) for blob in content.blobs}
    return Inventory(tuple(found), tuple(blobs.values()))


def _descend(session: Session, remote: RemoteRepository, content: Content, depth: int) -> Iterator[Content]:
    if depth > _DEEPEST:
        raise VerificationFailed(f"the index is nested deeper than {_DEEPEST} levels", reference=remote.repository)
    yield content
    if isinstance(content, Index):
        for child in session.parallel(lambda entry: remote.get(entry.digest), content.manifests):
            yield from _descend(session, remote, child, depth + 1)


def verify_content(session: Session, remote: RemoteRepository, digest: Digest, level: str) -> Verification:
    """Prove the content under `digest` up to `level`; raises VerificationFailed.

    `digest`: manifests are read back and hashed, blobs are there with their size. `pull`: the engine pulls it too.
    `deep`: every byte is downloaded and hashed.
    """
    if level == "none":
        return Verification(level=level)
    inventory = take_inventory(session, remote, remote.get(digest))
    session.parallel(lambda blob: _check_size(remote, blob), inventory.blobs)
    downloaded = _download(session, remote, inventory) if level == "deep" else 0
    pulled = _pull(session, remote, inventory.manifests[0]) if level in {"pull", "deep"} else "none"
    return Verification(level=level, blobs=len(inventory.blobs), bytes=downloaded, pulled=pulled)


def _check_size(remote: RemoteRepository, blob: Descriptor) -> None:
    held = remote.blob_size(blob.digest)
    if held == blob.size:
        return
    found = "is missing" if held is None else f"has {held:,} bytes instead of {blob.size:,}"
    raise VerificationFailed(f"blob {blob.digest} {found} in {remote.repository}", reference=remote.repository)


def _download(session: Session, remote: RemoteRepository, inventory: Inventory) -> int:
    with session.progress.meter("verify", inventory.size) as meter:

        def check(blob: Descriptor) -> int:
            with remote.open_blob(blob) as stream:
                while piece := stream.read(_PIECE):
                    meter.advance(len(piece))
            return blob.size

        return sum(session.parallel(check, inventory.blobs))


def _pull(session: Session, remote: RemoteRepository, root: Content) -> str:
    """Pull by digest with the engine and compare the image id; needs an engine that reaches the registry."""
    engine = session.engine
    repository = remote.repository
    name = f"{session.engine_name(repository)}@{root.digest}"
    credential = None if session.sandbox else session.credentials.find(repository.registry, repository.name)
    pulled = engine.pull(name, credential)
    allowed = {str(root.digest)}
    children: tuple[Content, ...] = (root,)
    if isinstance(root, Index):
        children = tuple(remote.get(entry.digest) for entry in root.images)
    for child in children:
        allowed |= {str(child.digest)} | ({str(child.config.digest)} if isinstance(child, Manifest) else set())
    if pulled.id not in allowed:
        raise VerificationFailed(f"the engine pulled {pulled.id} for {name}", reference=name)
    return pulled.downloaded


@dataclass(frozen=True, slots=True)
class Expectation:
    """What references are held against: a level, a source that they should be, the engine's own copy."""

    level: str = "digest"
    source: str | None = None
    local: bool = False


def verify_references(session: Session, references: Sequence[Reference], wanted: Expectation) -> tuple[Verdict, ...]:
    """One verdict for each reference: is it there, whole, and what was asked for."""
    source = find_source(session, wanted.source) if wanted.source else None
    return tuple(session.parallel(lambda reference: _verdict(session, reference, wanted, source), references))


def _verdict(session: Session, reference: Reference, wanted: Expectation, source: Source | None) -> Verdict:
    remote = session.remote(reference.repository)
    try:
        found = remote.find(reference.tag or reference.target)
        if found is None:
            return _say(reference, VerdictState.MISSING, "no such tag or digest in the registry")
        if problem := _difference(session, reference, found, wanted, source):
            return _say(reference, VerdictState.DIFFERENT, problem, found.digest)
        proof = verify_content(session, remote, found.digest, wanted.level)
        shown = platforms(remote, found)
    except VerificationFailed as error:
        return _say(reference, VerdictState.DIFFERENT, error.message)
    except PublishError as error:
        if error.exit_code in {2, 3}:
            raise
        return _say(reference, VerdictState.UNKNOWN, error.message)
    return _say(reference, VerdictState.EQUAL, f"{proof.blobs} blobs checked", found.digest, shown)


def _difference(
    session: Session, reference: Reference, found: Content, wanted: Expectation, source: Source | None
) -> str | None:
    """Why the registry's content is not what was asked for."""
    remote = session.remote(reference.repository)
    if reference.digest and found.digest != reference.digest:
        return f"the tag is at {found.digest}"
    if source and identity(found, lambda entry: remote.get(entry.digest)) != source.identity:
        return f"it is not the image {source.name}"
    return _stale(session, reference, found) if wanted.local else None


def _stale(session: Session, reference: Reference, found: Content) -> str | None:
    """Whether the engine holds another image under the tag: docker run would start it without asking."""
    name = f"{session.engine_name(reference.repository)}:{reference.target}"
    held = session.engine.inspect(name)
    if held is None or held.id in {str(found.digest), config_of(found)}:
        return None
    if any(text.endswith(f"@{found.digest}") for text in held.repo_digests):
        return None
    return f"the engine's own {name} is another image: docker pull {name}"


def config_of(content: Content) -> str | None:
    """The config digest of a single image."""
    return str(content.config.digest) if isinstance(content, Manifest) else None


def platforms(remote: RemoteRepository, content: Content) -> tuple[str, ...]:
    """The platforms of an image, by its index entries or its config."""
    if isinstance(content, Index):
        return tuple(str(entry.platform) for entry in content.images if entry.platform)
    with remote.open_blob(content.config) as stream:
        return (str(platform_of_config(stream.read())),)


def _say(
    reference: Reference,
    state: VerdictState,
    detail: str,
    digest: Digest | None = None,
    found: tuple[str, ...] = (),
) -> Verdict:
    return Verdict(
        reference=str(reference),
        digest=None if digest is None else str(digest),
        platforms=found,
        state=state,
        detail=detail,
    )

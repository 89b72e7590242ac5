"""Bring content into repositories, by digest; no tag moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.archives.source import Transport
from publisher.model.errors import UsageError
from publisher.model.manifest import Content, Index
from publisher.model.protocols import StoredImage
from publisher.model.reference import Reference
from publisher.registry.image import RemoteImage
from publisher.transfer.assemble import assemble
from publisher.transfer.direct import send_loose
from publisher.transfer.identity import platform_of
from publisher.transfer.stored import send_stored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from publisher.model.manifest import Platform
    from publisher.model.reference import Repository
    from publisher.registry.repository import RemoteRepository
    from publisher.transfer.compression import Compression
    from publisher.workflows.session import Session
    from publisher.workflows.sources import Source


@dataclass(frozen=True, slots=True)
class Pushed:
    """The content as it is in the repositories, and the way it took: "direct", "engine" or "copy"."""

    content: Content
    via: str


@dataclass(frozen=True, slots=True)
class Shipping:
    """How content is sent. `annotations` go into indexes that are made here."""

    via: str
    compression: Compression
    annotations: Mapping[str, str]


def push(session: Session, sources: Sequence[Source], repositories: Sequence[Repository], how: Shipping) -> Pushed:
    """Send all sources to the first repository, as one index if they are several; then copy it to the others."""
    first, *others = repositories
    remote = session.remote(first)
    sent = [_send(session, source, remote, how) for source in sources]
    content = sent[0].content
    if len(sent) > 1:
        parts = [pushed.content for pushed in sent]
        content = assemble(parts, platform_reader(remote), how.annotations)
        remote.put_manifest(content)
    for other in others:
        copy(session, remote, content, other)
    return Pushed(content, sent[0].via)


def copy(session: Session, origin: RemoteRepository, content: Content, target: Repository) -> None:
    """Bring content from one repository to another; blobs are mounted within one registry."""
    image = RemoteImage(origin, Reference(origin.repository, digest=content.digest))
    near = (origin.repository,) if origin.repository.registry == target.registry else ()
    send_stored(image, session.remote(target), session.progress, origins=near, root=content)


def _send(session: Session, source: Source, remote: RemoteRepository, how: Shipping) -> Pushed:
    if how.via == "engine" and source.name.transport is not Transport.DAEMON:
        raise UsageError(f"--via engine needs an image of the engine, not {source.name}")
    if isinstance(source.image, StoredImage):
        near = _nearby(source, remote)
        content = send_stored(source.image, remote, session.progress, origins=near, root=source.root)
        return Pushed(content, "copy")
    if how.via == "engine" and _engine_can(session):
        return Pushed(_through_engine(session, source, remote), "engine")
    how.compression.check()
    manifest = send_loose(source.image, remote, how.compression, {}, session.progress)
    remote.put_manifest(manifest)
    return Pushed(manifest, "direct")


def _nearby(source: Source, remote: RemoteRepository) -> tuple[Repository, ...]:
    if source.name.transport is not Transport.REGISTRY:
        return ()
    origin = Reference.parse(source.name.rest).repository
    return (origin,) if origin.registry == remote.repository.registry else ()


def _engine_can(session: Session) -> bool:
    """Whether the engine reaches a relay on our loopback; `direct` serves the rest."""
    if session.engine.is_podman:
        session.progress.warn("podman wants TLS of a relay on this machine: sending directly")
        return False
    if session.engine.loopback_is_ours:
        return True
    session.progress.warn(f"the engine at {session.engine.address} does not share our loopback: sending directly")
    return False


def _through_engine(session: Session, source: Source, remote: RemoteRepository) -> Content:
    """The engine pushes to a relay of ours: it gets no credential and moves no tag."""
    from publisher.registry.relay import Relay

    with Relay(remote) as relay:
        try:
            stated = session.engine.push(source.name.rest, relay.repository, "publish")
        except Exception:
            if relay.failure is not None:
                raise relay.failure from None
            raise
        content = relay.content
    if content is None or content.digest != stated:
        raise UsageError(f"the engine says it pushed {stated}, and the relay has another manifest")
    return content


def platform_reader(remote: RemoteRepository) -> Callable[[Content], Platform]:
    """What tells the platform of a single image in `remote`."""

    def read(content: Content) -> Platform:
        if isinstance(content, Index):
            raise UsageError("an index has no platform of its own")
        return platform_of(content, remote.open_blob)

    return read

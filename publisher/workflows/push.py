"""Bring content into repositories, by digest; no tag moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.archives.source import Transport
from publisher.model.errors import UsageError
from publisher.model.manifest import Content, Index
from publisher.model.protocols import StoredImage
from publisher.model.reference import Reference
from publisher.model.value import Value
from publisher.registry.image import RemoteImage
from publisher.transfer.assemble import assemble
from publisher.transfer.identity import platform_of
from publisher.transfer.stored import send_stored
from publisher.workflows.carry import carry, carry_referrers
from publisher.workflows.reuse import find_leads
from publisher.workflows.through_engine import NeverReached, choose_way, through_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from publisher.model.digest import Digest
    from publisher.model.manifest import Descriptor, Platform
    from publisher.model.protocols import LooseImage
    from publisher.model.reference import Repository
    from publisher.registry.repository import RemoteRepository
    from publisher.transfer.compression import Compression
    from publisher.workflows.reuse import Leads
    from publisher.workflows.session import Session
    from publisher.workflows.sources import Source


class Pushed(Value, frozen=True):
    """The content as it is in the repositories, and the way it took: "direct", "engine" or "copy"."""

    content: Content
    via: str


class Shipping(Value, frozen=True):
    """How content is sent. `annotations` go into indexes that are made here.

    previous: manifests in the first repository whose layers may be used again.
    """

    via: str
    compression: Compression
    annotations: Mapping[str, str]
    previous: tuple[Digest, ...] = ()


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
        carry(session, remote, content, other)
    return Pushed(content, sent[0].via)


def _send(session: Session, source: Source, remote: RemoteRepository, how: Shipping) -> Pushed:
    if how.via == "engine" and source.name.transport is not Transport.DAEMON:
        raise UsageError(f"--via engine needs an image of the engine, not {source.name}")
    if isinstance(source.image, StoredImage):
        near = _nearby(source, remote)
        cache = session.blob_cache
        content = send_stored(source.image, remote, session.progress, origins=near, root=source.root, cache=cache)
        if isinstance(source.image, RemoteImage):
            carry_referrers(session, source.image.remote, content, remote.repository)
        return Pushed(content, "copy")
    how.compression.check()
    leads = find_leads(session, source.image, source.held, remote, how.compression, how.previous)
    if choose_way(session, source, leads, how) == "engine":
        try:
            return Pushed(through_engine(session, source, remote, leads), "engine")
        except NeverReached as error:
            session.progress.warn(f"{error.message}: sending directly")
    return Pushed(_directly(session, source.image, remote, leads, how), "direct")


def _directly(session: Session, image: LooseImage, remote: RemoteRepository, leads: Leads, how: Shipping) -> Content:
    from publisher.transfer.direct import send_loose

    def remember(diff_id: Digest, blob: Descriptor) -> None:
        session.blob_cache.remember(remote.repository, how.compression, {diff_id: blob})

    delivery = send_loose(image, remote, how.compression, leads.guesses, session.progress, remember)
    there = delivery.there
    new = {diff_id: blob for diff_id, blob in there.held.items() if diff_id in there.mounted}
    session.blob_cache.remember(remote.repository, how.compression, new)
    session.tell(
        f"transfer: {len(there.held) - len(there.mounted)} layers were there, {len(there.mounted)} mounted, "
        f"{len(delivery.sent)} compressed and sent ({sum(blob.size for blob in delivery.sent.values()):,} bytes)"
    )
    remote.put_manifest(delivery.manifest)
    return delivery.manifest


def _nearby(source: Source, remote: RemoteRepository) -> tuple[Repository, ...]:
    if source.name.transport is not Transport.REGISTRY:
        return ()
    origin = Reference.parse(source.name.rest).repository
    return (origin,) if origin.registry == remote.repository.registry else ()


def platform_reader(remote: RemoteRepository) -> Callable[[Content], Platform]:
    """What tells the platform of a single image in `remote`."""

    def read(content: Content) -> Platform:
        if isinstance(content, Index):
            raise UsageError("an index has no platform of its own")
        return platform_of(content, remote.open_blob)

    return read

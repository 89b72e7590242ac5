"""Bring content into repositories, by digest; no tag moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from publisher.archives.source import Transport
from publisher.model.errors import PublishError, UsageError
from publisher.model.manifest import Content, Manifest
from publisher.model.protocols import StoredImage
from publisher.model.value import Value
from publisher.registry.image import RemoteImage
from publisher.transfer.assemble import assemble
from publisher.transfer.copy import send_stored
from publisher.transfer.route import choose_route
from publisher.workflows.content.copy import carry, carry_referrers
from publisher.workflows.content.layer_hints import find_layer_hints
from publisher.workflows.content.sources import sizes_in_engine, unpacked_source
from publisher.workflows.content.store_image import StoreImage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from publisher.model.digest import Digest
    from publisher.model.manifest import Content, Descriptor, Platform
    from publisher.model.protocols import LooseImage
    from publisher.model.reference import Repository
    from publisher.registry.repository import RemoteRepository
    from publisher.transfer.compression import Compression
    from publisher.workflows.content.layer_hints import LayerHints
    from publisher.workflows.content.sources import Source
    from publisher.workflows.session import Session


def route_name(session: Session, source: Source, hints: LayerHints, how: Shipping) -> str:
    """The way that was asked for, where it can be gone, else the cheaper one: engine or direct."""
    if how.via == "direct" or source.held is None:
        return "direct"
    bar = _bar(session, source, how)
    if how.via == "engine":
        if bar:
            session.progress.warn(f"{bar}: sending directly")
        return "direct" if bar else "engine"
    route = choose_route(hints.transfer_cost(source.held, () if bar else sizes_in_engine(session, source.held), bar))
    session.tell(f"transfer: {route.name}: {route.reason}")
    return route.name


def _engine_pushes(session: Session, image: StoreImage, how: Shipping) -> bool:
    """Whether an engine with a containerd store sends its blobs itself; an option that can't be obeyed is told."""
    if how.via == "engine" and image.bar:
        session.progress.warn(f"{image.bar}: sending directly")
    way = "direct" if how.via == "direct" or image.bar else "engine"
    session.tell(f"transfer: {way}: {image.bar or 'the engine holds compressed blobs'}")
    return way == "engine"


def _bar(session: Session, source: Source, how: Shipping) -> str:
    """Why the engine can't push this; "" where it can."""
    if source.held and source.held.id != str(source.held.config):
        return "the engine would push the layers as its containerd store has them, not compressed"
    if session.engine.is_podman:
        return "podman wants TLS of a relay on this machine"
    if not session.engine.loopback_is_ours:
        return f"the engine at {session.engine.address} does not share our loopback"
    if how.compression.name != "gzip":
        return f"the engine compresses with gzip, not with {how.compression.name}"
    if how.via == "auto" and source.held and not source.held.references:
        return "the image has no name, which the engine needs to keep it"
    return ""


class NeverReached(PublishError):
    """The engine failed before it asked the relay for anything: nothing was sent, another way may do."""


def through_engine(session: Session, source: Source, remote: RemoteRepository, hints: LayerHints) -> Content:
    """Let the engine push; it gets no credential and moves no tag. Returns what the registry holds then.

    Raises NeverReached where the engine didn't come to the relay, and what went wrong on the way to the registry.
    """
    from publisher.registry.relay.server import Relay

    with Relay(remote, hints.origins) as relay:
        try:
            stated = session.engine.push(source.name.rest, relay.repository, "publish")
        except PublishError as error:
            if relay.failure is not None:
                raise relay.failure from None
            if not relay.was_reached:
                raise NeverReached(f"the engine can't reach a relay on this machine: {error.message}") from error
            raise
        content = relay.content
    if content is None or content.digest != stated:
        raise UsageError(f"the engine says it pushed {stated}, and the relay has another manifest")
    session.tell(f"transfer: {relay.tally}")
    return content


class Pushed(Value, frozen=True):
    """The content as it is in the repositories, and the way it took: "direct", "engine" or "copy"."""

    content: Content
    via: str


def prove_nothing() -> None:
    """The right to push shows when something is sent."""


class Shipping(Value, frozen=True):
    """How content is sent. `annotations` go into indexes that are made here.

    previous: manifests in the first repository whose layers may be used again. is_explicit: whether the compression was
    asked for, and isn't the default. prove: shows the right to push, before anything is sent.
    """

    via: str
    compression: Compression
    annotations: Mapping[str, str]
    previous: tuple[Digest, ...] = ()
    is_explicit: bool = False
    prove: Callable[[], None] = prove_nothing


def push(session: Session, sources: Sequence[Source], remotes: Sequence[RemoteRepository], how: Shipping) -> Pushed:
    """Send all sources to the first repository, as one index if they are several; then copy it to the others."""
    remote, *others = remotes
    are_here = not others and all(source.registry_home is remote for source in sources)
    if not are_here and (len(sources) > 1 or not _has_blobs(sources[0])):
        how.prove()
        how = replace(how, prove=prove_nothing)
    images = session.parallel(lambda source: _send(session, source, remote, how), sources)
    content = images[0].content
    if len(images) > 1:
        contents = [pushed.content for pushed in images]
        content = assemble(contents, _platforms(session, sources, contents).__getitem__, how.annotations)
        remote.put_manifest(content)
    session.parallel(lambda other: carry(session, remote, content, other), others)
    return Pushed(content, images[0].via)


def _platforms(session: Session, sources: Sequence[Source], contents: Sequence[Content]) -> dict[Content, Platform]:
    """What each single image runs on."""
    single = [
        (source, content) for source, content in zip(sources, contents, strict=True) if isinstance(content, Manifest)
    ]
    platforms = session.parallel(lambda pair: pair[0].platform, single)
    return {content: platform for (_source, content), platform in zip(single, platforms, strict=True)}


def _has_blobs(source: Source) -> bool:
    """Whether an image is sent blob by blob, each of which can be asked for before."""
    return isinstance(source.image, StoredImage) and not isinstance(source.image, StoreImage)


def _send(session: Session, source: Source, remote: RemoteRepository, how: Shipping) -> Pushed:
    if how.via == "engine" and source.name.transport is not Transport.DAEMON:
        raise UsageError(f"--via engine needs an image of the engine, not {source.name}")
    if how.is_explicit and isinstance(source.image, StoredImage):
        session.progress.warn(f"{source.name} has blobs of its own, which pass as they are: no compression is applied")
    if isinstance(source.image, StoreImage):
        return _send_from_engine(session, source, source.image, remote, how)
    if isinstance(source.image, StoredImage):
        if source.registry_home is remote and source.root:
            return Pushed(source.root, "copy")
        near = _nearby(source, remote)
        cache = session.blob_cache
        content = send_stored(
            source.image,
            remote,
            session.progress,
            origins=near,
            root=source.root,
            cache=cache,
            beside=[how.prove],
        )
        if isinstance(source.image, RemoteImage):
            carry_referrers(session, source.image.remote, content, remote)
        return Pushed(content, "copy")
    how.compression.check()
    registry = remote.repository.registry
    # Layers that another image of this run is about to send are there once it has.
    with session.blob_cache.turns.take(registry, source.image.diff_ids):
        return _send_layers(session, source, source.image, remote, how)


def _send_layers(
    session: Session, source: Source, image: LooseImage, remote: RemoteRepository, how: Shipping
) -> Pushed:
    hints = find_layer_hints(session, image, source.held, remote, how.compression, how.previous)
    if route_name(session, source, hints, how) == "engine":
        try:
            return Pushed(through_engine(session, source, remote, hints), "engine")
        except NeverReached as error:
            session.progress.warn(f"{error.message}: sending directly")
    return Pushed(_directly(session, image, remote, hints, how), "direct")


def _send_from_engine(
    session: Session, source: Source, image: StoreImage, remote: RemoteRepository, how: Shipping
) -> Pushed:
    from publisher.workflows.content.store_send import Unpacked, send_from_store

    by_engine = _engine_pushes(session, image, how)
    try:
        content = send_from_store(session, image, source.narrowed, remote, by_engine=by_engine)
    except Unpacked:
        source.is_recompressed = True
        session.progress.warn(
            f"the engine holds {source.name} uncompressed: compressed it has another digest than planned"
        )
        return _send(session, unpacked_source(session, source.name, image), remote, how)
    return Pushed(content, "engine" if by_engine else "direct")


def _directly(
    session: Session, image: LooseImage, remote: RemoteRepository, hints: LayerHints, how: Shipping
) -> Content:
    from publisher.transfer.export import send_loose

    def remember(diff_id: Digest, blob: Descriptor) -> None:
        session.blob_cache.remember(remote.repository, how.compression, {diff_id: blob})

    delivery = send_loose(image, remote, how.compression, hints.guesses, session.progress, remember)
    there = delivery.present
    new = {diff_id: blob for diff_id, blob in there.layers.items() if diff_id in there.mounted}
    session.blob_cache.remember(remote.repository, how.compression, new)
    session.tell(
        f"transfer: {len(there.layers) - len(there.mounted)} layers were there, {len(there.mounted)} mounted, "
        f"{len(delivery.sent)} compressed and sent ({sum(blob.size for blob in delivery.sent.values()):,} bytes)"
    )
    remote.put_manifest(delivery.manifest)
    return delivery.manifest


def _nearby(source: Source, remote: RemoteRepository) -> tuple[Repository, ...]:
    origin = source.image.remote.repository if isinstance(source.image, RemoteImage) else None
    return (origin,) if origin and origin.registry == remote.repository.registry else ()

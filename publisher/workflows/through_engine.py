"""An image that the engine pushes itself, to a relay of ours."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from publisher.model.errors import PublishError, UsageError
from publisher.transfer.ways import choose

if TYPE_CHECKING:
    from publisher.engine.image import EngineImage
    from publisher.model.manifest import Content
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.push import Shipping
    from publisher.workflows.reuse import Leads
    from publisher.workflows.session import Session
    from publisher.workflows.sources import Source


def choose_way(session: Session, source: Source, leads: Leads, how: Shipping) -> str:
    """The way that was asked for, where it can be gone, else the cheaper one: engine or direct."""
    if how.via == "direct" or source.held is None:
        return "direct"
    bar = _bar(session, source, how)
    if how.via == "engine":
        if bar:
            session.progress.warn(f"{bar}: sending directly")
        return "direct" if bar else "engine"
    way = choose(leads.cargo(source.held, () if bar else _sizes(session, source.held), bar))
    session.tell(f"transfer: {way.name}: {way.reason}")
    return way.name


def _sizes(session: Session, held: EngineImage) -> tuple[int, ...]:
    """Of its layers; none where the engine doesn't say, and then the estimate is a higher one."""
    from publisher.engine.relatives import layer_sizes

    with suppress(PublishError):
        return layer_sizes(session.engine, held.id)
    return ()


def _bar(session: Session, source: Source, how: Shipping) -> str:
    """Why the engine can't push this; "" where it can."""
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


def through_engine(session: Session, source: Source, remote: RemoteRepository, leads: Leads) -> Content:
    """Let the engine push; it gets no credential and moves no tag. Returns what the registry holds then.

    Raises NeverReached where the engine didn't come to the relay, and what went wrong on the way to the registry.
    """
    from publisher.registry.relay import Relay

    with Relay(remote, leads.origins) as relay:
        try:
            stated = session.engine.push(source.name.rest, relay.repository, "publish")
        except PublishError as error:
            if relay.failure is not None:
                raise relay.failure from None
            if not relay.was_asked:
                raise NeverReached(f"the engine can't reach a relay on this machine: {error.message}") from error
            raise
        content = relay.content
    if content is None or content.digest != stated:
        raise UsageError(f"the engine says it pushed {stated}, and the relay has another manifest")
    session.tell(f"transfer: {relay.tally}")
    return content

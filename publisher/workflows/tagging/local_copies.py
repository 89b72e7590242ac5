"""The classic trap: `docker run` starts a local copy of a tag without asking the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.errors import PublishError
from publisher.model.manifest import Content, Manifest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.engine.connection import Engine
    from publisher.model.digest import Digest
    from publisher.model.receipt import Receipt
    from publisher.model.reference import Reference, Tag
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.destination import Destination
    from publisher.workflows.session import Session


def warn_of_stale_copies(
    session: Session,
    receipt: Receipt,
    destinations: Iterable[Destination],
    *,
    content: Content | None = None,
    pull: bool = False,
) -> None:
    """Name each written tag under which the engine holds another image, or pull it.

    content: what the run has in hand; what another tag was moved to is read where the engine knows the tag's name.
    """
    engine = session.engine_at_hand
    if engine is None:
        return
    by_repository = {destination.repository: destination for destination in destinations}
    for change in receipt.moves:
        if not change.state.is_written or change.after is None:
            continue
        remote = by_repository[change.reference.repository].remote
        try:
            name = _stale_name(session, engine, remote, change.reference.tag, change.after, content)
        except PublishError as error:
            session.progress.warn(f"the engine's copy of {change.reference} could not be compared: {error.message}")
            continue
        if name is None:
            continue
        if pull:
            _pull(session, name, change.reference)
        else:
            session.progress.warn(f"the engine's own {name} is an older image: docker pull {name}")


def _stale_name(
    session: Session, engine: Engine, remote: RemoteRepository, tag: Tag, digest: Digest, content: Content | None
) -> str | None:
    reference = remote.repository.tag(tag)
    if content is None or content.digest != digest:
        if engine.inspect(_name(session, reference)) is None:
            return None
        content = remote.get(digest)
    return stale_copy(session, engine, reference, content)


def stale_copy(session: Session, engine: Engine, reference: Reference, content: Content) -> str | None:
    """What the engine calls `reference`, if it holds another image than `content` under that name; else None."""
    name = _name(session, reference)
    image = engine.inspect(name)
    ours = {str(content.digest)} | ({str(content.config.digest)} if isinstance(content, Manifest) else set())
    if image is None or image.id in ours or any(text.endswith(f"@{content.digest}") for text in image.repo_digests):
        return None
    return name


def _name(session: Session, reference: Reference) -> str:
    return f"{session.engine_name(reference.repository)}:{reference.target}"


def _pull(session: Session, name: str, reference: Reference) -> None:
    try:
        session.engine.pull_tag(name, session.engine_credential(reference.repository))
    except PublishError as error:
        session.progress.warn(f"docker pull {name} failed: {error.message}")
    else:
        session.progress.step(f"pulled   {name}")

"""The classic trap: `docker run` starts a local copy of a tag without asking the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.errors import PublishError
from publisher.model.manifest import Content, Manifest
from publisher.model.receipt import State
from publisher.model.reference import Reference

if TYPE_CHECKING:
    from publisher.engine.connection import Engine
    from publisher.model.receipt import Receipt
    from publisher.workflows.session import Session


def warn_of_stale_copies(session: Session, receipt: Receipt, content: Content, *, pull: bool) -> None:
    """Name each moved tag under which the engine holds another image, or pull it."""
    engine = session.engine_at_hand
    if engine is None:
        return
    for change in receipt.moves:
        if change.state is not State.DONE or change.after != str(content.digest):
            continue
        reference = Reference.parse(change.reference)
        name = stale_copy(session, engine, reference, content)
        if name is None:
            continue
        if pull:
            _pull(session, name, reference)
        else:
            session.progress.warn(f"the engine's own {name} is an older image: docker pull {name}")


def stale_copy(session: Session, engine: Engine, reference: Reference, content: Content) -> str | None:
    """What the engine calls `reference`, if it holds another image than `content` under that name; else None."""
    name = f"{session.engine_name(reference.repository)}:{reference.target}"
    held = engine.inspect(name)
    ours = {str(content.digest)} | ({str(content.config.digest)} if isinstance(content, Manifest) else set())
    if held is None or held.id in ours or any(text.endswith(f"@{content.digest}") for text in held.repo_digests):
        return None
    return name


def _pull(session: Session, name: str, reference: Reference) -> None:
    try:
        session.engine.pull_tag(name, session.engine_credential(reference.repository))
    except PublishError as error:
        session.progress.warn(f"docker pull {name} failed: {error.message}")
    else:
        session.progress.step(f"pulled   {name}")

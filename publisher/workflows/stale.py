"""The classic trap: `docker run` starts a local copy of a tag without asking the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.errors import PublishError
from publisher.model.manifest import Content, Manifest
from publisher.model.receipt import State
from publisher.model.reference import Reference

if TYPE_CHECKING:
    from publisher.model.receipt import Receipt
    from publisher.workflows.session import Session


def warn_of_stale_copies(session: Session, receipt: Receipt, content: Content, *, pull: bool) -> None:
    """Name each moved tag under which the engine holds another image, or pull it."""
    engine = session.engine_at_hand
    if engine is None:
        return
    ours = {str(content.digest)} | ({str(content.config.digest)} if isinstance(content, Manifest) else set())
    for change in receipt.moves:
        if change.state is not State.DONE or change.after != str(content.digest):
            continue
        name = local_name(session, Reference.parse(change.reference))
        held = engine.inspect(name)
        if held is None or held.id in ours or _holds_digest(held.repo_digests, str(content.digest)):
            continue
        if pull:
            _pull(session, name, Reference.parse(change.reference))
        else:
            session.progress.warn(f"the engine's own {name} is an older image: docker pull {name}")


def local_name(session: Session, reference: Reference) -> str:
    """What the engine calls a reference."""
    return f"{session.engine_name(reference.repository)}:{reference.tag}"


def _holds_digest(repo_digests: tuple[str, ...], digest: str) -> bool:
    return any(text.endswith(f"@{digest}") for text in repo_digests)


def _pull(session: Session, name: str, reference: Reference) -> None:
    repository = reference.repository
    credential = None if session.sandbox else session.credentials.find(repository.registry, repository.name)
    try:
        session.engine.pull_tag(name, credential)
    except PublishError as error:
        session.progress.warn(f"docker pull {name} failed: {error.message}")
    else:
        session.progress.step(f"pulled   {name}")

"""What a release asks Docker Hub before it sends anything: which tags are frozen, and whether there is a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.errors import ImmutableTag, PublishError
from publisher.model.plan import Action, Kind
from publisher.model.reference import Reference
from publisher.workflows.hub import create_page, frozen_by

if TYPE_CHECKING:
    from publisher.hub.repository import HubPage
    from publisher.hub.shapes import HubRepository
    from publisher.model.plan import Move
    from publisher.model.reference import Repository
    from publisher.workflows.plan import Draft
    from publisher.workflows.session import Session


def refuse_frozen(session: Session, made: Draft) -> None:
    """Raise ImmutableTag for a plan that an immutable rule would stop halfway; warn of tags that it freezes."""
    for repository in made.job.repositories:
        moves = [move for move in made.plan.moves if Reference.parse(move.reference).repository == repository]
        changing = [move for move in moves if move.action is Action.MOVE]
        floating = [move for move in moves if move.action is Action.CREATE and move.kind is not Kind.EXACT]
        if not repository.on_hub or not (changing or (floating and made.published[repository].tags)):
            continue
        page = session.hub(repository)
        held = _settings(session, page)
        if held is None or not held.immutable.enabled:
            continue
        for move in changing:
            if rule := frozen_by(page, held, move.tag):
                raise _frozen(move, rule)
        for move in floating:
            if rule := frozen_by(page, held, move.tag):
                session.progress.warn(f"{move.reference} can be written once only: the immutable rule '{rule}' fits it")


def _settings(session: Session, page: HubPage) -> HubRepository | None:
    """The registry takes a push without Docker Hub's API: that it can't be asked only leaves the rules unknown."""
    try:
        return page.find()
    except PublishError as error:
        session.progress.warn(f"the immutable rules of {page.repository} are unknown: {error.message}")
        return None


def _frozen(move: Move, rule: str) -> ImmutableTag:
    return ImmutableTag(
        f"{move.reference} would have to move, and Docker Hub's immutable rule '{rule}' freezes it",
        reference=move.reference,
        hint="change the rule: [hub] immutable in publish.toml and 'publish hub settings', or the tag rules",
    )


def create_missing(session: Session, made: Draft, repository: Repository) -> None:
    """With [hub] create the repository is made first: a push would give it the account's default visibility."""
    settings = made.job.settings.hub
    if not settings.create or not repository.on_hub or made.published[repository].tags:
        return
    page = session.hub(repository)
    if page.find() is None:
        session.progress.step(f"created  {repository} ({create_page(page, settings)})")

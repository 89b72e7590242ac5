"""Every version and every floating tag, beside where it belongs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from publisher.model.status import FloatingStatus, RepositoryStatus, Status, VersionStatus
from publisher.planning.candidates import PlanRequest, bound_rules
from publisher.planning.lines import Published
from publisher.planning.survey import survey, survey_reads
from publisher.workflows.jobs import jobs
from publisher.workflows.plan import request_of
from publisher.workflows.survey import read_tags

if TYPE_CHECKING:
    from publisher.model.reference import Repository
    from publisher.planning.rules import Ruleset
    from publisher.planning.survey import Survey
    from publisher.workflows.jobs import Wish
    from publisher.workflows.session import Session


@dataclass(frozen=True, slots=True)
class Place:
    """A repository with the rules that its tags follow, and its name as the user wrote it."""

    repository: Repository
    written: str
    ruleset: Ruleset


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found in one place."""

    place: Place
    state: Published
    survey: Survey


def places(session: Session, wish: Wish) -> tuple[Place, ...]:
    """The repositories that configuration and options name, each with its image's rules."""
    found: dict[Repository, Place] = {}
    for job in jobs(session.settings, wish):
        request = request_of(session, job, wish)
        ruleset = bound_rules(request, session.facts)
        for repository in job.repositories:
            found.setdefault(repository, Place(repository, repository.familiar, ruleset))
    session.aim(found)
    return tuple(found.values())


def place_of(session: Session, repository: Repository, wish: Wish) -> Place:
    """One repository, with the rules of the image that names it, else those of the options, else the default ones."""
    settings = session.settings
    named = settings.images if isinstance(settings.images, dict) else {}
    for job in jobs(settings, wish, nameless=True) if named or settings.images else ():
        if repository in job.repositories:
            return Place(repository, repository.familiar, bound_rules(request_of(session, job, wish), session.facts))
    request = PlanRequest(rules=wish.rules or settings.tags.rules, flavor=wish.flavor or settings.tags.flavor)
    return Place(repository, repository.familiar, bound_rules(request, session.facts))


def look(session: Session, place: Place) -> Looked:
    """One tag list, and one HEAD for each tag that is a version, a marker, or may float."""
    remote = session.remote(place.repository)
    tags = frozenset(remote.tags())
    state = Published(tags, read_tags(session, remote, survey_reads(place.ruleset, tags)))
    return Looked(place, state, survey(place.ruleset, state))


def status(session: Session, wish: Wish) -> Status:
    """Look at every place."""
    found = [_of_place(look(session, place)) for place in places(session, wish)]
    return Status(repositories=tuple(found), sandbox=True if session.sandbox else msgspec.UNSET)


def _of_place(found: Looked) -> RepositoryStatus:
    return RepositoryStatus(
        repository=str(found.place.repository),
        versions=tuple(
            VersionStatus(version=str(one.version), tag=str(one.tags[0]), digest=_text(one.digest), yanked=one.yanked)
            for one in found.survey.versions
        ),
        floating=tuple(
            FloatingStatus(
                tag=str(line.tag),
                digest=_text(line.digest),
                desired=_text(line.desired),
                version=_text(line.version),
                state=str(line.state),
            )
            for line in found.survey.lines
        ),
        foreign=found.survey.foreign,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)

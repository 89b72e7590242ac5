"""Every version and every floating tag, beside where it belongs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from publisher.model.digest import Digest
from publisher.model.documents import FloatingStatus, RepositoryStatus, Status, VersionStatus
from publisher.model.manifest import Index
from publisher.model.reference import Repository
from publisher.model.value import Value
from publisher.planning.candidates import PlanRequest, bound_rules
from publisher.planning.lines import LineState, Published, survey, survey_reads
from publisher.workflows.jobs import jobs
from publisher.workflows.plan import request_of
from publisher.workflows.tagging.stated_versions import ask_images
from publisher.workflows.tagging.survey import read_tags

if TYPE_CHECKING:
    from publisher.planning.lines import Survey
    from publisher.planning.rules import Ruleset
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.jobs import PlanOptions
    from publisher.workflows.session import Session


_MOST_AGES = 32
_TOO_OLD = 365 * 40
_DAY = 24
_LARGEST_CONFIG = 4 << 20


class RepositoryRules(Value, frozen=True):
    """A repository with the rules that its tags follow, and its name as the user wrote it."""

    repository: Repository
    written: str
    ruleset: Ruleset


class SurveyedRepository(Value, frozen=True):
    """What was found in one place."""

    place: RepositoryRules
    state: Published
    survey: Survey


def places(session: Session, wish: PlanOptions) -> tuple[RepositoryRules, ...]:
    """The repositories that configuration and options name, each with its image's rules."""
    found: dict[Repository, RepositoryRules] = {}
    for job in jobs(session.settings, wish):
        request = request_of(session, job, wish)
        ruleset = bound_rules(request, session.facts)
        for repository in job.repositories:
            found.setdefault(repository, RepositoryRules(repository, repository.familiar, ruleset))
    session.aim(found)
    return tuple(found.values())


def place_of(session: Session, repository: Repository, wish: PlanOptions) -> RepositoryRules:
    """One repository, with the rules of the image that names it, else those of the options, else the default ones."""
    settings = session.settings
    named = settings.images if isinstance(settings.images, dict) else {}
    for job in jobs(settings, wish, nameless=True) if named or settings.images else ():
        if repository in job.repositories:
            return RepositoryRules(
                repository, repository.familiar, bound_rules(request_of(session, job, wish), session.facts)
            )
    request = PlanRequest(rules=wish.rules or settings.tags.rules, flavor=wish.flavor or settings.tags.flavor)
    return RepositoryRules(repository, repository.familiar, bound_rules(request, session.facts))


def survey_repository(session: Session, place: RepositoryRules) -> SurveyedRepository:
    """One tag list, and one HEAD for each tag that is a version, a marker, or may float.

    A floating tag that the list doesn't show is asked for too: lists may lag behind.
    """
    remote = session.remote(place.repository)
    tags = frozenset(remote.tags())
    state = Published(tags, read_tags(session, remote, survey_reads(place.ruleset, tags)))
    state = ask_images(session, remote, place.ruleset, state)
    found = survey(place.ruleset, state)
    late = read_tags(session, remote, (line.tag for line in found.lines if line.state is LineState.MISSING))
    if late:
        state = Published(tags | late.keys(), {**state.held, **late}, state.stated)
        found = survey(place.ruleset, state)
    for tag in found.untold:
        session.progress.warn(
            f"{tag} of {place.written} stays where it is: another tag may be a newer version, and its image doesn't say"
        )
    return SurveyedRepository(place, state, found)


def status(session: Session, wish: PlanOptions) -> Status:
    """Look at every place."""
    found = [_of_place(survey_repository(session, place)) for place in places(session, wish)]
    return Status(repositories=tuple(found), sandbox=True if session.sandbox else msgspec.UNSET)


def ages(session: Session, found: Status) -> dict[str, str]:
    """How old the images under the floating tags are, by digest, as their configs say; nothing where they don't.

    Docker Hub counts a look at a manifest as a pull, so that its images are left out.
    """
    asked = {
        (line.digest, one.repository): Repository.parse(one.repository)
        for one in found.repositories
        for line in one.floating
        if line.digest
    }
    near = [(digest, place) for (digest, _), place in asked.items() if not place.on_hub or session.sandbox]
    made = session.parallel(lambda entry: created(session.remote(entry[1]), Digest.parse(entry[0])), near[:_MOST_AGES])
    now = datetime.now(UTC)
    found_ages = {digest: _age(when, now) for (digest, _), when in zip(near, made, strict=False)}
    return {digest: age for digest, age in found_ages.items() if age}


def _age(created: str, now: datetime) -> str:
    try:
        passed = now - datetime.fromisoformat(created)
    except (ValueError, TypeError):
        return ""
    hours = int(passed.total_seconds() // 3600)
    # 1970 is what builders write for "no time at all".
    if hours < 0 or passed.days > _TOO_OLD:
        return ""
    return f"{passed.days} d" if hours >= _DAY else f"{hours} h"


def created(remote: RemoteRepository, digest: Digest) -> str:
    """When an image was made, as its config or its index says, in ISO 8601; "" where they don't."""
    content = remote.get(digest)
    if isinstance(content, Index):
        stated = content.annotations.get("org.opencontainers.image.created", "")
        return stated or (created(remote, content.images[0].digest) if content.images else "")
    with remote.open_blob(content.config) as stream:
        config = msgspec.json.decode(stream.read(_LARGEST_CONFIG))
    named = config.get("created") if isinstance(config, dict) else None
    return named if isinstance(named, str) else ""


def _of_place(found: SurveyedRepository) -> RepositoryStatus:
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

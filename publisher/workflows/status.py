"""Every version and every floating tag, beside where it belongs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from publisher.model.documents import FloatingStatus, RepositoryStatus, Status, VersionStatus
from publisher.model.manifest import Index
from publisher.planning.lines import VersionChoice
from publisher.planning.tag_reader import newest_first
from publisher.workflows.tagging.survey import configured_destinations, survey_repository

if TYPE_CHECKING:
    from publisher.model.digest import Digest
    from publisher.model.reference import Repository
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.jobs import PlanOptions
    from publisher.workflows.session import Session
    from publisher.workflows.tagging.survey import SurveyedRepository


NEWEST: Final = VersionChoice(50)
"""What is shown unless more is asked for."""
_MOST_AGES = 32
# An image's age takes its index, its manifest and its config.
_READS_OF_AN_AGE = 3
_TOO_OLD = 365 * 40
_DAY = 24
_LARGEST_CONFIG = 4 << 20


def status(session: Session, wish: PlanOptions, choice: VersionChoice = NEWEST) -> Status:
    """Look at every place: the chosen versions, and the floating tags that are like its glob."""
    destinations = configured_destinations(session, wish)
    return Status(
        repositories=tuple(
            _status_of(survey_repository(session, destination, choice), choice) for destination in destinations
        ),
        sandbox=True if session.sandbox else msgspec.UNSET,
    )


def ages(session: Session, status: Status) -> dict[Digest, str]:
    """How old the images under the floating tags are, by digest, as their configs say; nothing where they don't.

    Docker Hub counts a look at a manifest as a pull, so that its images are left out.
    """
    near = [
        entry
        for repository in status.repositories
        if session.sandbox or not repository.repository.on_hub
        for entry in _affordable(repository)
    ][:_MOST_AGES]
    times = session.parallel(lambda entry: created(session.remote(entry[1]), entry[0]), near)
    now = datetime.now(UTC)
    known = {digest: _age(time, now) for (digest, _), time in zip(near, times, strict=True)}
    return {digest: age for digest, age in known.items() if age}


def _affordable(repository: RepositoryStatus) -> list[tuple[Digest, Repository]]:
    """The digests whose age is asked for: in a crowd of versions only the first few, as each costs requests.

    All together a status takes two requests for each floating tag, and as many as the versions that it shows by itself.
    """
    versions = {version.version for version in repository.versions}
    owners = {line.version for line in repository.floating if line.version} - versions
    spare = len(repository.floating) + (NEWEST.newest or 0) - len(owners) - len(versions)
    digests = dict.fromkeys(line.digest for line in repository.floating if line.digest)
    return [(digest, repository.repository) for digest in digests][: max(spare, 0) // _READS_OF_AN_AGE]


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
        if stated := content.annotations.get("org.opencontainers.image.created"):
            return stated
        content = remote.get(content.images[0].digest) if content.images else content
    if isinstance(content, Index):
        return ""
    with remote.open_blob(content.config) as stream:
        config = _read_config(stream.read(_LARGEST_CONFIG))
    named = config.get("created") if isinstance(config, dict) else None
    return named if isinstance(named, str) else ""


def _read_config(content: bytes) -> object:
    """A config, which anybody may have pushed; None where it is none."""
    try:
        return msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _status_of(surveyed: SurveyedRepository, choice: VersionChoice) -> RepositoryStatus:
    versions = [published for published in surveyed.survey.versions if any(map(choice.takes, published.tags))]
    newest = versions[: choice.newest]
    lines = {line.tag: line for line in surveyed.survey.lines if choice.takes(line.tag)}
    return RepositoryStatus(
        repository=surveyed.destination.repository,
        versions=tuple(
            VersionStatus(
                version=str(published.version),
                tag=str(published.tags[0]),
                digest=published.digest,
                yanked=published.yanked,
            )
            for published in newest
        ),
        floating=tuple(
            FloatingStatus(
                tag=str(line.tag),
                digest=line.digest,
                desired=line.desired,
                version=str(line.version) if line.version else None,
                state=str(line.state),
            )
            for line in map(lines.__getitem__, newest_first(surveyed.destination.ruleset, lines))
        ),
        foreign=tuple(filter(choice.takes, surveyed.survey.foreign)),
        omitted=len(versions) - len(newest),
    )

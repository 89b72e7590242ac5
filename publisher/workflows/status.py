"""Every version and every floating tag, beside where it belongs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from publisher.model.documents import FloatingStatus, RepositoryStatus, Status, VersionStatus
from publisher.model.manifest import Index
from publisher.workflows.tagging.survey import configured_destinations, survey_repository

if TYPE_CHECKING:
    from publisher.model.digest import Digest
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.jobs import PlanOptions
    from publisher.workflows.session import Session
    from publisher.workflows.tagging.survey import SurveyedRepository


_MOST_AGES = 32
_TOO_OLD = 365 * 40
_DAY = 24
_LARGEST_CONFIG = 4 << 20


def status(session: Session, wish: PlanOptions) -> Status:
    """Look at every place."""
    destinations = configured_destinations(session, wish)
    return Status(
        repositories=tuple(_status_of(survey_repository(session, destination)) for destination in destinations),
        sandbox=True if session.sandbox else msgspec.UNSET,
    )


def ages(session: Session, status: Status) -> dict[Digest, str]:
    """How old the images under the floating tags are, by digest, as their configs say; nothing where they don't.

    Docker Hub counts a look at a manifest as a pull, so that its images are left out.
    """
    floating = [
        (line.digest, repository.repository)
        for repository in status.repositories
        for line in repository.floating
        if line.digest and (session.sandbox or not repository.repository.on_hub)
    ]
    near = tuple(dict.fromkeys(floating))[:_MOST_AGES]
    times = session.parallel(lambda entry: created(session.remote(entry[1]), entry[0]), near)
    now = datetime.now(UTC)
    known = {digest: _age(time, now) for (digest, _), time in zip(near, times, strict=True)}
    return {digest: age for digest, age in known.items() if age}


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


def _status_of(surveyed: SurveyedRepository) -> RepositoryStatus:
    return RepositoryStatus(
        repository=surveyed.destination.repository,
        versions=tuple(
            VersionStatus(
                version=str(published.version),
                tag=str(published.tags[0]),
                digest=published.digest,
                yanked=published.yanked,
            )
            for published in surveyed.survey.versions
        ),
        floating=tuple(
            FloatingStatus(
                tag=str(line.tag),
                digest=line.digest,
                desired=line.desired,
                version=str(line.version) if line.version else None,
                state=str(line.state),
            )
            for line in surveyed.survey.lines
        ),
        foreign=surveyed.survey.foreign,
    )

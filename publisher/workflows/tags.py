"""A repository's tags: what they hold, and which of them nothing keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.documents import GoneTag, KeptTag, Pruning, TagList, TagRow
from publisher.model.errors import ConfigError, PublishError, UsageError
from publisher.model.manifest import Index, Manifest
from publisher.model.reference import Tag
from publisher.model.value import read_time
from publisher.planning.retention import Stored, decide_retention
from publisher.workflows.jobs import PlanOptions, jobs
from publisher.workflows.status import created, place_of
from publisher.workflows.tagging.deletion import TagDeletion
from publisher.workflows.tagging.survey import read_heads
from publisher.workflows.verify import platforms, take_inventory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.hub.shapes import HubTag
    from publisher.model.manifest import Content, Descriptor
    from publisher.model.reference import Repository
    from publisher.model.settings import RetentionSettings
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.session import Session

_IMAGES = frozenset({media.OCI_CONFIG, media.DOCKER_CONFIG})


def list_tags(session: Session, repository: Repository) -> TagList:
    """Every tag with what it holds; on Docker Hub as its API tells, since a look at a manifest counts as a pull."""
    session.aim([repository])
    remote = session.remote(repository)
    held, told = read_heads(session, remote, remote.tags()), _told(session, repository)
    unknown = {one.digest for tag, one in held.items() if not _agrees(told.get(tag), one)}
    shown = session.parallel(lambda digest: _size_and_platforms(session, remote, remote.get(digest)), unknown)
    read = dict(zip(unknown, shown, strict=True))
    rows = [_row(tag, one, told.get(tag), read.get(one.digest)) for tag, one in sorted(held.items())]
    return TagList(repository=str(repository), tags=tuple(rows))


def _told(session: Session, repository: Repository) -> dict[str, HubTag]:
    """What Docker Hub's API says; that it can't be asked leaves its columns empty."""
    if not repository.on_hub:
        return {}
    try:
        return session.hub(repository).tags()
    except PublishError as error:
        session.progress.warn(f"Docker Hub's API doesn't tell sizes and times: {error.message}")
        return {}


def _agrees(told: HubTag | None, held: Descriptor) -> bool:
    """Whether the API speaks of what the registry holds: it may be late."""
    return told is not None and told.images is not None and told.digest == str(held.digest)


def _row(tag: str, held: Descriptor, told: HubTag | None, read: tuple[int, tuple[str, ...]] | None) -> TagRow:
    size, platforms = read or (0, ())
    if told and read is None:
        size = told.full_size or 0
        platforms = tuple(image.platform for image in told.images or () if image.platform)
    return TagRow(
        tag=tag,
        digest=str(held.digest),
        size=size,
        platforms=platforms,
        pushed=(told.tag_last_pushed or told.last_updated) if told else None,
        pulled=told.tag_last_pulled if told else None,
    )


def _size_and_platforms(session: Session, remote: RemoteRepository, content: Content) -> tuple[int, tuple[str, ...]]:
    is_artifact = isinstance(content, Manifest) and content.config.media_type not in _IMAGES
    return take_inventory(session, remote, content).size, () if is_artifact else platforms(remote, content)


# Prune.


def plan_prune(session: Session, repository: Repository) -> Pruning:
    """What [retention] keeps, and what would go; raises ConfigError where nothing says what to keep."""
    session.aim([repository])
    policy = _policy(session, repository)
    remote = session.remote(repository)
    held, told = read_heads(session, remote, remote.tags()), _told(session, repository)
    ages, entries = _ages(session, remote, held, told, policy), _entries(session, remote, held, told)
    found = [Stored(tag, one.digest, entries[one.digest], ages[tag]) for tag, one in held.items()]
    decided = decide_retention(
        place_of(session, repository, PlanOptions(labels={})).ruleset, policy, found, datetime.now(UTC)
    )
    return Pruning(
        repository=str(repository),
        applied=False,
        kept=tuple(
            KeptTag(tag=one.stored.tag, digest=str(one.stored.digest), reason=one.reason) for one in decided if one.kept
        ),
        gone=tuple(
            GoneTag(tag=one.stored.tag, digest=str(one.stored.digest), reason=one.reason)
            for one in decided
            if not one.kept
        ),
    )


def _policy(session: Session, repository: Repository) -> RetentionSettings:
    """The policy of the image that names the repository, else the file's."""
    settings = session.settings
    named = jobs(settings, PlanOptions(labels={}), nameless=True)
    own = next((job.settings.retention for job in named if repository in job.repositories), None)
    policy = own or settings.retention
    if policy is None:
        raise ConfigError(
            f"no [retention] says which tags of {repository} to keep",
            reference=repository,
            hint="write [retention] keep-last = 10 into publish.toml",
        )
    return policy


def _entries(
    session: Session, remote: RemoteRepository, held: Mapping[str, Descriptor], told: Mapping[str, HubTag]
) -> dict[Digest, frozenset[Digest]]:
    """What each content lists, by its digest; only an index that Docker Hub's API doesn't tell of is read."""
    found = {one.digest: _listed(told.get(tag), one) for tag, one in held.items()}
    unknown = [digest for digest, entries in found.items() if entries is None]
    read = session.parallel(remote.get, unknown)
    lists = {one.digest: one.manifests if isinstance(one, Index) else () for one in read}
    return {
        digest: frozenset(entry.digest for entry in lists[digest]) if entries is None else entries
        for digest, entries in found.items()
    }


def _listed(told: HubTag | None, held: Descriptor) -> frozenset[Digest] | None:
    if held.media_type not in media.INDEXES:
        return frozenset()
    if told is None or not _agrees(told, held):
        return None
    return frozenset(Digest.parse(image.digest) for image in told.images or () if image.digest)


def _ages(
    session: Session,
    remote: RemoteRepository,
    held: Mapping[str, Descriptor],
    told: Mapping[str, HubTag],
    policy: RetentionSettings,
) -> dict[str, datetime | None]:
    """When each tag was pushed; where no API tells, when its image was made. Nobody is asked for what nothing needs."""
    if policy.max_age_days is None:
        return dict.fromkeys(held)
    stated = {tag: one.tag_last_pushed or one.last_updated or "" for tag, one in told.items()}
    missing = {held[tag].digest for tag in held if not stated.get(tag)}
    made = dict(zip(missing, session.parallel(lambda digest: created(remote, digest), missing), strict=True))
    return {tag: read_time(stated.get(tag) or made.get(one.digest, "")) for tag, one in held.items()}


# Delete.


def plan_deletion(session: Session, repository: Repository, tags: Sequence[str]) -> Pruning:
    """The tags that were named; raises UsageError where one isn't there."""
    session.aim([repository])
    remote = session.remote(repository)
    wanted = [Tag.parse(tag) for tag in dict.fromkeys(tags)]
    found = read_heads(session, remote, wanted)
    if missing := [tag for tag in wanted if tag not in found]:
        raise UsageError(
            f"{repository} has no tag {', '.join(missing)}: nothing was deleted",
            reference=repository,
            hint=f"'publish tags {repository.familiar}' lists them",
        )
    gone = [GoneTag(tag=str(tag), digest=str(found[tag].digest), reason="asked for") for tag in wanted]
    return Pruning(repository=str(repository), applied=False, kept=(), gone=tuple(gone))


def carry_out(session: Session, repository: Repository, plan: Pruning) -> tuple[Pruning, PublishError | None]:
    """Delete what a plan says, each tag alone; one that can't be deleted stops no other. Returns the first error.

    A tag that holds something else by now was pushed again: it stays.
    """
    deletion = TagDeletion(session, repository, (one.tag for one in plan.gone))
    remote = session.remote(repository)

    def delete(one: GoneTag) -> tuple[GoneTag, PublishError | None]:
        tag = Tag(one.tag)
        try:
            held = remote.head(tag)
            if held is not None and str(held.digest) != one.digest:
                return msgspec.structs.replace(one, state="failed", detail="it was pushed again meanwhile"), None
            deletion.delete(tag)
        except PublishError as error:
            return msgspec.structs.replace(one, state="failed", detail=error.message), error
        return msgspec.structs.replace(one, state="deleted"), None

    done = session.parallel(delete, plan.gone)
    first = next((error for _one, error in done if error), None)
    shown = msgspec.structs.replace(plan, applied=True, gone=tuple(one for one, _error in done))
    return shown, first

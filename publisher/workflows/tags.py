"""A repository's tags: what they hold, and which of them nothing keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.documents import GoneTag, KeptTag, Pruning, TagList, TagRow
from publisher.model.errors import ConfigError, PublishError, UsageError
from publisher.model.manifest import Index
from publisher.model.reference import Tag, described_digest
from publisher.model.value import read_time
from publisher.planning.lines import VersionChoice
from publisher.planning.retention import Stored, decide_retention
from publisher.planning.tag_reader import newest_first
from publisher.workflows.jobs import PlanOptions, jobs
from publisher.workflows.status import created
from publisher.workflows.tagging.deletion import TagDeletion
from publisher.workflows.tagging.survey import destination_of, read_heads
from publisher.workflows.verify import platforms, take_inventory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.hub.shapes import HubTag
    from publisher.model.manifest import Content, Descriptor
    from publisher.model.reference import Repository
    from publisher.model.settings import RetentionSettings
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.destination import Destination
    from publisher.workflows.session import Session

EVERY_TAG: Final = VersionChoice()


def list_tags(session: Session, repository: Repository, choice: VersionChoice = EVERY_TAG) -> TagList:
    """Each tag with what it holds, the newest version first; raises RepositoryMissing.

    On Docker Hub as its API tells, since a look at a manifest counts as a pull. choice: which tags; only those are
    read, with the signatures of what they hold.
    """
    session.aim([repository])
    destination = destination_of(session, repository, PlanOptions())
    remote = destination.remote
    present = remote.present_tags()
    tags = newest_first(destination.ruleset, (tag for tag in present if described_digest(tag) is None))
    matching = [tag for tag in tags if choice.takes(tag)]
    newest = matching[: choice.newest]
    heads = read_heads(session, remote, newest)
    digests = {str(head.digest) for head in heads.values()}
    beside = [tag for tag in present if (image := described_digest(tag)) and (choice == EVERY_TAG or image in digests)]
    heads |= read_heads(session, remote, beside)
    hub_tags = _hub_tags(session, destination)
    unknown = {head.digest for tag, head in heads.items() if not _agrees(hub_tags.get(tag), head)}
    contents = session.parallel(lambda digest: _size_and_platforms(session, remote, remote.get(digest)), unknown)
    read = dict(zip(unknown, contents, strict=True))
    rows = [
        _row(tag, heads[tag], hub_tags.get(tag), read.get(heads[tag].digest))
        for tag in (*newest, *sorted(beside))
        if tag in heads
    ]
    return TagList(repository=repository, tags=tuple(rows), omitted=len(matching) - len(newest))


def _hub_tags(session: Session, destination: Destination) -> dict[str, HubTag]:
    """What Docker Hub's API says; that it can't be asked leaves its columns empty."""
    try:
        return destination.page.tags() if destination.page else {}
    except PublishError as error:
        session.progress.warn(f"Docker Hub's API doesn't tell sizes and times: {error.message}")
        return {}


def _agrees(hub_tag: HubTag | None, head: Descriptor) -> bool:
    """Whether the API speaks of what the registry holds: it may be late."""
    return hub_tag is not None and hub_tag.images is not None and hub_tag.digest == str(head.digest)


def _row(tag: str, head: Descriptor, hub_tag: HubTag | None, read: tuple[int, tuple[str, ...]] | None) -> TagRow:
    size, platforms = read or (0, ())
    if hub_tag and read is None:
        size = hub_tag.full_size or 0
        platforms = tuple(image.platform for image in hub_tag.images or () if image.platform)
    return TagRow(
        tag=tag,
        digest=head.digest,
        size=size,
        platforms=platforms,
        pushed=(hub_tag.tag_last_pushed or hub_tag.last_updated) if hub_tag else None,
        pulled=hub_tag.tag_last_pulled if hub_tag else None,
    )


def _size_and_platforms(session: Session, remote: RemoteRepository, content: Content) -> tuple[int, tuple[str, ...]]:
    return take_inventory(session, remote, content).size, platforms(remote, content)


# Prune.


def plan_prune(session: Session, repository: Repository) -> Pruning:
    """What [retention] keeps, and what would go; raises ConfigError where nothing says what to keep."""
    session.aim([repository])
    policy = _policy(session, repository)
    destination = destination_of(session, repository, PlanOptions(labels={}))
    remote = destination.remote
    heads, hub_tags = read_heads(session, remote, remote.present_tags()), _hub_tags(session, destination)
    ages, entries = _ages(session, remote, heads, hub_tags, policy), _entries(session, remote, heads, hub_tags)
    stored = [Stored(tag, head.digest, entries[head.digest], ages[tag]) for tag, head in heads.items()]
    decisions = decide_retention(destination.ruleset, policy, stored, datetime.now(UTC))
    return Pruning(
        repository=repository,
        applied=False,
        kept=tuple(
            KeptTag(tag=each.stored.tag, digest=each.stored.digest, reason=each.reason)
            for each in decisions
            if each.kept
        ),
        gone=tuple(
            GoneTag(tag=each.stored.tag, digest=each.stored.digest, reason=each.reason)
            for each in decisions
            if not each.kept
        ),
    )


def _policy(session: Session, repository: Repository) -> RetentionSettings:
    """The policy of the image that names the repository, else the file's."""
    settings = session.settings
    all_jobs = jobs(settings, PlanOptions(labels={}), nameless=True)
    own = next((job.settings.retention for job in all_jobs if repository in job.repositories), None)
    policy = own or settings.retention
    if policy is None:
        raise ConfigError(
            f"no [retention] says which tags of {repository} to keep",
            reference=repository,
            hint="write [retention] keep-last = 10 into publish.toml",
        )
    return policy


def _entries(
    session: Session, remote: RemoteRepository, heads: Mapping[str, Descriptor], hub_tags: Mapping[str, HubTag]
) -> dict[Digest, frozenset[Digest]]:
    """What each content lists, by its digest; only an index that Docker Hub's API doesn't tell of is read."""
    listed = {head.digest: _listed(hub_tags.get(tag), head) for tag, head in heads.items()}
    unknown = [digest for digest, entries in listed.items() if entries is None]
    read = session.parallel(remote.get, unknown)
    lists = {content.digest: content.manifests if isinstance(content, Index) else () for content in read}
    return {
        digest: frozenset(entry.digest for entry in lists[digest]) if entries is None else entries
        for digest, entries in listed.items()
    }


def _listed(hub_tag: HubTag | None, head: Descriptor) -> frozenset[Digest] | None:
    if head.media_type not in media.INDEXES:
        return frozenset()
    if hub_tag is None or not _agrees(hub_tag, head):
        return None
    return frozenset(Digest.parse(image.digest) for image in hub_tag.images or () if image.digest)


def _ages(
    session: Session,
    remote: RemoteRepository,
    heads: Mapping[str, Descriptor],
    hub_tags: Mapping[str, HubTag],
    policy: RetentionSettings,
) -> dict[str, datetime | None]:
    """When each tag was pushed; where no API tells, when its image was made. Nobody is asked for what nothing needs."""
    if policy.max_age_days is None:
        return dict.fromkeys(heads)
    stated = {tag: hub_tag.tag_last_pushed or hub_tag.last_updated or "" for tag, hub_tag in hub_tags.items()}
    missing = {heads[tag].digest for tag in heads if not stated.get(tag)}
    times = dict(zip(missing, session.parallel(lambda digest: created(remote, digest), missing), strict=True))
    return {tag: read_time(stated.get(tag) or times.get(head.digest, "")) for tag, head in heads.items()}


# Delete.


def plan_deletion(session: Session, repository: Repository, tags: Sequence[str]) -> Pruning:
    """The tags that were named; raises UsageError where one isn't there."""
    session.aim([repository])
    remote = session.remote(repository)
    going = [Tag.parse(tag) for tag in dict.fromkeys(tags)]
    heads = read_heads(session, remote, going)
    if missing := [tag for tag in going if tag not in heads]:
        raise UsageError(
            f"{repository} has no tag {', '.join(missing)}: nothing was deleted",
            reference=repository,
            hint=f"'publish tags {repository.familiar}' lists them",
        )
    gone = [GoneTag(tag=str(tag), digest=heads[tag].digest, reason="asked for") for tag in going]
    return Pruning(repository=repository, applied=False, kept=(), gone=tuple(gone))


def carry_out(session: Session, repository: Repository, plan: Pruning) -> tuple[Pruning, PublishError | None]:
    """Delete what a plan says, each tag alone; one that can't be deleted stops no other. Returns the first error.

    A tag that holds something else by now was pushed again: it stays.
    """
    destination = session.destination(repository)
    deletion = TagDeletion(session, destination, (gone.tag for gone in plan.gone))

    def delete(gone: GoneTag) -> tuple[GoneTag, PublishError | None]:
        tag = Tag(gone.tag)
        try:
            head = destination.remote.head(tag)
            if head is not None and head.digest != gone.digest:
                return msgspec.structs.replace(gone, state="failed", detail="it was pushed again meanwhile"), None
            deletion.delete(tag)
        except PublishError as error:
            return msgspec.structs.replace(gone, state="failed", detail=error.message), error
        return msgspec.structs.replace(gone, state="deleted"), None

    done = session.parallel(delete, plan.gone)
    first = next((error for _gone, error in done if error), None)
    return msgspec.structs.replace(plan, applied=True, gone=tuple(gone for gone, _error in done)), first

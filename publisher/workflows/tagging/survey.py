"""What registries hold before a plan: few requests, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.reference import Tag
from publisher.planning.candidates import to_read
from publisher.planning.lines import Published
from publisher.workflows.tagging.stated_versions import ask_images

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.model.digest import Digest
    from publisher.model.manifest import Descriptor
    from publisher.model.reference import Repository
    from publisher.planning.candidates import Candidates
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.session import Session


def read_registries(session: Session, asked: Candidates) -> dict[Repository, Published]:
    """One tag list for each repository, and one HEAD for each tag that the plan depends on."""
    repositories = [image.repository for image in asked.images]
    found = session.parallel(lambda repository: read_repository(session, asked, repository), repositories)
    return dict(zip(repositories, found, strict=True))


def read_repository(
    session: Session,
    asked: Candidates,
    repository: Repository,
    *,
    written: Iterable[str] = (),
    others: bool = True,
) -> Published:
    """The state of one repository, as far as the plan needs it.

    written: tags that must be there, whether or not the list shows them yet: lists may lag behind.
    others: whether lines that the release doesn't touch are read too.
    """
    remote = session.remote(repository)
    tags = frozenset((*remote.tags(), *written))
    state = Published(tags, read_tags(session, remote, to_read(asked, tags, others=others)))
    return ask_images(session, remote, asked.ruleset, state, asked.versions)


def read_tags(session: Session, remote: RemoteRepository, tags: Iterable[str]) -> dict[str, Digest]:
    """The digests of those of `tags` that are there."""
    found = {tag: held.digest for tag, held in read_heads(session, remote, tags).items()}
    session.saw(found)
    return found


def read_heads(session: Session, remote: RemoteRepository, tags: Iterable[str]) -> dict[str, Descriptor]:
    """What each of `tags` holds, one HEAD for each; those that aren't there are left out."""
    asked = sorted(tags)
    found = session.parallel(lambda tag: remote.head(Tag(tag)), asked)
    return {tag: held for tag, held in zip(asked, found, strict=True) if held is not None}

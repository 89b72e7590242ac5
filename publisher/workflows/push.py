"""Parts of a release: content without tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from publisher.model.errors import ConfigError
from publisher.model.reference import Tag
from publisher.transfer.compression import Compression
from publisher.workflows.content.send import Shipping, push
from publisher.workflows.content.sources import find_source
from publisher.workflows.jobs import jobs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.workflows.jobs import PlanOptions
    from publisher.workflows.session import Session


class Part(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="publish.push/1"):
    """What was pushed, and where to."""

    digest: str
    images: tuple[str, ...]
    via: str


def push_parts(session: Session, wish: PlanOptions, sources: Sequence[str], *, via: str, tag: str | None) -> Part:
    """Push to the repositories of one job; raises ConfigError where several could be meant."""
    keep = Tag.parse(tag) if tag else None
    found = jobs(session.settings, wish)
    if len(found) > 1:
        raise ConfigError("several images are configured", hint="pick one with --only NAME")
    job = found[0]
    session.aim(job.repositories)
    transfer = job.settings.transfer
    how = Shipping(via, Compression(transfer.compression, transfer.level), {})
    pushed = push(session, [find_source(session, text) for text in sources], job.repositories, how)
    if keep:
        for repository in job.repositories:
            session.remote(repository).put(pushed.content, keep)
    return Part(digest=str(pushed.content.digest), images=tuple(image.lower() for image in job.images), via=pushed.via)

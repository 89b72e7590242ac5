"""Parts of a release: content without tags.

It stands alone as the work of one command; release shares with it what stands in content/send.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.digest import Digest
from publisher.model.errors import ConfigError
from publisher.model.reference import Tag
from publisher.model.value import Document
from publisher.transfer.compression import Compression
from publisher.workflows.content.send import Shipping, push
from publisher.workflows.content.sources import find_source
from publisher.workflows.jobs import jobs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.workflows.jobs import PlanOptions
    from publisher.workflows.session import Session


class Part(Document, frozen=True, kw_only=True, tag_field="schema", tag="publish.push/1"):
    """What was pushed, and where to."""

    digest: Digest
    images: tuple[str, ...]
    via: str


def push_parts(session: Session, wish: PlanOptions, sources: Sequence[str], *, via: str, tag: str | None) -> Part:
    """Push to the repositories of one job; raises ConfigError where several could be meant."""
    keep = Tag.parse(tag) if tag else None
    job, *others = jobs(session.settings, wish)
    if others:
        raise ConfigError("several images are configured", hint="pick one with --only NAME")
    session.aim(job.repositories)
    remotes = [session.remote(repository) for repository in job.repositories]
    transfer = job.settings.transfer
    how = Shipping(via, Compression(transfer.compression, transfer.level), {})
    pushed = push(session, [find_source(session, text) for text in sources], remotes, how)
    if keep:
        for remote in remotes:
            remote.put(pushed.content, keep)
    return Part(digest=pushed.content.digest, images=tuple(image.lower() for image in job.images), via=pushed.via)

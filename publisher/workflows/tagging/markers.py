"""Yank markers as they are written: the tag `yanked-VERSION` on the version's own manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from publisher.model.artifact import compose_artifact
from publisher.model.errors import Refused
from publisher.model.plan import Kind
from publisher.model.reference import Tag
from publisher.planning.rules import MARKER
from publisher.registry.image import send_blobs
from publisher.workflows.tagging.survey import read_tag
from publisher.workflows.tagging.writer import Step

if TYPE_CHECKING:
    from publisher.model.digest import Digest
    from publisher.model.manifest import Manifest
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.destination import Destination
    from publisher.workflows.tagging.writer import TagWriter


def marking(destination: Destination, exact: Tag, version: str | None, digest: Digest) -> Step:
    """The write that yanks the version which the exact tag names."""
    marker = Tag.parse(MARKER + exact)
    before = read_tag(destination.remote, marker)
    return Step(destination=destination, tag=marker, kind=Kind.REF, version=version, before=before, goal=digest)


def lift(writer: TagWriter, step: Step) -> None:
    """Take a marker away; where tags can't be deleted alone, it is pointed at nothing."""
    try:
        writer.write([step])
    except Refused:
        empty = _put_nothing(step.destination.remote)
        writer.write([replace(step, goal=empty.digest, content=empty)])


def _put_nothing(remote: RemoteRepository) -> Manifest:
    """An artifact that is nothing: what a marker points to once it means nothing any more."""
    manifest, blobs = compose_artifact("application/vnd.publish.unyanked.v1")
    send_blobs(remote, blobs)
    return manifest

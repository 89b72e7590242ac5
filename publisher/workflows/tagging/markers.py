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
from publisher.workflows.tagging.writer import Step

if TYPE_CHECKING:
    from publisher.model.digest import Digest
    from publisher.model.manifest import Manifest
    from publisher.model.reference import Repository
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.session import Session
    from publisher.workflows.tagging.writer import Ledger


def marking(session: Session, repository: Repository, exact: str, version: str | None, digest: Digest) -> Step:
    """The write that yanks the version which the exact tag names."""
    reference = repository.tag(MARKER + exact)
    found = session.remote(repository).head(Tag(MARKER + exact))
    before = found.digest if found else None
    return Step(reference=reference, kind=Kind.REF, version=version, before=before, wanted=digest)


def lift(session: Session, ledger: Ledger, step: Step) -> None:
    """Take a marker away; where tags can't be deleted alone, it is pointed at nothing."""
    try:
        ledger.write([step])
    except Refused:
        empty = _put_nothing(session.remote(step.reference.repository))
        ledger.write([replace(step, wanted=empty.digest, content=empty)])


def _put_nothing(remote: RemoteRepository) -> Manifest:
    """An artifact that is nothing: what a marker points to once it means nothing any more."""
    manifest, blobs = compose_artifact("application/vnd.publish.unyanked.v1")
    send_blobs(remote, blobs)
    return manifest

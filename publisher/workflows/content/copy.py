"""Bring an image to another repository, with what refers to it: signatures, SBOMs, attestations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from publisher.model.artifact import RECEIPT_TYPE
from publisher.model.manifest import Index
from publisher.model.reference import Tag
from publisher.registry.image import RemoteImage
from publisher.registry.referrers import fallback_tag, list_referrers, read_referrers, referrer_entry
from publisher.transfer.copy import send_stored

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.model.digest import Digest
    from publisher.model.manifest import Content, Descriptor
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.session import Session

_DEEPEST: Final = 3
"""Levels of artifacts upon artifacts: a signature of an SBOM is on the second."""
# How cosign and its kin tag what they know of an image: .sig, .att, .sbom behind its digest.
_BESIDE: Final = re.compile(r"(sha256|sha512)-([0-9a-f]{64,128})\..+")


def copy(session: Session, origin: RemoteRepository, content: Content, target: RemoteRepository) -> None:
    """Bring content alone from one repository to another; blobs are mounted within one registry."""
    image = RemoteImage(origin, origin.repository.at(content.digest))
    near = (origin.repository,) if origin.repository.registry == target.repository.registry else ()
    send_stored(image, target, session.progress, origins=near, root=content, cache=session.blob_cache)


def carry(session: Session, origin: RemoteRepository, content: Content, target: RemoteRepository) -> None:
    """Bring content, and all that refers to it or to one of its manifests, which is looked for meanwhile."""
    known = _Known()
    looks = [lambda: copy(session, origin, content, target), lambda: known.read(session, origin, content)]
    session.parallel(lambda look: look(), looks)
    _carry_known(session, origin, known, target)


def carry_referrers(session: Session, origin: RemoteRepository, content: Content, target: RemoteRepository) -> None:
    """Bring what refers to content that is there, and say what it was; receipts speak of one repository and stay."""
    if origin.repository == target.repository:
        return
    known = _Known()
    known.read(session, origin, content)
    _carry_known(session, origin, known, target)


class _Known:
    """What a repository knows of content: what refers to it or one of its manifests, and the tags beside it."""

    def __init__(self) -> None:
        self.subjects: list[Digest] = []
        self.lists: list[tuple[Descriptor, ...]] = []
        self.tags: tuple[str, ...] = ()

    def read(self, session: Session, origin: RemoteRepository, content: Content) -> None:
        """Ask the repository."""
        own = content.manifests if isinstance(content, Index) else ()
        self.subjects = [content.digest, *(entry.digest for entry in own)]

        def read_tags() -> None:
            self.tags = origin.tags()

        def read_lists() -> None:
            self.lists = _read_lists(session, origin, self.subjects)

        session.parallel(lambda read: read(), [read_lists, read_tags])


def _read_lists(session: Session, origin: RemoteRepository, subjects: Iterable[Digest]) -> list[tuple[Descriptor, ...]]:
    return session.parallel(lambda subject: tuple(read_referrers(origin, subject).entries), subjects)


def _carry_known(session: Session, origin: RemoteRepository, known: _Known, target: RemoteRepository) -> None:
    carried = _referrers(session, origin, known.subjects, known.lists, target, 0)
    carried += _beside(session, origin, known, target)
    if carried:
        session.progress.step(f"carried  {', '.join(carried)} to {target.repository}")


def _referrers(
    session: Session,
    origin: RemoteRepository,
    digests: list[Digest],
    lists: list[tuple[Descriptor, ...]],
    target: RemoteRepository,
    depth: int,
) -> list[str]:
    """By the API or by the tag that stands in for it; what refers to a referrer too. Returns what they are."""
    carried: list[str] = []
    for subject, entries in zip(digests, lists, strict=True):
        others = [entry.digest for entry in entries if entry.digest not in digests]
        artifacts = [one for one in session.parallel(origin.get, others) if _kind(one) != RECEIPT_TYPE]
        for artifact in artifacts:
            copy(session, origin, artifact, target)
        if artifacts:
            list_referrers(target, subject, artifacts)
        for artifact in artifacts:
            carried.append(_kind(artifact))
            if depth < _DEEPEST:
                below = [artifact.digest]
                lists_below = _read_lists(session, origin, below)
                carried += _referrers(session, origin, below, lists_below, target, depth + 1)
    return carried


def _kind(artifact: Content) -> str:
    """By its own words: lists may be wrong."""
    return referrer_entry(artifact).artifact_type or artifact.media_type


def _beside(session: Session, origin: RemoteRepository, known: _Known, target: RemoteRepository) -> list[str]:
    """By their tags; a tag that holds something else in the target is left alone. Returns the tags."""
    stems = {fallback_tag(subject) for subject in known.subjects}
    carried = []
    for name in known.tags:
        if not _BESIDE.fullmatch(name) or name.partition(".")[0] not in stems:
            continue
        tag = Tag(name)
        content, present = origin.get(tag), target.head(tag)
        if present is None:
            copy(session, origin, content, target)
            target.put(content, tag)
            carried.append(f"{name[:19]}…{name[name.index('.') :]}")
        elif present.digest != content.digest:
            session.progress.warn(
                f"{target.repository}:{name} holds something else than {origin.repository}'s, and stays"
            )
    return carried

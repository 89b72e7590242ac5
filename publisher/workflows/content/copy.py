"""Bring an image to another repository, with what refers to it: signatures, SBOMs, attestations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from publisher.model.artifact import RECEIPT_TYPE
from publisher.model.manifest import Index
from publisher.model.reference import Reference, Tag
from publisher.registry.image import RemoteImage
from publisher.registry.referrers import list_referrers, read_referrers, referrer_entry
from publisher.transfer.copy import send_stored

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.model.digest import Digest
    from publisher.model.manifest import Content
    from publisher.model.reference import Repository
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.session import Session

_DEEPEST: Final = 3
"""Levels of artifacts upon artifacts: a signature of an SBOM is on the second."""
# How cosign and its kin tag what they know of an image: .sig, .att, .sbom behind its digest.
_BESIDE: Final = re.compile(r"(sha256|sha512)-([0-9a-f]{64,128})\..+")


def copy(session: Session, origin: RemoteRepository, content: Content, target: Repository) -> None:
    """Bring content alone from one repository to another; blobs are mounted within one registry."""
    image = RemoteImage(origin, Reference(origin.repository, digest=content.digest))
    near = (origin.repository,) if origin.repository.registry == target.registry else ()
    send_stored(image, session.remote(target), session.progress, origins=near, root=content)


def carry(session: Session, origin: RemoteRepository, content: Content, target: Repository) -> None:
    """Bring content, and all that refers to it or to one of its manifests."""
    copy(session, origin, content, target)
    carry_referrers(session, origin, content, target)


def carry_referrers(session: Session, origin: RemoteRepository, content: Content, target: Repository) -> None:
    """Bring what refers to content that is there, and say what it was; receipts speak of one repository and stay."""
    if origin.repository == target:
        return
    own = content.manifests if isinstance(content, Index) else ()
    subjects = [content.digest, *(entry.digest for entry in own)]
    carried = _referrers(session, origin, subjects, target, 0)
    carried += _beside(session, origin, subjects, target)
    if carried:
        session.progress.step(f"carried  {', '.join(carried)} to {target}")


def _referrers(
    session: Session, origin: RemoteRepository, subjects: Iterable[Digest], target: Repository, depth: int
) -> list[str]:
    """By the API or by the tag that stands in for it; what refers to a referrer too. Returns what they are."""
    asked = list(subjects)
    carried: list[str] = []
    lists = session.parallel(lambda subject: read_referrers(origin, subject).entries, asked)
    for subject, entries in zip(asked, lists, strict=True):
        artifacts = session.parallel(
            lambda entry: origin.get(entry.digest), [e for e in entries if e.digest not in asked]
        )
        taken = [artifact for artifact in artifacts if referrer_entry(artifact).artifact_type != RECEIPT_TYPE]
        for artifact in taken:
            copy(session, origin, artifact, target)
        if taken:
            list_referrers(session.remote(target), subject, taken)
        for artifact in taken:
            carried.append(referrer_entry(artifact).artifact_type or artifact.media_type)
            if depth < _DEEPEST:
                carried += _referrers(session, origin, [artifact.digest], target, depth + 1)
    return carried


def _beside(session: Session, origin: RemoteRepository, subjects: Iterable[Digest], target: Repository) -> list[str]:
    """By their tags; a tag that holds something else in the target is left alone. Returns the tags."""
    wanted = {f"{subject.algorithm}-{subject.hex}" for subject in subjects}
    carried = []
    for name in origin.tags():
        if not _BESIDE.fullmatch(name) or name.partition(".")[0] not in wanted:
            continue
        tag, remote = Tag(name), session.remote(target)
        content, held = origin.get(tag), remote.head(tag)
        if held is None:
            copy(session, origin, content, target)
            remote.put(content, tag)
            carried.append(f"{name[:19]}…{name[name.index('.') :]}")
        elif held.digest != content.digest:
            session.progress.warn(f"{target}:{name} holds something else than {origin.repository}'s, and stays")
    return carried

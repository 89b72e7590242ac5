"""Bring an image to another repository, with what refers to it: signatures, SBOMs, attestations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from publisher.model.artifact import RECEIPT_TYPE
from publisher.model.errors import VerificationFailed
from publisher.model.manifest import Index
from publisher.model.reference import Tag
from publisher.registry.image import RemoteImage
from publisher.registry.referrers import fallback_tag, list_referrers, read_referrers, referrer_entry
from publisher.transfer.copy import send_stored

if TYPE_CHECKING:
    from publisher.model.digest import Digest
    from publisher.model.manifest import Content
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.session import Session

_MOST: Final = 5_000
"""Artifacts that are brought along with one image."""
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
    known: list[_Known] = []
    looks = [
        lambda: copy(session, origin, content, target),
        lambda: known.append(_read_known(session, origin, content)),
    ]
    session.parallel(lambda look: look(), looks)
    _carry_known(session, origin, known[0], target)


def carry_referrers(session: Session, origin: RemoteRepository, content: Content, target: RemoteRepository) -> None:
    """Bring what refers to content that is there, and say what it was; receipts speak of one repository and stay."""
    if origin.repository == target.repository:
        return
    _carry_known(session, origin, _read_known(session, origin, content), target)


class _Known(NamedTuple):
    """What a repository knows of content: what refers to it or one of its manifests, and the tags beside it."""

    subjects: list[Digest]
    referrers: dict[Digest, list[Digest]]
    tags: tuple[str, ...]


def _read_known(session: Session, origin: RemoteRepository, content: Content) -> _Known:
    own = content.manifests if isinstance(content, Index) else ()
    subjects = list(dict.fromkeys((content.digest, *(entry.digest for entry in own))))
    return _Known(subjects, _referrers(session, origin, subjects), origin.tags())


def _carry_known(session: Session, origin: RemoteRepository, known: _Known, target: RemoteRepository) -> None:
    subjects, referrers = known.subjects, known.referrers
    carried = [what for subject in subjects for what in _carry_artifacts(session, origin, subject, target, referrers)]
    carried += _beside(session, origin, known, target)
    if carried:
        session.progress.step(f"carried  {', '.join(carried)} to {target.repository}")


def _referrers(session: Session, origin: RemoteRepository, subjects: list[Digest]) -> dict[Digest, list[Digest]]:
    """What refers to each subject, and to that, as many levels deep as are brought; each digest once.

    By the API or by the tag that stands in for it. All of it is read before anything is written.
    """
    referrers: dict[Digest, list[Digest]] = {}
    seen, level = set(subjects), subjects
    for _depth in range(_DEEPEST):
        lists = session.parallel(lambda subject: read_referrers(origin, subject).entries, level)
        for subject, entries in zip(level, lists, strict=True):
            referrers[subject] = [entry.digest for entry in entries if entry.digest not in seen]
            seen.update(referrers[subject])
            _check_count(origin, subject, referrers)
        level = [digest for subject in level for digest in referrers[subject]]
    return referrers


def _check_count(origin: RemoteRepository, subject: Digest, referrers: dict[Digest, list[Digest]]) -> None:
    if sum(map(len, referrers.values())) > _MOST:
        message = f"more than {_MOST:,} artifacts refer to an image in {origin.repository}, or to each other"
        raise VerificationFailed(message, reference=origin.repository.at(subject))


def _carry_artifacts(
    session: Session,
    origin: RemoteRepository,
    subject: Digest,
    target: RemoteRepository,
    referrers: dict[Digest, list[Digest]],
) -> list[str]:
    """Bring what refers to `subject`, and then what refers to that. Returns what they are."""
    digests = referrers.get(subject, [])
    artifacts = [one for one in session.parallel(origin.get, digests) if _kind(one) != RECEIPT_TYPE]
    for artifact in artifacts:
        copy(session, origin, artifact, target)
    if artifacts:
        list_referrers(target, subject, artifacts)
    carried: list[str] = []
    for artifact in artifacts:
        carried.append(_kind(artifact))
        carried += _carry_artifacts(session, origin, artifact.digest, target, referrers)
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

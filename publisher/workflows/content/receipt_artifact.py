"""A release's receipt in the registry itself, as an artifact that refers to what was released."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from publisher.model.artifact import RECEIPT_TYPE, SmallBlob, compose_artifact
from publisher.model.codec import decode, encode
from publisher.model.errors import PublishError, VerificationFailed
from publisher.model.manifest import Descriptor, Index, Manifest
from publisher.model.receipt import Outcome, Receipt
from publisher.planning.lines import VersionChoice
from publisher.registry.image import send_blobs
from publisher.registry.referrers import list_referrers, read_referrers
from publisher.workflows.tagging.survey import configured_destinations, survey_repository

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.model.digest import Digest
    from publisher.model.manifest import Content
    from publisher.model.reference import Repository
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.jobs import PlanOptions
    from publisher.workflows.session import Session

_LARGEST: Final = 16 << 20
_MOST: Final = 20
_NEWEST: Final = VersionChoice(_MOST)


def file_receipt(session: Session, receipt: Receipt, content: Content, remotes: Iterable[RemoteRepository]) -> None:
    """Put the receipt beside the content in every repository; where that fails the release is done all the same."""
    document = SmallBlob(RECEIPT_TYPE, encode(receipt))
    subject = Descriptor(content.media_type, content.digest, len(content.content))
    artifact, blobs = compose_artifact(RECEIPT_TYPE, document, subject)
    for remote in remotes:
        try:
            _file(remote, artifact, blobs, content.digest)
        except PublishError as error:
            session.progress.warn(f"the receipt could not be kept in {remote.repository}: {error.message}")


def _file(remote: RemoteRepository, artifact: Manifest, blobs: Iterable[SmallBlob], subject: Digest) -> None:
    send_blobs(remote, blobs)
    remote.put_manifest(artifact)
    list_referrers(remote, subject, [artifact])


def filed_receipt(session: Session, wish: PlanOptions) -> Receipt | None:
    """The newest receipt that a release left in the registry and that nobody has undone."""
    receipts = (
        receipt
        for destination in configured_destinations(session, wish)
        for version in survey_repository(session, destination, _NEWEST).survey.versions[:_MOST]
        if version.digest
        for receipt in _receipts(session, destination.remote, version.digest)
    )
    usable = [receipt for receipt in receipts if receipt.outcome is not Outcome.UNDONE]
    return max(usable, key=lambda receipt: receipt.id, default=None)


def _receipts(session: Session, remote: RemoteRepository, subject: Digest) -> list[Receipt]:
    found = []
    for entry in read_referrers(remote, subject).entries:
        if entry.artifact_type != RECEIPT_TYPE:
            continue
        receipt = _read(remote, entry)
        if receipt and _speaks_of(receipt, remote.repository, subject):
            found.append(receipt)
        else:
            where = f"{remote.repository}@{entry.digest}"
            session.progress.warn(f"{where} is not a receipt of what it refers to; it is left alone")
    return found


def _read(remote: RemoteRepository, entry: Descriptor) -> Receipt | None:
    """The receipt that an artifact holds, as a whole; else it is somebody else's, or torn."""
    try:
        artifact = remote.get(entry.digest)
        if isinstance(artifact, Index) or not artifact.layers:
            return None
        with remote.open_blob(artifact.layers[0]) as stream:
            receipt: Receipt = decode(stream.read(_LARGEST), Receipt)
            # The stream checks its digest at its end.
            return receipt if not stream.read(1) else None
    except (msgspec.MsgspecError, VerificationFailed, UnicodeDecodeError, RecursionError):
        return None


def _speaks_of(receipt: Receipt, repository: Repository, subject: Digest) -> bool:
    """Whether it is the record of releasing that content there: anybody who may push can leave an artifact."""
    here = any(change.reference.repository == repository for change in receipt.moves)
    return here and receipt.image is not None and receipt.image.digest == subject

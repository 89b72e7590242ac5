"""cosign's older form beside the bundle, for verifiers that read nothing else: cosign 2, podman, CRI-O."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from publisher.attest.check import StoredAttestation
from publisher.attest.dsse import LARGEST as LARGEST_ENVELOPE
from publisher.attest.simple import (
    LARGEST,
    LAYER_TYPE,
    MOST,
    attestation_tag,
    compose_signatures,
    layer_of,
    payload_of,
    signature_tag,
)
from publisher.model.artifact import SmallBlob
from publisher.model.errors import BadAttestation, VerificationFailed
from publisher.model.manifest import VERSION_ANNOTATION, Index, Manifest
from publisher.registry.referrers import merged_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from publisher.attest.check import Attestation, Checker
    from publisher.model.digest import Digest
    from publisher.model.manifest import Content, Descriptor
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.signers import JobSigner, KeySigner


def read_simple(remote: RemoteRepository, digest: Digest, checker: Checker) -> Iterator[StoredAttestation]:
    """The signatures of an image that hold; raises for a bad one once the good ones are told."""

    def check(content: bytes, layer: Descriptor) -> Attestation:
        return checker.simple(content, layer, digest)

    yield from _read_layers(remote, remote.find(signature_tag(digest)), LARGEST, check)


def read_older_statements(remote: RemoteRepository, image: Content, checker: Checker) -> Iterator[StoredAttestation]:
    """What cosign 2 attests by default, which no bundle holds; as read_simple."""
    platforms = platforms_of(image)

    def check(content: bytes, layer: Descriptor) -> Attestation:
        return checker.older_statement(content, layer, image.digest, platforms)

    yield from _read_layers(remote, remote.find(attestation_tag(image.digest)), LARGEST_ENVELOPE, check)


def _read_layers(
    remote: RemoteRepository, image: Content | None, largest: int, check: Callable[[bytes, Descriptor], Attestation]
) -> Iterator[StoredAttestation]:
    """Every layer is one; the bad ones beside a good one don't count."""
    if not isinstance(image, Manifest):
        return
    problem: BadAttestation | None = None
    for layer in image.layers[:MOST]:
        try:
            attestation = check(read_bounded(remote, layer, largest), layer)
        except BadAttestation as error:
            problem = error
        else:
            yield StoredAttestation(attestation, image.digest)
    if problem:
        raise problem


def platforms_of(image: Content) -> tuple[Digest, ...]:
    """What an index lists: a statement may be of one of them."""
    return tuple(one.digest for one in image.images) if isinstance(image, Index) else ()


def read_bounded(remote: RemoteRepository, layer: Descriptor, most: int) -> bytes:
    """A blob that somebody else has put there; raises BadAttestation for one that is too large."""
    if layer.size > most:
        raise BadAttestation(f"it has {layer.size:,} bytes, and {most:,} are read")
    with remote.open_blob(layer) as stream:
        return stream.read()


@contextmanager
def older_form(
    signer: KeySigner | JobSigner, remote: RemoteRepository, image: Content, checker: Checker, version: str | None
) -> Iterator[bool]:
    """A signature among those under the image's tag, read back, checked, and at the end looked at once more.

    Whether one was added: one that this signer has made of the same payload stays.
    """
    payload = payload_of(image.digest, remote.repository, version, VERSION_ANNOTATION).content()
    own = _OwnLayer(payload, image.digest, checker)
    tag = signature_tag(image.digest)
    if own.is_in(remote.find(tag)):
        yield False
        return
    # Signed and sent before the tag is read to be written: what others write meanwhile would have to be merged.
    blob, layer = layer_of(payload, signer.simple(payload))
    remote.upload_at_once(blob)

    def merge(current: Content | None) -> Manifest | None:
        if own.is_in(current):
            return None
        layers = current.layers if isinstance(current, Manifest) else ()
        merged, config = compose_signatures([*(one.document() for one in layers), layer])
        remote.upload_at_once(config)
        return merged

    with merged_tag(remote, tag, merge) as written:
        _read_back(remote, written, image.digest, checker, payload)
        yield True


class _OwnLayer:
    """Tells a layer that this signer has made of a payload: others may have signed the same."""

    def __init__(self, payload: bytes, image: Digest, checker: Checker) -> None:
        self._payload, self._image, self._checker = payload, image, checker
        self._digest = SmallBlob(LAYER_TYPE, payload).descriptor().digest

    def is_in(self, current: Content | None) -> bool:
        """Whether it is among those that a tag holds."""
        return isinstance(current, Manifest) and any(map(self._is_own, current.layers))

    def _is_own(self, layer: Descriptor) -> bool:
        if layer.digest != self._digest:
            return False
        try:
            self._checker.simple(self._payload, layer, self._image)
        except BadAttestation:
            return False
        return True


def _read_back(
    remote: RemoteRepository, written: Content | None, image: Digest, checker: Checker, payload: bytes
) -> None:
    problem = ""
    try:
        stored = _read_layers(remote, written, LARGEST, lambda content, layer: checker.simple(content, layer, image))
        if any(one.attestation.payload == payload for one in stored):
            return
    except BadAttestation as error:
        problem = f": {error.message}"
    raise VerificationFailed(
        f"the older form of the signature doesn't verify in {remote.repository}{problem}",
        reference=remote.repository,
        hint="no tag was moved: run the same command again",
    )

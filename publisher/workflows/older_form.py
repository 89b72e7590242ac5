"""cosign's older form beside the bundle, for verifiers that read nothing else: cosign 2, podman, CRI-O."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from publisher.attest.simple import LAYER_TYPE, compose_signatures, layer_of, payload_of, signature_tag
from publisher.attest.statements import VERSION_ANNOTATION
from publisher.model.artifact import SmallBlob
from publisher.model.errors import BadAttestation, VerificationFailed
from publisher.model.manifest import Manifest
from publisher.registry.image import send_blobs
from publisher.registry.referrers import merged_tag
from publisher.workflows.signatures import read_simple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.attest.check import Checker
    from publisher.model.digest import Digest
    from publisher.model.manifest import Content, Descriptor
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.signers import JobSigner, KeySigner


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
    send_blobs(remote, [blob])

    def merge(current: Content | None) -> Manifest | None:
        if own.is_in(current):
            return None
        layers = current.layers if isinstance(current, Manifest) else ()
        merged, config = compose_signatures([*(one.document() for one in layers), layer])
        send_blobs(remote, [config])
        return merged

    with merged_tag(remote, tag, merge):
        _read_back(remote, image.digest, checker, payload)
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


def _read_back(remote: RemoteRepository, image: Digest, checker: Checker, payload: bytes) -> None:
    problem = ""
    try:
        if any(one.attestation.payload == payload for one in read_simple(remote, image, checker)):
            return
    except BadAttestation as error:
        problem = f": {error.message}"
    raise VerificationFailed(
        f"the older form of the signature doesn't verify in {remote.repository}{problem}",
        reference=remote.repository,
        hint="no tag was moved: run the same command again",
    )

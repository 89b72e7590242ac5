"""Content addresses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol, Self

from publisher.model.errors import BadReference
from publisher.model.value import TextValue

if TYPE_CHECKING:
    from collections.abc import Callable

_HEX_LENGTH = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+")


class Hasher(Protocol):
    """A hash under way."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""

    def hexdigest(self) -> str:
        """The hash of the bytes so far, in lower-case hex."""


class Digest(TextValue):
    """The address of some bytes: `sha256:` and 64, or `sha512:` and 128, lower-case hex digits.

    Source: image-spec, "Digests". Checked before any use in a path or URL (CVE-2024-3727).
    """

    __slots__ = ("algorithm", "hex")

    def __init__(self, algorithm: str, digits: str) -> None:
        self.algorithm: Final = algorithm
        self.hex: Final = digits

    @property
    def parts(self) -> tuple[str, ...]:
        """The algorithm and the digits."""
        return (self.algorithm, self.hex)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `algorithm:hex`; raises BadReference with the precise reason."""
        algorithm, colon, digits = text.partition(":")
        if not colon:
            raise BadReference(f"'{text}' is not a digest: expected ALGORITHM:HEX, as in sha256:9f86…")
        length = _HEX_LENGTH.get(algorithm)
        if length is None:
            raise BadReference(f"'{text}' is not a digest: algorithm '{algorithm}' is not sha256 or sha512")
        if len(digits) != length or not _HEX.fullmatch(digits):
            raise BadReference(f"'{text}' is not a digest: {algorithm} takes {length} lower-case hex digits")
        return cls(algorithm, digits)

    @classmethod
    def of(cls, content: bytes) -> Self:
        """The sha256 digest of `content`."""
        import hashlib  # here: it loads OpenSSL, and a plan without a registry hashes nothing

        return cls("sha256", hashlib.sha256(content).hexdigest())

    @classmethod
    def finish(cls, hasher: Hasher) -> Self:
        """The digest of what a sha256 `hasher` has taken."""
        return cls("sha256", hasher.hexdigest())

    def hasher(self) -> Hasher:
        """A new hash of this digest's algorithm, to check content against it."""
        import hashlib

        new: Callable[[], Hasher] = getattr(hashlib, self.algorithm)
        return new()

    def matches(self, content: bytes) -> bool:
        """Whether `content` has this address."""
        hasher = self.hasher()
        hasher.update(content)
        return hasher.hexdigest() == self.hex

    @property
    def short(self) -> str:
        """The first twelve hex digits, for people."""
        return self.hex[:12]

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

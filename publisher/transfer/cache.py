"""The cache: which compressed blobs stand for which uncompressed layers."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from publisher.model.digest import Digest
from publisher.model.errors import PublishError
from publisher.model.manifest import Descriptor
from publisher.model.reference import Repository
from publisher.transfer.reuse import BlobLocation
from publisher.transfer.turns import BlobTurns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from publisher.transfer.compression import Compression

_MOST: Final = 4_096
_LARGEST: Final = 4 << 20
_AS_IT_IS: Final = "none"
_SCHEMA: Final = "publish.blob/1"


class _Row(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag=_SCHEMA):
    """One layer in one repository: what it is uncompressed, how it was compressed, what came of it."""

    repository: str
    diff_id: str
    compression: str
    digest: str
    size: int


class BlobCache:
    """A file of guesses, one a line, newest last; deleting it costs time only, and what is torn is ignored.

    A guess is looked up in the registry before it is relied on, so a wrong one costs one request. A file that others
    can write to, where two users share the folder, is left alone. A line is added in
    one write, so that runs side by side and threads don't disturb each other.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.turns = BlobTurns()

    def locations(
        self, target: Repository, compression: Compression, diff_ids: Iterable[Digest]
    ) -> dict[Digest, BlobLocation]:
        """What the registry of `target` was sent for `diff_ids`, compressed the same way; its own blobs first."""
        texts = {str(diff_id) for diff_id in diff_ids}
        locations: dict[Digest, BlobLocation] = {}
        for row in self._read():
            if row.diff_id in texts and row.compression == _label(compression):
                with suppress(PublishError):
                    origin = Repository.parse(row.repository)
                    diff_id = Digest.parse(row.diff_id)
                    if origin.registry == target.registry and (origin == target or diff_id not in locations):
                        locations[diff_id] = BlobLocation(
                            Descriptor(compression.media_type, Digest.parse(row.digest), row.size), origin
                        )
        return locations

    def origins(self, target: Repository, digests: Iterable[Digest]) -> dict[Digest, Repository]:
        """Another repository of the same registry that was sent a blob, or is known to hold it; the newest."""
        texts = {str(digest) for digest in digests}
        origins: dict[Digest, Repository] = {}
        for row in self._read():
            if row.digest in texts:
                with suppress(PublishError):
                    origin = Repository.parse(row.repository)
                    if origin.registry == target.registry and origin != target:
                        origins[Digest.parse(row.digest)] = origin
        return origins

    def remember_blob(self, repository: Repository, blob: Descriptor) -> None:
        """Add a blob that passes as it is."""
        digest = str(blob.digest)
        self._add([_Row(repository=str(repository), diff_id="", compression=_AS_IT_IS, digest=digest, size=blob.size)])

    def remember(self, repository: Repository, compression: Compression, layers: Mapping[Digest, Descriptor]) -> None:
        """Add what `repository` holds, or is about to. A cache that can't be written is none: nothing is raised."""
        self._add(
            _Row(
                repository=str(repository),
                diff_id=str(diff_id),
                compression=_label(compression),
                digest=str(blob.digest),
                size=blob.size,
            )
            for diff_id, blob in layers.items()
            if blob.media_type == compression.media_type
        )

    def _add(self, rows: Iterable[_Row]) -> None:
        with suppress(OSError):
            self._append(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))

    def _read(self) -> Iterator[_Row]:
        decoder = msgspec.json.Decoder(_Row)
        for line in self._lines():
            with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                yield decoder.decode(line)

    def _lines(self) -> list[bytes]:
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                file.seek(max(0, status.st_size - _LARGEST))
                return file.read(_LARGEST).splitlines() if _is_own(status) else []
        except OSError:
            return []

    def _append(self, lines: bytes) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self._path, "ab", buffering=0, opener=_open_own) as file:
            if not _make_own(file.fileno()):
                return
            # A line that was cut off by a crash ends here, not in the middle of the next.
            file.write(b"\n" + lines if self._is_torn() else lines)
            is_too_large = file.tell() > _LARGEST
        if is_too_large:
            self._shorten()

    def _is_torn(self) -> bool:
        with self._path.open("rb") as file:
            if not file.seek(0, os.SEEK_END):
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"

    def _shorten(self) -> None:
        """Keep the newest; what another run adds meanwhile may be lost, which costs time only."""
        lines = self._lines()[-_MOST:]
        handle, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines(line + b"\n" for line in lines)
            Path(temporary).replace(self._path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _open_own(path: str, flags: int) -> int:
    """Never by a link that somebody else laid there."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _is_own(status: os.stat_result) -> bool:
    """Whether nobody else can have written the file: a wrong guess puts another's layer into an image."""
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _make_own(handle: int) -> bool:
    """Take the others' right to write to a file of ours, with what they may have written; False where it isn't ours."""
    status = os.fstat(handle)
    if status.st_uid == os.geteuid() and not _is_own(status):
        os.fchmod(handle, 0o600)
        os.ftruncate(handle, 0)
    return status.st_uid == os.geteuid()


def _label(compression: Compression) -> str:
    return f"{compression.name}:{compression.level}"

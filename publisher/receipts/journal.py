"""The journal: one file a run, written before the first tag and after each."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import re
import secrets
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec

from publisher.model.codec import decode, encode_readable
from publisher.model.environment import NOWHERE, state_folder
from publisher.model.errors import NO_ROOM, DiskFull, Locked, PublishError, UsageError
from publisher.model.receipt import Receipt, Receipts
from publisher.receipts.atomic import ReservedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence


class Lock:
    """An exclusive lock on `path`, which holds the owner's process id; raises Locked, or OSError of the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _open_locked(path)
        os.truncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go; the file goes first, so that none is left behind. Twice does no harm."""
        if self._file >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1


def _open_locked(path: Path) -> int:
    # An owner that ends removes its file: what was locked may then be a file that nobody else will find.
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
                return file
        except BlockingIOError as error:
            raise _locked(file, path) from error
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _locked(file: int, path: Path) -> Locked:
    owner = os.pread(file, 32, 0).strip().decode("ascii", "replace")
    os.close(file)
    who = f"process {owner}" if owner.isdigit() else "its process"
    return Locked(
        f"another run of publish ({who}) works on the same release", reference=path, hint="wait until it has ended"
    )


@contextmanager
def take_turns(folder: Path, sleep: Callable[[float], None], *name: str) -> Iterator[None]:
    """Wait until no other run on this machine works on `name`; raises Locked after a minute.

    It spares runs a conflict that they would mend anyway: where the folder can't be written, nobody waits.
    """
    key = hashlib.sha256(":".join(name).encode()).hexdigest()[:24]
    path = folder / f"{key}.lock"
    with ExitStack() as held:
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            held.callback(_wait_for_lock(path, sleep).release)
        yield


def _wait_for_lock(path: Path, sleep: Callable[[float], None]) -> Lock:
    for _try in range(_TURN_TRIES):
        try:
            return Lock(path)
        except Locked:
            sleep(random.uniform(0.5, 1.5) * _LONGEST_TURN / _TURN_TRIES)
    return Lock(path)


_TURN_TRIES: Final = 2400
_LONGEST_TURN: Final = 60.0
"""Seconds."""
_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")
_OWN: Final = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{3}Z-[0-9a-f]{6}")
_LARGEST: Final = 16 << 20
_ORDER: Final = "order"
"""The journal's own file: the ids, a line each, in the order in which their receipts were first written."""
_CLOCKS_APART: Final = timedelta(minutes=5)


def new_id() -> str:
    """An id that sorts by time, to the millisecond: 20261124T001352.123Z and six random hex digits."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03}Z-{secrets.token_hex(3)}"


def is_id(text: str) -> bool:
    """Whether a file's name is one that new_id made, whatever the file holds."""
    return _OWN.fullmatch(text) is not None


def is_from_future(receipt: Receipt) -> bool:
    """Whether a receipt was stamped by a clock that is, or was, far ahead."""
    try:
        return datetime.fromisoformat(receipt.started) > datetime.now(UTC) + _CLOCKS_APART
    except (ValueError, TypeError):
        return False


def receipts_folder(environ: Mapping[str, str]) -> Path:
    """Where the receipts of this machine are; a rehearsal's are kept apart, with its sandbox if that has a folder."""
    if not environ.get("PUBLISH_SANDBOX"):
        return state_folder(environ) / "receipts"
    folder = environ.get("PUBLISH_SANDBOX_STATE")
    return Path(folder) if folder else state_folder(environ) / "sandbox"


class Journal:
    """The receipts in one folder, mode 0700; each file 0600.

    make_folder: makes another where the folder is NOWHERE and a receipt has to be kept.
    """

    def __init__(self, folder: Path, make_folder: Callable[[], Path] | None = None) -> None:
        self.folder = folder
        self._make_folder = make_folder

    def open(self, key: Iterable[str]) -> JournalEntry:
        """Take the lock of what is released (repositories, version, image); raises Locked where another run has it.

        Raises DiskFull, or UsageError where the folder can't be written.
        """
        if self.folder.is_relative_to(NOWHERE) and self._make_folder:
            self.folder = self._make_folder()
        name = hashlib.sha256("\n".join(key).encode()).hexdigest()[:24]
        path = self.folder / f"{name}.lock"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return JournalEntry(self, name, Lock(path))
        except OSError as error:
            raise _disk_error(path, error) from error

    def list(self) -> tuple[tuple[Receipt, ...], tuple[Path, ...]]:
        """The receipts, newest first, and the files among them that are torn or not receipts; these are left alone."""
        bad: list[Path] = []
        return tuple(self.newest(bad)), tuple(bad)

    def newest(self, bad: MutableSequence[Path] | None = None) -> Iterator[Receipt]:
        """The receipts one by one, newest first; what is none of them is put into `bad`.

        The order of writing decides, as clocks go wrong; what this journal didn't write comes last, by its name.
        """
        places = self._places()
        for path in sorted(self.folder.glob("*.json"), key=lambda path: _rank(path.stem, places), reverse=True):
            try:
                yield _read_own(path)
            except UsageError:
                if bad is not None:
                    bad.append(path)

    def is_later(self, one: str, other: str) -> bool:
        """Whether the receipt of the id `one` was written after that of `other`."""
        places = self._places()
        if one in places and other in places:
            return places[one] > places[other]
        return one > other

    def enlist(self, receipt_id: str) -> None:
        """Give a new receipt its place in the order; raises OSError."""
        # Line ends on both sides: a line that a full disk has torn spoils no other.
        file = os.open(
            self.folder / _ORDER, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            os.write(file, f"\n{receipt_id}\n".encode())
        finally:
            os.close(file)

    def _places(self) -> dict[str, int]:
        """The place of each id in the order of writing."""
        with suppress(OSError):
            lines = (self.folder / _ORDER).read_bytes().decode("ascii", "replace").split()
            return {line: number for number, line in enumerate(lines)}
        return {}

    def find(self, text: str) -> Receipt:
        """The receipt that `text` means: an id, the start of one, or a file; raises UsageError for none or several."""
        if _ID.fullmatch(text):
            exact = self.folder / f"{text}.json"
            paths = [exact] if exact.is_file() else sorted(self.folder.glob(f"{text}*.json"))
            if len(paths) == 1:
                return _read_own(paths[0])
            if paths:
                names = ", ".join(path.stem for path in paths[:5])
                raise UsageError(f"'{text}' begins {len(paths)} receipts", hint=f"name one: {names}")
        if Path(text).is_file():
            return read_receipt(Path(text))
        raise UsageError(f"there is no receipt '{text}'", reference=self.folder, hint="see 'publish history'")


def _rank(stem: str, places: Mapping[str, int]) -> tuple[int, str]:
    return places.get(stem, -1), stem


def read_receipt(path: Path) -> Receipt:
    """Read one file; raises UsageError where it isn't a whole receipt."""
    try:
        with path.open("rb") as file:
            receipt: Receipt = decode(file.read(_LARGEST), Receipt)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not a receipt: {error}", reference=path) from error
    if not _ID.fullmatch(receipt.id):
        raise UsageError(f"{path} is not a receipt: its id is not one", reference=path)
    return receipt


def _read_own(path: Path) -> Receipt:
    """A receipt in the journal, which is called by its id."""
    receipt = read_receipt(path)
    if receipt.id != path.stem:
        raise UsageError(f"{path} is the receipt {receipt.id} under another name", reference=path)
    return receipt


class JournalEntry:
    """One run's place in the journal, held under a lock that ends with the process.

    name: the lock's, which no other run can hold meanwhile.
    """

    def __init__(self, journal: Journal, name: str, lock: Lock) -> None:
        self._journal = journal
        self._name = name
        self._lock = lock
        self._files: dict[Path, ReservedFile] = {}

    def write(self, receipt: Receipt) -> Path:
        """Put the receipt in place: whole or not at all, and on disk when this returns.

        Room for the writes to come is taken by the first. Raises DiskFull.
        """
        if not _ID.fullmatch(receipt.id):
            raise UsageError(f"'{receipt.id}' is not the id of a receipt")
        path = self._journal.folder / f"{receipt.id}.json"
        try:
            self._file(path).write(encode_readable(receipt).encode())
        except OSError as error:
            raise _disk_error(path, error) from error
        return path

    def _file(self, path: Path) -> ReservedFile:
        if path not in self._files:
            if not path.exists():
                self._journal.enlist(path.stem)
            spare = self._journal.folder / f".{self._name}-{len(self._files)}.room"
            self._files[path] = ReservedFile(path, spare)
        return self._files[path]

    def close(self) -> None:
        """Let the lock go."""
        for file in self._files.values():
            file.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class ReceiptCopy:
    """The receipt in the file that `--receipt` names, with room taken for it; raises DiskFull or UsageError."""

    def __init__(self, path: Path) -> None:
        # The file behind a link is meant, and a device or a pipe is written as it is.
        self._path = path.resolve()
        is_special = self._path.exists() and not self._path.is_file()
        self._file = None if is_special else ReservedFile(self._path, self._path.with_name(f".{path.name}.room"))

    def write(self, document: Receipt | Receipts, *, last: bool = True) -> None:
        """Write it whole; `last`: no other write comes."""
        content = encode_readable(document).encode()
        try:
            if self._file:
                self._file.write(content)
            elif last:
                self._path.write_bytes(content)
        except OSError as error:
            raise _disk_error(self._path, error) from error
        finally:
            if self._file and last:
                self._file.close()


def save(document: Receipt | Receipts, path: Path) -> None:
    """Write receipts to any file, as `--receipt` asks; whole or not at all. Raises DiskFull or UsageError."""
    ReceiptCopy(path).write(document)


def _disk_error(path: Path, error: OSError) -> PublishError:
    if error.errno in NO_ROOM:
        return DiskFull(f"no room for the receipt {path}", reference=path, hint="make room, then run the same again")
    return UsageError(f"the receipt can't be written: {error.strerror}", reference=path)

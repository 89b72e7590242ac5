"""The strict reader of tar archives: what others write is read, what two readers could read differently is not."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.archives.header import BLOCK, LARGEST_EXTENSION, LONGEST_NAME
from publisher.archives.tar import Tar
from publisher.model.errors import BadArchive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

END = bytes(2 * BLOCK)
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


class Pipe(io.BytesIO):
    """A stream that can't be moved in."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_where: int) -> int:
        raise AssertionError("a stream is not moved in")


def read(content: bytes, *, pipe: bool = True) -> dict[str, bytes]:
    """All files of an archive."""
    tar = Tar(Pipe(content) if pipe else io.BytesIO(content))
    found = {}
    for member in tar:
        pieces = iter(lambda: tar.read(member, 7), b"")  # noqa: B023 - read at once
        found[member.name] = b"".join(pieces)
    return found


def block(
    name: bytes = b"a",
    *,
    kind: bytes = b"0",
    size: bytes = b"00000000000\0",
    target: bytes = b"",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    checksum: bytes | None = None,
) -> bytes:
    """One header, byte by byte."""
    found = bytearray(BLOCK)
    found[0 : len(name)] = name
    found[124:136] = size
    found[156:157] = kind
    found[157 : 157 + len(target)] = target
    found[257:265] = magic
    found[345 : 345 + len(prefix)] = prefix
    found[148:156] = b" " * 8
    found[148:156] = b"%06o\0 " % sum(found) if checksum is None else checksum
    return bytes(found)


def octal(size: int) -> bytes:
    return b"%011o\0" % size


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % BLOCK)


def file(name: bytes, content: bytes = b"") -> bytes:
    return block(name, size=octal(len(content))) + padded(content)


def extended(kind: bytes, content: bytes) -> bytes:
    return block(b"extended", kind=kind, size=octal(len(content))) + padded(content)


def record(keyword: bytes, value: bytes) -> bytes:
    rest = b" " + keyword + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length += 1
    return str(length).encode() + rest


def pax(*pairs: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    return extended(kind, b"".join(record(keyword, value) for keyword, value in pairs))


NAME = st.text("abcdefghijklmnopqrstuvwxyz0123456789._-é", min_size=1, max_size=120).filter(
    lambda text: text.strip(".") and len(text.encode()) <= 200
)
FILES = st.dictionaries(NAME, st.binary(max_size=1500), max_size=6)


@given(files=FILES, kind=st.sampled_from(["gnu", "pax"]), pipe=st.booleans())
def test_what_tarfile_writes_is_read(files: dict[str, bytes], kind: str, pipe: bool) -> None:
    """Long and short names, in a file as in a stream."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=FORMATS[kind]) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert read(buffer.getvalue(), pipe=pipe) == files


@dataclass(frozen=True)
class Whole:
    """An archive that is well, and its files."""

    content: bytes
    files: dict[str, bytes]


@pytest.mark.parametrize(
    "whole",
    [
        pytest.param(Whole(END, {}), id="empty"),
        pytest.param(Whole(file(b"a", b"x" * 512) + END, {"a": b"x" * 512}), id="one block"),
        pytest.param(Whole(file(b"./a", b"x") + END, {"a": b"x"}), id="leading dot"),
        pytest.param(Whole(block(b"./", kind=b"5") + block(b"b/", kind=b"5") + END, {}), id="folders"),
        pytest.param(Whole(block(b"b/", kind=b"5") * 2 + END, {}), id="folder twice"),
        pytest.param(Whole(block(b"a", kind=b"\0") + END, {"a": b""}), id="old file"),
        pytest.param(Whole(block(b"c", prefix=b"a/b") + END, {"a/b/c": b""}), id="prefix"),
        pytest.param(Whole(block(b"c", magic=b"ustar  \0", prefix=b"12345") + END, {"c": b""}), id="GNU has no prefix"),
        pytest.param(Whole(extended(b"L", b"long\0") + file(b"lo") + END, {"long": b""}), id="GNU long name"),
        pytest.param(
            Whole(file(b"t") + extended(b"K", b"t\0") + block(b"l", kind=b"2", target=b"x") + END, {"t": b""}),
            id="GNU long target",
        ),
        pytest.param(
            Whole(extended(b"L", b"l\0") + extended(b"K", b"t\0") + block(kind=b"2") + file(b"t") + END, {"t": b""}),
            id="GNU both",
        ),
        pytest.param(Whole(pax((b"path", b"other")) + file(b"a") + END, {"other": b""}), id="pax path"),
        pytest.param(Whole(pax((b"size", b"3")) + block() + padded(b"abc") + END, {"a": b"abc"}), id="pax size"),
        pytest.param(Whole(pax((b"mtime", b"1.5"), kind=b"g") + file(b"a") + END, {"a": b""}), id="pax for all"),
        pytest.param(
            Whole(block(size=b"\x80" + (3).to_bytes(11)) + padded(b"abc") + END, {"a": b"abc"}), id="base 256"
        ),
        pytest.param(Whole(file(b"a") + END + bytes(8 * BLOCK), {"a": b""}), id="a record of zeros"),
        pytest.param(Whole(file(b"a") + block(b"l", kind=b"1", target=b"a") + END, {"a": b""}), id="hard link"),
        pytest.param(
            Whole(file(b"a/f") + block(b"b/f", kind=b"2", target=b"../a/f") + END, {"a/f": b""}), id="symlink"
        ),
    ],
)
def test_a_whole_archive_is_read(whole: Whole) -> None:
    """As the tar programs of this world write it."""
    assert read(whole.content) == read(whole.content, pipe=False) == whole.files


HOSTILE: dict[str, Sequence[bytes]] = {
    "nothing": [],
    "no end": [file(b"a")],
    "half an end": [file(b"a"), bytes(BLOCK)],
    "end with something in it": [file(b"a"), bytes(BLOCK), file(b"b"), END],
    "second archive behind the end": [file(b"a"), END, file(b"b"), END],
    "text behind the end": [file(b"a"), END, b"x"],
    "endless zeros": [file(b"a"), END, bytes(17 << 20)],
    "noise": [b"\xa5" * 1024, END],
    "compressed": [b"\x1f\x8b" + bytes(1024)],
    "checksum": [block(checksum=b"000000\0 "), END],
    "checksum of no digits": [block(checksum=b"9z\0     "), END],
    "magic": [block(magic=b"\0" * 8), END],
    "magic of another kind": [block(magic=b"ustar\x0001"), END],
    "size of no digits": [block(size=b"0000000000x\0"), END],
    "size negative": [block(size=b"-0000000001\0"), END],
    "size negative in base 256": [block(size=b"\xff" * 12), END],
    "size beyond all": [block(size=b"\x80" + b"\x7f" * 11), END],
    "size beyond the file": [block(size=octal(5000)), END],
    "text behind a NUL": [block(b"a\0b"), END],
    "name not UTF-8": [block(b"\xff"), END],
    "no name": [block(b""), END],
    "only dots": [block(b"./."), END],
    "file named as a folder": [block(b"a/"), END],
    "folder with bytes": [block(b"a/", kind=b"5", size=octal(3)), padded(b"abc"), END],
    "symlink with bytes": [file(b"b"), block(kind=b"2", target=b"b", size=octal(3)), padded(b"abc"), END],
    "symlink to nothing": [block(kind=b"2", target=b"b"), END],
    "symlink without target": [block(kind=b"2"), END],
    "symlink to itself": [block(kind=b"2", target=b"a"), END],
    "symlinks in a circle": [block(b"a", kind=b"2", target=b"b"), block(b"b", kind=b"2", target=b"a"), END],
    "symlink to a folder": [block(b"b/", kind=b"5"), block(kind=b"2", target=b"b"), END],
    "symlink to the root": [block(b"a/b", kind=b"2", target=b".."), END],
    "hard link to nothing": [block(kind=b"1", target=b"b"), END],
    "hard link out": [block(b"a/b", kind=b"1", target=b"../a"), END],
    "contiguous file": [block(kind=b"7"), END],
    "sparse": [block(kind=b"S"), END],
    "volume label": [block(kind=b"V"), END],
    "dump folder": [block(kind=b"D"), END],
    "unknown type": [block(kind=b"Z"), END],
    "solaris extension": [extended(b"X", record(b"path", b"b")), file(b"a"), END],
    "twice": [file(b"a"), file(b"a"), END],
    "file and folder": [file(b"a"), block(b"a/", kind=b"5"), END],
    "twice but for case": [file(b"blobs/A"), file(b"blobs/a"), END],
    "twice but for folding": [file("straße".encode()), file(b"strasse"), END],
    "long name of long names": [extended(b"L", b"x" * (LONGEST_NAME + 1) + b"\0"), file(b"a"), END],
    "long name too large": [extended(b"L", b"x" * LARGEST_EXTENSION + b"\0"), file(b"a"), END],
    "long name endless": [block(kind=b"L", size=b"\x80" + b"\0" * 4 + b"\x7f" + b"\xff" * 6), file(b"a"), END],
    "long name without NUL": [extended(b"L", b"abc"), file(b"a"), END],
    "long name with two": [extended(b"L", b"a\0b\0"), file(b"a"), END],
    "long name twice": [extended(b"L", b"b\0"), extended(b"L", b"c\0"), file(b"a"), END],
    "long name at the end": [extended(b"L", b"b\0"), END],
    "long name absolute": [extended(b"L", b"/etc/passwd\0"), file(b"a"), END],
    "long target out": [extended(b"K", b"../../etc\0"), block(kind=b"2"), END],
    "pax and GNU name": [extended(b"L", b"b\0"), pax((b"path", b"c")), file(b"a"), END],
    "pax twice": [pax((b"path", b"b")), pax((b"path", b"c")), file(b"a"), END],
    "pax keyword twice": [pax((b"path", b"b"), (b"path", b"c")), file(b"a"), END],
    "pax name for all": [pax((b"path", b"b"), kind=b"g"), file(b"a"), END],
    "pax size for all": [pax((b"size", b"1"), kind=b"g"), file(b"a"), END],
    "pax at the end": [pax((b"path", b"b")), END],
    "pax path out": [pax((b"path", b"../b")), file(b"a"), END],
    "pax path with NUL": [pax((b"path", b"a\0b")), file(b"a"), END],
    "pax path empty": [pax((b"path", b"")), file(b"a"), END],
    "pax path not UTF-8": [pax((b"path", b"\xff")), file(b"a"), END],
    "pax target absolute": [pax((b"linkpath", b"/etc/passwd")), block(kind=b"2", target=b"b"), file(b"b"), END],
    "pax size negative": [pax((b"size", b"-1")), file(b"a"), END],
    "pax size of no digits": [pax((b"size", b"1e3")), file(b"a"), END],
    "pax size too long": [pax((b"size", b"9" * 30)), file(b"a"), END],
    "pax size beyond the file": [pax((b"size", b"99999")), file(b"a"), END],
    "pax size empty": [pax((b"size", b"")), file(b"a"), END],
    "pax sparse": [pax((b"GNU.sparse.major", b"1")), file(b"a"), END],
    "pax record too long": [extended(b"x", b"99 path=b\n"), file(b"a"), END],
    "pax record too short": [extended(b"x", b"5 path=b\n"), file(b"a"), END],
    "pax record without length": [extended(b"x", b" path=b\n"), file(b"a"), END],
    "pax record of length zero": [extended(b"x", b"0 path=b\n"), file(b"a"), END],
    "pax record without equals": [extended(b"x", b"9 path:b\n"), file(b"a"), END],
    "pax record without keyword": [extended(b"x", b"5 =b\n\n"), file(b"a"), END],
    "pax record without newline": [extended(b"x", b"9 path=bc"), file(b"a"), END],
    "pax of a gigabyte": [block(kind=b"x", size=octal(1 << 30)), file(b"a"), END],
}


@pytest.mark.parametrize("pipe", [True, False], ids=["stream", "file"])
@pytest.mark.parametrize("harm", HOSTILE)
def test_a_hostile_archive_is_refused(harm: str, pipe: bool) -> None:
    """With our own error, in a file as in a stream."""
    with pytest.raises(BadArchive):
        read(b"".join(HOSTILE[harm]), pipe=pipe)


@pytest.mark.parametrize("pipe", [True, False], ids=["stream", "file"])
def test_an_archive_cut_at_any_byte_is_refused(pipe: bool) -> None:
    """There is no place where a cut goes unseen."""
    content = pax((b"path", b"b")) + file(b"a", b"abc") + file(b"c", b"x" * 512) + END
    for length in range(len(content)):
        with pytest.raises(BadArchive):
            read(content[:length], pipe=pipe)


@given(st.binary(max_size=2048), st.booleans())
def test_noise_is_refused(noise: bytes, behind: bool) -> None:
    """Whatever the bytes are, nothing but our own error comes out."""
    try:
        read(file(b"a", b"abc") + noise if behind else noise + END)
    except BadArchive:
        return


@given(st.integers(0, 3 * BLOCK - 1), st.integers(0, 255))
def test_a_changed_byte_never_gives_another_name(place: int, value: int) -> None:
    """The checksum holds a header together."""
    content = bytearray(file(b"a", b"abc") + block(b"b"))
    in_content, in_checksum = BLOCK <= place < 2 * BLOCK, 148 <= place % BLOCK < 156
    if content[place] == value or in_content or in_checksum:
        return
    content[place] = value
    with pytest.raises(BadArchive):
        read(bytes(content) + END)


def test_too_many_members_are_refused() -> None:
    """Their names would fill the memory."""
    content = b"".join(file(b"%d" % number) for number in range(50_001))
    with pytest.raises(BadArchive, match="more than 50,000"):
        read(content + END)


def test_a_member_can_only_be_read_in_its_turn() -> None:
    """A later read would give another one's bytes."""
    tar = Tar(Pipe(file(b"a", b"abc") + file(b"b", b"def") + END))
    members = iter(tar)
    first = next(members)
    second = next(members)
    assert tar.read(second, 9) == b"def"
    with pytest.raises(ValueError, match="a is not the member"):
        tar.read(first, 9)


@pytest.mark.parametrize("size", [9 << 30, 1 << 40], ids=["9-GiB", "1-TiB"])
@pytest.mark.parametrize("form", ["base-256", "pax"])
def test_a_huge_file_is_passed_over(form: str, size: int, tmp_path: Path) -> None:
    """More than octal digits can say; on disk it is a hole, and what comes behind it is read at once."""
    header = block(b"huge", size=b"\x80" + size.to_bytes(11))
    if form == "pax":
        header = pax((b"size", b"%d" % size)) + block(b"huge")
    path = tmp_path / "huge.tar"
    with path.open("wb") as archive:
        archive.write(header)
        archive.seek(size, io.SEEK_CUR)
        archive.write(file(b"after", b"x") + END)
    with path.open("rb") as archive:
        tar = Tar(archive)
        found = {member.name: (member.size, tar.read(member, 1)) for member in tar}
    assert found == {"huge": (size, b"\0"), "after": (1, b"x")}

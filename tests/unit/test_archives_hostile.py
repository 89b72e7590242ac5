"""Archives and layouts that mean harm, or are broken: refused, and nothing outside is read."""

from __future__ import annotations

import json
import os
import tarfile
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from typing import TYPE_CHECKING

import pytest

from publisher.archives.engine_export import EngineExport
from publisher.archives.oci_layout import OciLayout, open_oci_archive, open_oci_layout
from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import BadArchive, BadManifest, SourceNotFound
from publisher.model.manifest import Index, Manifest
from tests.support.layout import make_layout
from tests.support.saved_image import open_docker_archive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REFUSED = (BadArchive, BadManifest, SourceNotFound)
OUTSIDE = b"a secret outside of the archive"


@dataclass(frozen=True)
class Entry:
    """One member of an archive."""

    name: str
    content: bytes = b""
    kind: bytes = tarfile.REGTYPE
    link: str = ""
    pax: tuple[tuple[str, str], ...] = ()


def write(path: Path, entries: list[Entry]) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            member = tarfile.TarInfo(entry.name)
            member.type, member.linkname, member.size = entry.kind, entry.link, len(entry.content)
            member.pax_headers = dict(entry.pax)
            archive.addfile(member, BytesIO(entry.content))
    return path


def docker_image(content: bytes, tag: str = "app:1") -> tuple[dict[str, object], list[Entry]]:
    """An image's listing in manifest.json, and its members."""
    config = json.dumps({"os": "linux", "rootfs": {"diff_ids": [str(Digest.of(content))]}}).encode()
    name, layer = f"{Digest.of(config).hex}.json", f"{Digest.of(content).hex}/layer.tar"
    return {"Config": name, "RepoTags": [tag], "Layers": [layer]}, [Entry(layer, content), Entry(name, config)]


def docker_archive() -> list[Entry]:
    listing, entries = docker_image(b"layer")
    return [*entries, Entry("manifest.json", json.dumps([listing]).encode())]


def oci_archive(folder: Path) -> list[Entry]:
    make_layout(folder, "image")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [Entry(str(path.relative_to(folder)), path.read_bytes()) for path in files]


def read_docker(path: Path) -> bytes:
    """Everything that a release would read."""
    image = open_docker_archive(path)
    with image.layers(frozenset(image.diff_ids)) as layers:
        found = b"".join(layer.read(1 << 20) for _diff_id, layer in layers)
    return found + image.config


def read_layout(layout: OciLayout) -> bytes:
    root = layout.root()
    manifests = [layout.manifest(entry) for entry in root.manifests] if isinstance(root, Index) else [root]
    found = b""
    for manifest in manifests:
        assert isinstance(manifest, Manifest)
        for blob in manifest.blobs:
            with layout.open_blob(blob) as stream:
                found += stream.read()
    return found


def read_oci(path: Path) -> bytes:
    return read_layout(open_oci_archive(path))


MEMBERS = {
    "absolute": Entry("/etc/passwd"),
    "parent": Entry("../x"),
    "parent within": Entry("a/../../x"),
    "parent at the end": Entry("a/.."),
    "backslash": Entry("a\\..\\x"),
    "drive": Entry("C:/x"),
    "drive, relative": Entry("c:x"),
    "NUL by PAX": Entry("a", pax=(("path", "a\0b"),)),
    "absolute by PAX": Entry("a", pax=(("path", "/etc/passwd"),)),
    "parent by PAX": Entry("a", pax=(("path", "../x"),)),
    "long name": Entry("../" + "x" * 300),
    "symlink, absolute": Entry("a", kind=tarfile.SYMTYPE, link="/etc/passwd"),
    "symlink out": Entry("a", kind=tarfile.SYMTYPE, link="../x"),
    "symlink out and in again": Entry("a/b", kind=tarfile.SYMTYPE, link="../../a/b"),
    "symlink, down then out": Entry("a", kind=tarfile.SYMTYPE, link="b/../../x"),
    "symlink, backslash": Entry("a", kind=tarfile.SYMTYPE, link="..\\x"),
    "hard link, absolute": Entry("a", kind=tarfile.LNKTYPE, link="/etc/passwd"),
    "hard link out": Entry("a/b", kind=tarfile.LNKTYPE, link="../x"),
    "character device": Entry("a", kind=tarfile.CHRTYPE),
    "block device": Entry("a", kind=tarfile.BLKTYPE),
    "FIFO": Entry("a", kind=tarfile.FIFOTYPE),
    "sparse": Entry("a", kind=tarfile.GNUTYPE_SPARSE),
    "sparse by PAX": Entry("a", b"x", pax=(("GNU.sparse.map", "0,1"), ("GNU.sparse.size", "1"))),
    "sparse map of no numbers": Entry("a", b"x", pax=(("GNU.sparse.map", "a,b"),)),
}
FORMATS = {"docker": read_docker, "oci": read_oci}


def entries_of(kind: str, folder: Path) -> list[Entry]:
    return docker_archive() if kind == "docker" else oci_archive(folder / "layout")


@pytest.mark.parametrize("kind", FORMATS)
def test_the_archive_without_harm_is_read(kind: str, tmp_path: Path) -> None:
    """What the other tests spoil is whole."""
    assert FORMATS[kind](write(tmp_path / "a.tar", entries_of(kind, tmp_path)))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
@pytest.mark.parametrize("member", MEMBERS)
def test_a_hostile_member_is_refused(kind: str, member: str, first: bool, tmp_path: Path) -> None:
    """Wherever in the archive it stands."""
    entries = entries_of(kind, tmp_path)
    entries.insert(0 if first else len(entries), MEMBERS[member])
    path = write(tmp_path / "a.tar", entries)
    with pytest.raises(REFUSED):
        FORMATS[kind](path)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("prefix", ["", "./", ".//"])
def test_a_file_that_stands_twice_is_refused(kind: str, prefix: str, tmp_path: Path) -> None:
    """Also under another spelling of its name."""
    entries = entries_of(kind, tmp_path)
    again = Entry(prefix + entries[-1].name, entries[-1].content)
    with pytest.raises(BadArchive, match="twice"):
        FORMATS[kind](write(tmp_path / "a.tar", [*entries, again]))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_truncated_archive_is_refused_or_whole(kind: str, tmp_path: Path) -> None:
    """Cut anywhere, it never gives other bytes, nor another exception."""
    whole = write(tmp_path / "a.tar", entries_of(kind, tmp_path))
    expected, content = FORMATS[kind](whole), whole.read_bytes()
    for length in range(0, len(content), 131):
        whole.write_bytes(content[:length])
        try:
            found = FORMATS[kind](whole)
        except REFUSED:
            continue
        assert len(found) <= len(expected)
        assert expected.startswith(found) or found == expected


@pytest.mark.parametrize("kind", FORMATS)
def test_each_missing_file_is_told(kind: str, tmp_path: Path) -> None:
    """Whatever an image needs."""
    entries = list(entries_of(kind, tmp_path))
    for left_out in entries:
        path = write(tmp_path / "a.tar", [entry for entry in entries if entry is not left_out])
        if left_out.name == "oci-layout":
            continue
        with pytest.raises(REFUSED):
            FORMATS[kind](path)


@pytest.mark.parametrize(
    "listing",
    [
        b"",
        b"{",
        b"{}",
        b"[]",
        b"[1]",
        b'[{"Config":"x"}]',
        b'[{"Config":7,"Layers":[]}]',
        b"[" * 100000,
        b'[{"Config":"../x","Layers":[]}]',
        b'[{"Config":"/etc/passwd","Layers":[]}]',
        b'[{"Config":"x","Layers":7}]',
    ],
)
def test_a_bad_listing_is_refused(listing: bytes, tmp_path: Path) -> None:
    """manifest.json of a docker archive."""
    entries = [*docker_archive()[:-1], Entry("manifest.json", listing)]
    with pytest.raises(REFUSED):
        read_docker(write(tmp_path / "a.tar", entries))


@pytest.mark.parametrize("rootfs", [[], {}, {"diff_ids": ["sha256:../x"]}, {"diff_ids": [7]}, {"diff_ids": []}, None])
def test_a_bad_config_is_refused(rootfs: object, tmp_path: Path) -> None:
    """One that doesn't list the layers that the archive lists."""
    config = json.dumps({"rootfs": rootfs}).encode()
    name = f"{Digest.of(config).hex}.json"
    listing = json.dumps([{"Config": name, "Layers": ["a/layer.tar"]}]).encode()
    entries = [Entry("a/layer.tar", b"x"), Entry(name, config), Entry("manifest.json", listing)]
    with pytest.raises(REFUSED):
        read_docker(write(tmp_path / "a.tar", entries))


@pytest.mark.parametrize("link", ["layer.tar", "../b/layer.tar", "../absent/layer.tar"])
def test_links_that_lead_nowhere_are_refused(link: str, tmp_path: Path) -> None:
    """Cycles too."""
    listing, entries = docker_image(b"layer")
    listing["Layers"] = ["a/layer.tar"]
    links = [Entry("a/layer.tar", kind=tarfile.SYMTYPE, link=link)]
    links.append(Entry("b/layer.tar", kind=tarfile.SYMTYPE, link="../a/layer.tar"))
    listed = Entry("manifest.json", json.dumps([listing]).encode())
    with pytest.raises(BadArchive):
        read_docker(write(tmp_path / "a.tar", [*entries, *links, listed]))


def test_the_layers_of_a_neighbour_are_passed_over(tmp_path: Path) -> None:
    """Of two images in one file, only the chosen one's layers are given; a linked layer is found."""
    (one, first), (other, second) = docker_image(b"one"), docker_image(b"other", "app:2")
    first.append(Entry("linked/layer.tar", kind=tarfile.SYMTYPE, link=f"../{one['Layers'][0]}"))  # type: ignore[index]  # a list
    one["Layers"] = ["linked/layer.tar"]
    listed = Entry("manifest.json", json.dumps([one, other]).encode())
    path = write(tmp_path / "a.tar", [*first, *second, listed])
    image = open_docker_archive(path, "app:1")
    with image.layers(frozenset(image.diff_ids)) as layers:
        assert [layer.read(100) for _diff_id, layer in layers] == [b"one"]
    with pytest.raises(SourceNotFound, match="2 images"):
        open_docker_archive(path)


def spoil_blob(folder: Path) -> None:
    for path in (folder / "blobs" / "sha256").iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"!")


def link_blobs(folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    for path in (folder / "blobs" / "sha256").iterdir():
        path.rename(outside / path.name)
        path.symlink_to(outside / path.name)


def link_folder(folder: Path) -> None:
    (folder / "blobs").rename(folder.parent / "outside")
    (folder / "blobs").symlink_to(folder.parent / "outside")


def link_index(folder: Path) -> None:
    (folder / "index.json").rename(folder.parent / "outside.json")
    (folder / "index.json").symlink_to(folder.parent / "outside.json")


def drop_blobs(folder: Path) -> None:
    for path in (folder / "blobs" / "sha256").iterdir():
        path.unlink()


def pipe_blobs(folder: Path) -> None:
    for path in (folder / "blobs" / "sha256").iterdir():
        path.unlink()
        os.mkfifo(path)


def change_index(change: Callable[[dict[str, list[dict[str, object]]]], object]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        document = json.loads((folder / "index.json").read_text())
        change(document)
        (folder / "index.json").write_text(json.dumps(document))

    return spoil


OTHER = {"mediaType": media.OCI_MANIFEST, "digest": str(Digest.of(b"other")), "size": 5}
LAYOUTS: dict[str, Callable[[Path], object]] = {
    "wrong digest": spoil_blob,
    "symlinked blobs": link_blobs,
    "symlinked folder": link_folder,
    "symlinked index": link_index,
    "missing blobs": drop_blobs,
    "FIFO": pipe_blobs,
    "no index": lambda folder: (folder / "index.json").unlink(),
    "index is no JSON": lambda folder: (folder / "index.json").write_text("<"),
    "index too large": lambda folder: (folder / "index.json").write_bytes(b" " * (17 << 20)),
    "two images": change_index(lambda index: index["manifests"].append(dict(OTHER))),
    "no image": change_index(lambda index: index["manifests"].clear()),
    "both manifests and layers": change_index(lambda index: index.update(layers=[])),
    "path for digest": change_index(lambda index: index["manifests"][0].update(digest="sha256:../../outside")),
    "wrong size": change_index(lambda index: index["manifests"][0].update(size=1)),
    "wrong media type": change_index(lambda index: index["manifests"][0].update(mediaType=media.OCI_INDEX)),
}


@pytest.mark.parametrize("harm", LAYOUTS)
def test_a_hostile_layout_is_refused(harm: str, tmp_path: Path) -> None:
    """Nothing is read that a link points to, nor what its digest doesn't say."""
    make_layout(tmp_path / "layout", "image")
    LAYOUTS[harm](tmp_path / "layout")
    with pytest.raises(REFUSED):
        read_layout(open_oci_layout(tmp_path / "layout"))


@pytest.mark.parametrize("kind", ["docker", "oci"])
def test_what_is_not_there_is_told(kind: str, tmp_path: Path) -> None:
    """Neither a file nor a folder."""
    with pytest.raises(SourceNotFound):
        FORMATS[kind](tmp_path / "absent")
    with pytest.raises(SourceNotFound):
        open_oci_layout(tmp_path / "absent")


def exported(folder: Path, platforms: tuple[str, ...]) -> bytes:
    """An export of a containerd store: the blobs first, index.json behind them."""
    make_layout(folder, "image", platforms)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = write(folder / "a.tar", [Entry(str(path.relative_to(folder)), path.read_bytes()) for path in files])
    return path.read_bytes()


def test_an_export_of_a_containerd_store_is_read_in_one_pass(tmp_path: Path) -> None:
    """Every blob under the digest that its bytes have, in a stream that can't go back; then what it lists."""
    content = exported(tmp_path / "layout", ("linux/amd64", "linux/arm64"))
    export = EngineExport(lambda: BufferedReader(OneWay(content)))
    with export.blobs() as blobs:
        found = {blob.digest: blob.read(1 << 20) for blob in blobs if blob.size}
    assert len(found) == 7
    assert all(digest.matches(blob) for digest, blob in found.items())
    assert export.listing is not None
    assert export.listing.manifests[0].digest in found


def test_an_export_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    """Whatever had passed until then."""
    content = exported(tmp_path / "layout", ("linux/amd64",))
    export = EngineExport(lambda: BytesIO(content[: len(content) // 2]))
    with export.blobs() as blobs, pytest.raises(BadArchive):
        list(blobs)


class OneWay(BytesIO):
    """Bytes that come once."""

    def seekable(self) -> bool:
        return False

"""Sources as they come: compressed, on standard input, one platform an entry; and those that were meant otherwise."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from publisher.model.digest import Digest
from tests.support.command import Result
from tests.support.layout import make_layout

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.command import Publish

FORMATS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd.compress,
}
PLATFORMS = ("linux/amd64", "linux/arm64")


def packed(folder: Path, file: Path) -> Path:
    """A layout as an archive."""
    with tarfile.open(file, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, str(path.relative_to(folder)), recursive=False)
    return file


class Shop:
    """A folder with the layout `image`, and the archive `image.tar` of it; where it releases to."""

    def __init__(self, publish: Publish, folder: Path, name: str, url: str) -> None:
        self.publish, self.folder, self.image = publish, folder, f"me/{name}"
        self.environ = {"PUBLISH_SANDBOX": url, "DOCKER_HOST": "unix:///nowhere"}
        self.digest = make_layout(folder / "image", "app", PLATFORMS)
        self.archive = packed(folder / "image", folder / "image.tar")

    def release(self, source: str, stdin: bytes | None = None) -> Result:
        """Release it as the next version."""
        words = ["release", source, "--image", self.image, "--version", "1.0.0", "--format", "json"]
        if stdin is None:
            return self.publish(*words, cwd=self.folder, environ=self.environ)
        done = subprocess.run(
            [self.publish.program, *words], input=stdin, cwd=self.folder, capture_output=True, check=False, timeout=60,
            env={**self.publish.environ, **self.environ},
        )  # fmt: skip
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def shop(publish: Publish, tmp_path: Path, name: str, sandbox_url: str) -> Shop:
    """A repository of its own in the sandbox that these tests share."""
    return Shop(publish, tmp_path, name, sandbox_url)


@pytest.mark.parametrize("ending", FORMATS)
def test_a_compressed_archive(shop: Shop, ending: str) -> None:
    """Is the archive that it holds, by the name that nix gives it too."""
    file = shop.folder / f"image.tar.{ending}"
    file.write_bytes(FORMATS[ending](shop.archive.read_bytes()))
    (shop.folder / "result").symlink_to(file)
    result = shop.release("oci-archive:result")
    assert (result.code, result.document["image"]["digest"]) == (0, str(shop.digest)), result.stderr


@pytest.mark.parametrize("source", ["-", "oci-archive:-", "docker-archive:-"])
def test_standard_input(shop: Shop, source: str) -> None:
    """As it comes out of a pipe, compressed or not; a receipt doesn't tell the difference."""
    content = shop.archive.read_bytes()
    result = shop.release(source, gzip.compress(content) if source == "-" else content)
    assert (result.code, result.document["image"]["digest"]) == (0, str(shop.digest)), result.stderr


def test_standard_input_without_an_archive(shop: Shop) -> None:
    """The other end failed, or sent something else."""
    nothing, page = shop.release("-", b""), shop.release("-", b"<html>" * 200)
    assert (nothing.code, page.code) == (5, 5)
    assert "The archive is empty" in nothing.stderr


def test_a_password_and_an_archive_share_no_input(shop: Shop) -> None:
    """It is told before either is read."""
    words = ["release", "-", "--image", shop.image, "--version", "1.0.0", "-u", "me", "--password-stdin"]
    result = shop.publish(*words, cwd=shop.folder, environ=shop.environ, stdin="secret")
    assert (result.code, "--password-stdin" in result.stderr) == (2, True)


def rewrite_listing(shop: Shop, *, names: tuple[str, ...] = ("", ""), platforms: bool = True) -> None:
    """Let index.json list each platform as an entry of its own."""
    index = json.loads((shop.folder / "image" / "blobs" / "sha256" / shop.digest.hex).read_bytes())
    for entry, name in zip(index["manifests"], names, strict=True):
        if name:
            entry["annotations"] = {"org.opencontainers.image.ref.name": name}
        if not platforms:
            del entry["platform"]
    (shop.folder / "image" / "index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("platforms", [True, False], ids=["stated", "read-from-configs"])
def test_a_layout_of_one_platform_an_entry(shop: Shop, *, platforms: bool) -> None:
    """Is one image, and the index the same as if the layout had held it."""
    rewrite_listing(shop, names=("1.0", "1.0"), platforms=platforms)
    result = shop.release("oci:image")
    assert (result.code, result.document["image"]["digest"]) == (0, str(shop.digest)), result.stderr
    assert result.document["image"]["platforms"] == list(PLATFORMS)


def test_a_layout_of_several_images(shop: Shop) -> None:
    """Is not put together, whatever their platforms."""
    rewrite_listing(shop, names=("one", "two"))
    result = shop.release("oci:image")
    assert (result.code, "holds 2 images" in result.stdout) == (2, True)
    assert shop.release("oci:image:two").code == 0


def test_a_listing_that_is_not_json(shop: Shop) -> None:
    """The file is named, and the way out."""
    listing = shop.folder / "image" / "index.json"
    listing.write_bytes(b"\xef\xbb\xbf" + listing.read_bytes())
    result = shop.release("oci:image")
    assert result.code == 5
    assert "index.json" in result.stderr
    assert "byte order mark" in result.stderr


def test_a_manifest_of_schema_1(shop: Shop) -> None:
    """The file is named, and what makes schema 2 of it."""
    content = json.dumps({"schemaVersion": 1, "name": "old", "tag": "1", "fsLayers": [], "history": []}).encode()
    digest = Digest.of(content)
    (shop.folder / "image" / "blobs" / "sha256" / digest.hex).write_bytes(content)
    entry = {"mediaType": "application/vnd.docker.distribution.manifest.v1+json", "digest": str(digest)}
    listing = {"schemaVersion": 2, "manifests": [{**entry, "size": len(content)}]}
    (shop.folder / "image" / "index.json").write_text(json.dumps(listing))
    result = shop.release("oci:image")
    assert result.code == 5
    assert digest.hex in "".join(result.stderr.split())
    assert "skopeo copy --format v2s2" in result.stderr


MEANT = {
    "docker-daemo:app": "docker-daemon:app",
    "oci-archiv:image.tar": "oci-archive:image.tar",
    "docker-archve:./image.tar": "docker-archive:./image.tar",
    "./image.tar": "docker-archive:./image.tar",
    "image.tar": "docker-archive:image.tar",
    "absent.tar.gz": "docker-archive:absent.tar.gz",
    "image": "oci:image",
    "./image": "oci:./image",
}


@pytest.mark.parametrize("source", MEANT)
def test_what_was_meant_is_offered(shop: Shop, source: str) -> None:
    """Without an engine too, which none of them needs."""
    result = shop.release(source)
    assert result.code == 2, result.stderr
    assert MEANT[source] in result.document["hint"]


@pytest.mark.parametrize("name", ["x/Y", "x/y:a:b", "app@sha256:" + "a" * 64])
def test_a_name_that_no_image_can_have(publish: Publish, tmp_path: Path, name: str) -> None:
    """Is told before anything is built, in a sentence that names the option."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    result = publish("build", "-t", name, cwd=tmp_path, environ={"DOCKER_HOST": "unix:///nowhere"})
    assert result.code == 2
    assert f"-t {name}" in "".join(result.stderr.split("\n"))

"""An export as it comes, whole or with the engine's complaint behind it."""

from __future__ import annotations

import io

import pytest

from publisher.engine.events import ExportStream
from publisher.engine.image import EngineImage
from publisher.model.digest import Digest
from publisher.model.errors import DiskFull, Unreachable
from publisher.model.manifest import Platform


def read(*pieces: bytes, size: int = 10) -> bytes:
    with io.BufferedReader(ExportStream(iter(pieces), "app"), size) as stream:
        return b"".join(iter(lambda: stream.read(size), b""))


@pytest.mark.parametrize("size", [1, 3, 10, 1000])
@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([], id="empty"),
        pytest.param([b"x" * 25], id="one"),
        pytest.param([b"abc", b"defgh" * 50, b"i"], id="several"),
        pytest.param([b'{"errorDetail"', b"a layer's own bytes"], id="like a complaint"),
        pytest.param([b"a", b'{"errorDetail":{"message":"x"}}', b"b"], id="a complaint within"),
    ],
)
def test_all_bytes_come(pieces: list[bytes], size: int) -> None:
    """In order, whatever the pieces are."""
    assert read(*pieces, size=size) == b"".join(pieces)


@pytest.mark.parametrize(
    ("complaint", "error", "words"),
    [
        pytest.param(b'{"errorDetail":{"message":"write: no space left on device"}}\r\n', DiskFull, "room", id="full"),
        pytest.param(b'{"errorDetail":{"message":"boom"},"error":"boom"}\r\n', Unreachable, "boom", id="other"),
        pytest.param(b'{"errorDetail":{"mess', Unreachable, "errorDetail", id="cut"),
        pytest.param(b'{"errorDetail":7}', Unreachable, "errorDetail", id="odd"),
    ],
)
def test_a_complaint_at_the_end_is_raised(complaint: bytes, error: type[Exception], words: str) -> None:
    """Engines write it behind what they sent under status 200."""
    with pytest.raises(error, match=words):
        read(b"tar" * 100, complaint)


FOUND = {
    "Id": "sha256:" + "a" * 64,
    "RootFS": {"Layers": ["sha256:" + "b" * 64]},
    "RepoTags": ["app:1"],
    "RepoDigests": None,
    "Os": "linux",
    "Architecture": "arm",
    "Variant": "v7",
    "Size": 7,
    "Config": {"Labels": {"a": "b"}},
}


def test_an_image_is_read() -> None:
    """As the engine describes it."""
    image = EngineImage.read(FOUND, classic=True)
    assert image.config == Digest("sha256", "a" * 64)
    assert image.diff_ids == (Digest("sha256", "b" * 64),)
    assert image.references == ("app:1",)
    assert image.platform == Platform("linux", "arm", "v7")
    assert (image.labels, image.size) == ({"a": "b"}, 7)


def test_a_containerd_store_tells_no_config() -> None:
    """Its ids are those of manifests."""
    assert EngineImage.read(FOUND, classic=False).config is None


def test_an_id_without_algorithm_is_read() -> None:
    """As podman writes it."""
    assert EngineImage.read({**FOUND, "Id": "a" * 64}, classic=True).id == FOUND["Id"]


@pytest.mark.parametrize(
    "change",
    [
        {"Id": None},
        {"Id": "sha256:../../x"},
        {"RootFS": None},
        {"RootFS": {"Layers": ["x"]}},
        {"RootFS": {"Layers": 7}},
        {"Size": "big"},
        {"Config": 7},
        {"RepoTags": 7},
    ],
    ids=str,
)
def test_a_malformed_description_is_refused(change: dict[str, object]) -> None:
    """With our own error."""
    with pytest.raises(Unreachable, match="malformed"):
        EngineImage.read({**FOUND, **change}, classic=True)

"""What an engine says while it pushes or pulls."""

from __future__ import annotations

import pytest

from publisher.engine.events import read_pull, read_push
from publisher.model.digest import Digest
from publisher.model.errors import Denied, DiskFull, PublishError, Unreachable

DIGEST = Digest.of(b"manifest")
AUX = f'{{"progressDetail":{{}},"aux":{{"Tag":"1","Digest":"{DIGEST}","Size":9}}}}\r\n'.encode()
PUSH = b'{"status":"The push refers to repository [h/a]"}\r\n{"status":"Pushed","id":"ab"}\r\n' + AUX
PULL = b'{"status":"Pulling from a","id":"1"}\r\n{"status":"Pull complete","id":"ab"}\r\n'
PODMAN = b'{"status":"Already exists","id":"ab"}\n{"status":"Download complete","id":"ef"}\n'
ENDED = b'{"status":"Status: Downloaded newer image for a:1"}\r\n'


def test_a_push_gives_its_digest() -> None:
    """The aux line names the manifest."""
    assert read_push([PUSH], "a:1") == DIGEST


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_pieces_may_end_anywhere(size: int) -> None:
    """A line may come in several pieces."""
    assert read_push([PUSH[at : at + size] for at in range(0, len(PUSH), size)], "a:1") == DIGEST


def test_a_push_cut_at_any_byte_is_no_success() -> None:
    """Only what ends with the aux object's own line end is a push."""
    for length in range(len(PUSH)):
        with pytest.raises(Unreachable):
            read_push([PUSH[:length]], "a:1")


def test_a_pull_cut_at_any_byte_is_no_success() -> None:
    """Only what holds the closing status is a pull."""
    stream = PULL + ENDED
    for length in range(len(stream)):
        with pytest.raises(Unreachable):
            read_pull([stream[:length]], "a:1")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        pytest.param(b'{"error":"boom"}', Unreachable, id="error"),
        pytest.param(b'{"errorDetail":{"message":"boom"}}', Unreachable, id="errorDetail"),
        pytest.param(b'{"errorDetail":"boom"}', Unreachable, id="errorDetail is text"),
        pytest.param(b'{"errorDetail":{}}', Unreachable, id="errorDetail is empty"),
        pytest.param(b'{"error":""}', Unreachable, id="error is empty"),
        pytest.param(b'{"error":["x"]}', Unreachable, id="error is a list"),
        pytest.param(b'{"error":"denied: requested access"}', Denied, id="denied"),
        pytest.param(b'{"error":"unauthorized: log in"}', Denied, id="unauthorized"),
        pytest.param(b'{"error":"no basic auth credentials"}', Denied, id="no credentials"),
        pytest.param(b'{"errorDetail":{"message":"no space left on device"}}', DiskFull, id="disk full"),
        pytest.param(b"<html>", Unreachable, id="not JSON"),
        pytest.param(b'"text"', Unreachable, id="not an object"),
        pytest.param(b"[1]", Unreachable, id="a list"),
        pytest.param(b"null", Unreachable, id="null"),
        pytest.param(b"\xff\xfe", Unreachable, id="not UTF-8"),
        pytest.param(b"[" * 100_000, Unreachable, id="deep"),
        pytest.param(b'{"aux":{"Digest":"sha256:../../x"}}', Unreachable, id="no digest"),
        pytest.param(b'{"aux":{"Digest":7}}', Unreachable, id="digest is a number"),
        pytest.param(b'{"aux":{"Digest":null}}', Unreachable, id="digest is null"),
        pytest.param(b'{"aux":{"Digest":"sha256:' + b"0" * 64 + b'"}}', Unreachable, id="two digests"),
        pytest.param(b'{"status":"' + b"x" * (2 << 20), Unreachable, id="endless line"),
        pytest.param(b'{"status":"a"} {"status":"b"}', Unreachable, id="two objects in a line"),
        pytest.param(b'{"status":NaN}', Unreachable, id="NaN"),
        pytest.param(b'{"error":null}', Unreachable, id="error is null"),
        pytest.param(b'{"error":"write /x: disk quota exceeded"}', DiskFull, id="quota"),
        pytest.param(b'{"error":"Authentication required"}', Denied, id="authentication"),
    ],
)
@pytest.mark.parametrize("after", [b"", AUX], ids=["last", "before the digest"])
def test_a_bad_line_fails_the_push(line: bytes, error: type[PublishError], after: bytes) -> None:
    """Whatever follows it, and although the status was 200."""
    with pytest.raises(error):
        read_push([PUSH, line + b"\n", after], "a:1")


@pytest.mark.parametrize("line", [b"{}", b'{"aux":null}', b'{"aux":{}}', b'{"status":["Pushed"]}'])
def test_a_push_without_digest_is_no_success(line: bytes) -> None:
    """Lines without a digest are passed over, and the end then raises."""
    with pytest.raises(Unreachable, match="without a digest"):
        read_push([line + b"\n"], "a:1")


@pytest.mark.parametrize(
    ("stream", "downloaded"),
    [
        pytest.param(PULL + ENDED, "layers", id="layers"),
        pytest.param(b'{"status":"Already exists","id":"a"}\n' + ENDED, "manifest", id="manifest"),
        pytest.param(b'{"status":"Status: Image is up to date for a:1"}\n', "none", id="none"),
        pytest.param(b'{"status":["odd"]}\n' + ENDED, "manifest", id="odd status"),
        pytest.param(PODMAN, "manifest", id="podman, layers there"),
        pytest.param(b'{"status":"Download complete","id":"cd"}\n' + PODMAN, "layers", id="podman, a layer"),
    ],
)
def test_a_pull_tells_what_it_downloaded(stream: bytes, downloaded: str) -> None:
    """Layers, only the manifest, or nothing."""
    assert read_pull([stream], "a:1") == downloaded

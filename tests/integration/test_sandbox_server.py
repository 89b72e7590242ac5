"""The sandbox as a server: what it logs, what it keeps, what it refuses, and how it fails to order."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from publisher.model.digest import Digest
from publisher.model.errors import UsageError
from publisher.model.installation import reinstall_hint
from publisher.sandbox.server import Sandbox
from tests.contracts.client import Client, codes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_it_is_up_at_once() -> None:
    """Starting takes less than 0.4 s."""
    before = time.monotonic()
    with Sandbox() as sandbox:
        assert time.monotonic() - before < 0.4
        assert requests.get(f"{sandbox.url}/v2/", timeout=5).json() == {}


def test_it_listens_on_loopback_only() -> None:
    """Nobody outside can connect, and each sandbox has a port of its own."""
    with Sandbox() as sandbox, Sandbox() as other:
        assert sandbox.url.startswith("http://127.0.0.1:")
        assert sandbox.url != other.url
        port = int(sandbox.url.rpartition(":")[2])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=5)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:5000", "127.0.0.1.evil.example"])
def test_foreign_host_is_refused(host: str) -> None:
    """A browser that was led here under another name gets nothing (DNS rebinding)."""
    with Sandbox() as sandbox:
        for path in ("/v2/", "/token", "/_sandbox/state", "/_sandbox/requests"):
            answer = requests.get(sandbox.url + path, headers={"Host": host}, timeout=5)
            assert answer.status_code == 403


def test_requests_are_logged() -> None:
    """Each request is there in process and as JSON lines: method, path, status, bytes both ways."""
    with Sandbox() as sandbox, Client(sandbox.url) as client:
        blob = client.send_blob("a/b", b"twelve bytes")
        client.request("GET", f"/v2/a/b/blobs/{blob.digest}")
        client.request("GET", "/v2/a/b/manifests/absent")
        lines = client.request("GET", "/_sandbox/requests").text.splitlines()
        logged = [json.loads(line) for line in lines]
        assert logged == [entry for entry in sandbox.requests if entry["path"] != "/_sandbox/requests"]
        assert [(entry["method"], entry["status"]) for entry in logged] == [
            ("POST", 202),
            ("PUT", 201),
            ("GET", 200),
            ("GET", 404),
        ]
        assert logged[1]["received"] == logged[2]["sent"] == 12
        assert logged[1]["path"].endswith(f"&digest=sha256%3A{blob.digest.hex}")


def test_state_is_shown() -> None:
    """The tags of each repository and their digests."""
    with Sandbox() as sandbox, Client(sandbox.url) as client:
        image = client.send_image("a/b", "app", "1.0", "latest")
        expected = {"a/b": {"1.0": str(image.digest), "latest": str(image.digest)}}
        assert client.request("GET", "/_sandbox/state").json() == expected
        assert sandbox.store.state() == expected


def test_folder_survives_a_restart(tmp_path: Path) -> None:
    """What was there is there again; what was half sent is not."""
    with Sandbox(store=tmp_path) as sandbox, Client(sandbox.url) as client:
        image = client.send_image("a/b", "app", "1.0")
        client.request("DELETE", f"/v2/a/b/manifests/{client.send_image('a/b', 'gone', 'gone').digest}")
        client.request("PATCH", client.start_upload("a/b").headers["Location"], data=b"half")
    with Sandbox(store=tmp_path) as sandbox, Client(sandbox.url) as client:
        assert client.request("GET", "/v2/a/b/manifests/1.0").content == image.content
        assert client.tags("a/b") == ["1.0"]
        assert not list((tmp_path / "uploads").iterdir())
    held = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path.is_file()}
    assert held == {"blobs", "repositories", "lock"}
    for path in (tmp_path / "blobs" / "sha256").iterdir():
        assert Digest.of(path.read_bytes()).hex == path.name


def test_folder_has_one_owner(tmp_path: Path) -> None:
    """A second sandbox on the same folder is a usage error."""
    with Sandbox(store=tmp_path), pytest.raises(UsageError, match="another sandbox"):
        Sandbox(store=tmp_path)
    with Sandbox(store=tmp_path) as sandbox:
        assert sandbox.store.state() == {}


@pytest.mark.parametrize("record", ['{"name":"a","tags":{"x":"../../etc"},"manifests":{},"blobs":[]}', "[]", "no json"])
def test_folder_with_foreign_records(tmp_path: Path, record: str) -> None:
    """A record that holds no digests leads to no file: it is refused."""
    (tmp_path / "repositories").mkdir()
    (tmp_path / "repositories" / "x.json").write_text(record)
    with pytest.raises(UsageError, match="no sandbox wrote"):
        Sandbox(store=tmp_path)


def test_folder_that_cannot_be(tmp_path: Path) -> None:
    """A file in its place is a usage error."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="can't be used"):
        Sandbox(store=tmp_path / "file")


def test_port_in_use() -> None:
    """A port that somebody has is a usage error."""
    with Sandbox() as sandbox, pytest.raises(UsageError, match="can't be used"):
        Sandbox(port=int(sandbox.url.rpartition(":")[2]))


def test_bad_rule() -> None:
    """A bad rule is told before anything starts."""
    with pytest.raises(UsageError, match="not a fault rule"):
        Sandbox(faults=["PUT it no"])


def test_status_to_order() -> None:
    """The nth request fails before anything is done, with its Retry-After; others don't."""
    with Sandbox(faults=["PUT /manifests/ 2nd 503:7"]) as sandbox, Client(sandbox.url) as client:
        image = client.make_image("a/b", "app")
        assert client.put("a/b", "1", image).status_code == 201
        answer = client.put("a/b", "2", image)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
        assert codes(answer) == {"UNKNOWN"}
        assert client.put("a/b", "3", image).status_code == 201
        assert client.tags("a/b") == ["1", "3"]


@pytest.mark.parametrize(("kind", "tags"), [("reset", ["1"]), ("lost", ["1", "2"])])
def test_connection_that_breaks(kind: str, tags: list[str]) -> None:
    """`reset` closes before the request is obeyed, `lost` after; both without an answer."""
    with Sandbox(faults=[f"PUT /manifests/ 2nd {kind}"]) as sandbox, Client(sandbox.url) as client:
        image = client.make_image("a/b", "app")
        client.put("a/b", "1", image)
        with pytest.raises(requests.exceptions.ConnectionError):
            client.put("a/b", "2", image)
        assert client.tags("a/b") == tags
        assert [entry["status"] for entry in sandbox.requests if entry["method"] == "PUT"][-1] == 0


def test_reset_in_the_middle_of_a_body() -> None:
    """A large upload meets a reset, not an answer."""
    with Sandbox(faults=["PATCH /uploads/ every reset"]) as sandbox, Client(sandbox.url) as client:
        opened = client.start_upload("a/b")
        with pytest.raises(requests.exceptions.ConnectionError):
            client.request("PATCH", opened.headers["Location"], data=b"x" * (8 << 20))
        assert client.request("GET", opened.headers["Location"]).headers["Range"] == "0-0"


def test_slow_answer() -> None:
    """`slow` waits and then does what was asked; others don't wait with it."""
    with Sandbox(faults=["GET /tags/list 1st slow:0.5"]) as sandbox, Client(sandbox.url) as client:
        client.send_image("a/b", "app", "1")
        before = time.monotonic()
        slow = threading.Thread(target=requests.get, args=(f"{sandbox.url}/v2/a/b/tags/list",), kwargs={"timeout": 5})
        slow.start()
        time.sleep(0.1)
        assert client.request("GET", "/v2/").status_code == 200
        assert time.monotonic() - before < 0.5
        slow.join()
        assert time.monotonic() - before > 0.5


def test_upload_goes_on_after_a_broken_connection() -> None:
    """What arrived before the connection broke is kept, and the upload ends from there."""
    content = bytes(range(256)) * 8_192
    with Sandbox() as sandbox, Client(sandbox.url) as client:
        place = client.start_upload("a/b").headers["Location"]
        broken = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=5)
        broken.putrequest("PATCH", place)
        broken.putheader("Content-Length", str(len(content)))
        broken.endheaders()
        broken.send(content[:1_500_000])
        broken.close()
        got, place = _settled(client, place)
        assert 0 < got <= 1_500_000
        assert content[:got]
        headers = {"Content-Range": f"{got}-{len(content) - 1}"}
        sent = client.request("PATCH", place, data=content[got:], headers=headers)
        assert sent.status_code == 202
        done = client.request("PUT", sent.headers["Location"], params={"digest": str(Digest.of(content))})
        assert done.status_code == 201


def _settled(client: Client, place: str) -> tuple[int, str]:
    """How many bytes an upload has, once that has stopped growing, and where it goes on."""
    before = -1
    while True:
        status = client.request("GET", place)
        got = int(status.headers["Range"].partition("-")[2]) + 1
        if got == before:
            return got, status.headers["Location"]
        before = got
        time.sleep(0.2)


def test_pieces_that_come_at_once() -> None:
    """Of two pieces for the same place one is taken, the other is 416: bytes never mix."""
    content = b"a" * (4 << 20)
    with Sandbox() as sandbox, Client(sandbox.url) as client:
        place = client.start_upload("a/b").headers["Location"]
        statuses: list[int] = []

        def send() -> None:
            with Client(sandbox.url) as own:
                headers = {"Content-Range": f"0-{len(content) - 1}"}
                statuses.append(own.request("PATCH", place, data=content, headers=headers).status_code)

        threads = [threading.Thread(target=send) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [202, 416, 416]
        place = client.request("GET", place).headers["Location"]
        assert client.request("PUT", place, params={"digest": str(Digest.of(content))}).status_code == 201


def test_upload_belongs_to_its_repository() -> None:
    """An upload can't be ended in another repository."""
    with Sandbox() as sandbox, Client(sandbox.url) as client:
        place = client.start_upload("a/b").headers["Location"].replace("/a/b/", "/c/d/")
        assert client.request("PUT", place, data=b"x", params={"digest": str(Digest.of(b"x"))}).status_code == 404


def test_many_at_once(tmp_path: Path) -> None:
    """Eight clients that write the same repository lose nothing."""
    with Sandbox(store=tmp_path) as sandbox:

        def send(number: int) -> None:
            with Client(sandbox.url) as client:
                client.send_image("a/b", f"app {number % 3}", *(f"{number}-{tag}" for tag in range(4)))

        threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(sandbox.store.state()["a/b"]) == 32
    with Sandbox(store=tmp_path) as sandbox:
        assert len(sandbox.store.state()["a/b"]) == 32


def test_nonsense_is_answered() -> None:
    """What isn't HTTP ends that connection only, and makes no noise."""
    with Sandbox() as sandbox, Client(sandbox.url) as client:
        port = int(sandbox.url.rpartition(":")[2])
        for raw in (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"x" * 200, b"GET / HTTP/9\r\n\r\n", b"\r\n" * 9):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
                plain.sendall(raw)
        assert client.request("GET", "/v2/").status_code == 200


_NAMES = ["a", "b", "..", "%2e%2e", "%2F", "%00", "", "A", "_", "token", "_sandbox", "state", "1.0", "%ff"]
_KINDS = ["manifests", "blobs", "uploads", "tags", "list", "referrers"]
_DIGESTS = [str(Digest.of(b"{}")), "sha256:..", "sha512:" + "0" * 128]
_QUERIES = ["?tag=x&tag=..", "?digest=sha256:00", "?n=-1", "?mount=x&from=..", "?artifactType=%00"]
_PARTS = st.sampled_from([*_NAMES, *_KINDS, *_DIGESTS, *_QUERIES])
_METHODS = st.sampled_from(["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"])
_BODIES = st.sampled_from([b"", b"{}", b'{"schemaVersion":2}', b"\xff", b'{"schemaVersion":2,"manifests":[]}'])


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Path]]:
    """A sandbox that meets nonsense, and its folder."""
    folder = tmp_path_factory.mktemp("fuzz") / "inner"
    with Sandbox(store=folder) as sandbox:
        yield sandbox, folder


@settings(max_examples=200, deadline=None)
@given(method=_METHODS, parts=st.lists(_PARTS, max_size=6), body=_BODIES, root=st.sampled_from(["/v2/", "/"]))
def test_no_request_makes_it_fail(
    fuzzed: tuple[Sandbox, Path], method: str, parts: list[str], body: bytes, root: str
) -> None:
    """Whatever is asked, the answer is no 5xx, and nothing is written outside the folder."""
    sandbox, folder = fuzzed
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=5)
    with contextlib.closing(connection):
        headers = {"Content-Range": "0-1"} if len(parts) % 2 else {}
        connection.request(method, root + "/".join(parts), body=body, headers=headers)
        assert connection.getresponse().status < 500
    assert [path.name for path in folder.parent.iterdir()] == ["inner"]


def test_without_what_it_needs() -> None:
    """Where uvicorn isn't installed it says how to install this same copy whole."""
    script = """
import sys
sys.modules["uvicorn"] = None
from publisher.model.errors import UsageError
from publisher.sandbox.server import Sandbox
try:
    Sandbox()
except UsageError as error:
    print(error.hint)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{reinstall_hint()}\n"
    assert " install " in done.stdout

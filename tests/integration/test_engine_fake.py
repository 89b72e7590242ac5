"""An engine that answers as it is told, on a socket: what it says under status 200, and where it breaks off."""

from __future__ import annotations

import base64
import gc
import json
import os
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from publisher.engine import connection
from publisher.engine.connection import Engine
from publisher.model.credential import IDENTITY_TOKEN_USER, Credential
from publisher.model.digest import Digest
from publisher.model.errors import (
    ConfigError,
    Denied,
    DiskFull,
    EngineUnavailable,
    PublishError,
    SourceNotFound,
    Unreachable,
    UsageError,
)
from tests.support.http_server import CLOSED, Answer, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.http_server import ServerRequest

DIGEST = Digest.of(b"manifest")
AUX = f'{{"progressDetail":{{}},"aux":{{"Tag":"t","Digest":"{DIGEST}","Size":9}}}}\r\n'.encode()
PUSHED = b'{"status":"The push refers to repository [h/a]"}\r\n' + AUX
PULLED = b'{"status":"Pulling from a","id":"1"}\r\n{"status":"Status: Downloaded newer image for a"}\r\n'
IMAGE: dict[str, Any] = {
    "Id": str(Digest.of(b"config")),
    "RootFS": {"Layers": []},
    "RepoTags": ["app:1"],
    "Os": "linux",
    "Architecture": "amd64",
}
INFO: dict[str, Any] = {
    "Name": socket.gethostname(),
    "KernelVersion": os.uname().release,
    "OperatingSystem": "Debian",
    "DriverStatus": [["Backing Filesystem", "extfs"]],
    "SecurityOptions": ["name=seccomp,profile=default"],
}


@dataclass
class Script:
    """What the engine does, and what it was asked.

    stream: the body of a push, pull or export; whole: whether it is ended properly; images: by name.
    """

    stream: bytes = b""
    whole: bool = True
    status: int = 200
    version: dict[str, Any] = field(default_factory=lambda: {"ApiVersion": "1.41", "Version": "20.10.24"})
    info: dict[str, Any] = field(default_factory=lambda: dict(INFO))
    images: dict[str, dict[str, Any]] = field(default_factory=lambda: {"app:1": dict(IMAGE)})
    pulled: dict[str, Any] | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    credentials: list[dict[str, str]] = field(default_factory=list)
    silent: bool = False


class Fake:
    """The engine's API, as far as it is used, on a socket at `path`; one script at a time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.script = Script()

    def answer(self, request: ServerRequest) -> Answer | None:
        """Answer one request; None where the API has no such route."""
        parts = urlsplit(request.path)
        path = unquote(parts.path)
        if path.startswith("/v1."):
            path = "/" + path.split("/", 2)[2]
        self.script.asked.append((request.method, path))
        if header := request.headers.get("X-Registry-Auth"):
            self.script.credentials.append(json.loads(base64.urlsafe_b64decode(header)))
        match request.method:
            case "GET":
                return self._get(path)
            case "POST":
                return self._post(path, parse_qs(parts.query))
            case "DELETE":
                self.script.images.pop(path.removeprefix("/images/"), None)
                return _json([])
        return None

    def _get(self, path: str) -> Answer:
        script = self.script
        if script.silent:
            time.sleep(2)
            return CLOSED
        if path == "/version":
            return _json(script.version)
        if path == "/info":
            return _json(script.info)
        if path == "/images/json":
            return _json(list(script.images.values()))
        if path.endswith("/get"):
            return self._stream()
        name = path.removeprefix("/images/").removesuffix("/json")
        if image := script.images.get(name):
            return _json(image)
        return _json({"message": f"No such image: {name}"}, 404)

    def _post(self, path: str, query: dict[str, list[str]]) -> Answer | None:
        if path.endswith("/tag"):
            self.script.images[f"{query['repo'][0]}:{query['tag'][0]}"] = IMAGE
            return _json({}, 201)
        if self.script.pulled is not None:
            self.script.images[query["fromImage"][0]] = self.script.pulled
        return self._stream()

    def _stream(self) -> Answer:
        script = self.script
        if script.status != 200:
            return _json({"message": script.stream.decode()}, script.status)
        length = None if script.whole else len(script.stream)
        return Answer(200, {"Transfer-Encoding": "chunked"}, script.stream, length)


def _json(document: object, status: int = 200) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(document).encode())


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Fake]:
    fake = Fake(str(tmp_path / "s"))
    with serve(fake.answer, address=fake.path):
        yield fake


@pytest.fixture
def environ(fake: Fake, tmp_path: Path) -> dict[str, str]:
    return {"DOCKER_HOST": f"unix://{fake.path}", "HOME": str(tmp_path)}


@pytest.fixture
def engine(environ: dict[str, str]) -> Iterator[Engine]:
    found = Engine.connect(environ)
    yield found
    found.close()


REMOTE = "127.0.0.1:9/a"


def test_a_push_gives_the_digest_and_leaves_no_name(fake: Fake, engine: Engine) -> None:
    """The engine is given no credential."""
    fake.script.stream = PUSHED
    assert engine.push("app:1", REMOTE, "t") == DIGEST
    assert set(fake.script.images) == {"app:1"}
    assert fake.script.credentials == [{}]


@pytest.mark.parametrize("whole", [True, False], ids=["ended", "broken off"])
def test_a_push_cut_at_any_byte_fails(whole: bool, fake: Fake, engine: Engine) -> None:
    """And its name is gone each time."""
    fake.script.whole = whole
    for length in range(len(PUSHED)):
        fake.script.stream = PUSHED[:length]
        with pytest.raises(Unreachable):
            engine.push("app:1", REMOTE, "t")
        assert set(fake.script.images) == {"app:1"}


def test_a_whole_push_that_is_broken_off_fails(fake: Fake, engine: Engine) -> None:
    """The answer has an end of its own, below its lines."""
    fake.script.stream, fake.script.whole = PUSHED, False
    with pytest.raises(Unreachable, match="broke off"):
        engine.push("app:1", REMOTE, "t")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        pytest.param(b'{"error":"boom"}', Unreachable, id="error"),
        pytest.param(b'{"errorDetail":{"message":"denied: x"}}', Denied, id="denied"),
        pytest.param(b'{"errorDetail":{"message":"no space left on device"}}', DiskFull, id="full"),
        pytest.param(b"<html>502</html>", Unreachable, id="html"),
        pytest.param(b"null", Unreachable, id="null"),
    ],
)
@pytest.mark.parametrize("after", [b"", AUX], ids=["last", "before the digest"])
def test_a_failed_push_leaves_no_name(
    line: bytes, error: type[PublishError], after: bytes, fake: Fake, engine: Engine
) -> None:
    """A failure in the stream is one, whatever the status was."""
    fake.script.stream = PUSHED + line + b"\r\n" + after
    with pytest.raises(error):
        engine.push("app:1", REMOTE, "t")
    assert set(fake.script.images) == {"app:1"}


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        pytest.param(500, "write /x: no space left on device", DiskFull, id="full"),
        pytest.param(404, "No such image", SourceNotFound, id="absent"),
        pytest.param(500, "boom", Unreachable, id="other"),
        pytest.param(403, "authorization denied by plugin", Denied, id="plugin"),
    ],
)
def test_a_refused_request_is_told(
    status: int, message: str, error: type[PublishError], fake: Fake, engine: Engine
) -> None:
    """Push, pull and export alike."""
    fake.script.status, fake.script.stream = status, message.encode()
    with pytest.raises(error):
        engine.push("app:1", REMOTE, "t")
    with pytest.raises(error):
        engine.pull_tag("h/a:1", None)
    with pytest.raises(error), engine.open_export("app:1"):
        pass


def test_an_image_without_a_name_is_not_pushed(fake: Fake, engine: Engine) -> None:
    """Docker deletes an image together with its last name, which would be ours."""
    fake.script.images["app:1"] = {**IMAGE, "RepoTags": []}
    with pytest.raises(UsageError, match="has no name"):
        engine.push("app:1", REMOTE, "t")
    assert all(method == "GET" for method, _path in fake.script.asked)


REFERENCE = f"h/a@{DIGEST}"
OTHER = {**IMAGE, "Id": str(Digest.of(b"other")), "RepoTags": [], "RepoDigests": [REFERENCE]}


@pytest.mark.parametrize(
    ("before", "pulled", "kept"),
    [
        pytest.param({}, OTHER, False, id="new image"),
        pytest.param({"app:1": IMAGE}, {**IMAGE, "RepoDigests": [REFERENCE]}, False, id="named image"),
        pytest.param({"x": {**OTHER, "RepoDigests": []}}, OTHER, True, id="nameless image"),
        pytest.param({REFERENCE: OTHER}, OTHER, True, id="there before"),
    ],
)
def test_a_pull_leaves_the_engine_as_it_was(
    before: dict[str, Any], pulled: dict[str, Any], kept: bool, fake: Fake, engine: Engine
) -> None:
    """Unless taking the name away would take an image of the user's along."""
    fake.script.images, fake.script.pulled, fake.script.stream = dict(before), pulled, PULLED
    found = engine.pull(REFERENCE, None)
    assert (found.id, found.downloaded) == (pulled["Id"], "manifest")
    assert (REFERENCE in fake.script.images) is kept
    assert fake.script.images.keys() >= before.keys()


@pytest.mark.parametrize(
    ("credential", "sent"),
    [
        pytest.param(None, {}, id="none"),
        pytest.param(Credential("me", "secret"), {"username": "me", "password": "secret"}, id="password"),
        pytest.param(Credential(IDENTITY_TOKEN_USER, "token"), {"identitytoken": "token"}, id="identity token"),
    ],
)
def test_only_the_given_credential_is_sent(
    credential: Credential | None,
    sent: dict[str, str],
    fake: Fake,
    environ: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What docker's own configuration holds is not."""
    auths = {"h": {"auth": base64.b64encode(b"config:secret").decode()}}
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    fake.script.stream = PULLED
    found = Engine.connect({**environ, "DOCKER_CONFIG": str(tmp_path)})
    found.pull_tag("h/a:1", credential)
    found.close()
    assert fake.script.credentials == [sent]


def test_a_pull_that_brings_nothing_is_told(fake: Fake, engine: Engine) -> None:
    """The engine says all is well, and the image isn't there."""
    fake.script.stream = PULLED
    with pytest.raises(Unreachable, match="doesn't have it"):
        engine.pull(REFERENCE, None)


def test_an_export_is_read_whole(fake: Fake, engine: Engine) -> None:
    """In whatever pieces it comes."""
    fake.script.stream = os.urandom(5000)
    with engine.open_export("app:1") as export:
        assert export.read() == fake.script.stream


@pytest.mark.parametrize("length", [0, 1, 700, 4999])
def test_an_export_that_is_broken_off_is_told(length: int, fake: Fake, engine: Engine) -> None:
    """Its end is no end."""
    fake.script.stream, fake.script.whole = bytes(length), False
    with pytest.raises(Unreachable, match="broke off"), engine.open_export("app:1") as export:
        export.read()


def test_an_export_may_be_left(fake: Fake, engine: Engine) -> None:
    """The connection is given up, and the next request works."""
    fake.script.stream = bytes(100_000)
    with engine.open_export("app:1") as export:
        assert export.read(10)
    assert engine.inspect("app:1")


@pytest.mark.parametrize(
    ("image", "status", "classic"),
    [
        pytest.param({}, [["Backing Filesystem", "extfs"]], True, id="classic"),
        pytest.param({}, None, True, id="no status"),
        pytest.param({"Descriptor": {"digest": "x"}}, [], False, id="since 28"),
        pytest.param({"Descriptor": None}, [["driver-type", "io.containerd.snapshotter.v1"]], False, id="before 28"),
    ],
)
def test_the_kind_of_store_is_known(
    image: dict[str, Any], status: object, classic: bool, fake: Fake, engine: Engine
) -> None:
    """By the image's description, or by the engine's own."""
    fake.script.images["app:1"] = {**IMAGE, **image}
    fake.script.info["DriverStatus"] = status
    assert (engine.need("app:1").config is not None) is classic


@pytest.mark.parametrize(
    ("change", "ours"),
    [
        pytest.param({}, True, id="this machine"),
        pytest.param({"KernelVersion": "6.6.0-linuxkit"}, False, id="Docker Desktop"),
        pytest.param({"Name": "0123456789ab"}, False, id="a container with the socket"),
        pytest.param({"SecurityOptions": ["name=seccomp", "name=rootless"]}, False, id="rootless"),
        pytest.param({"SecurityOptions": None}, True, id="no options"),
    ],
)
def test_whose_loopback_it_is(change: dict[str, Any], ours: bool, fake: Fake, engine: Engine) -> None:
    """A relay on ours is only reached by an engine beside us."""
    fake.script.info.update(change)
    assert engine.loopback_is_ours is ours


def test_facts_about_the_engine(fake: Fake, engine: Engine) -> None:
    """For doctor; asked for once."""
    assert (engine.version, engine.api_version) == ("20.10.24", "1.41")
    assert engine.about() is engine.about()
    assert fake.script.asked.count(("GET", "/info")) == 1


def too_old(script: Script) -> None:
    script.version["ApiVersion"] = "1.12"


def no_engine(script: Script) -> None:
    script.version = {"hello": "world"}


def silent(script: Script) -> None:
    script.silent = True


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(too_old, "too old", id="too old"),
        pytest.param(no_engine, "does not answer as one", id="no engine"),
        pytest.param(silent, "does not answer in time", id="silent"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_answers_is_no_engine_for_us(
    change: Callable[[Script], None],
    words: str,
    fake: Fake,
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each with a sentence of its own, and where that address came from."""
    monkeypatch.setattr(connection, "_GREETING_SECONDS", 1)
    change(fake.script)
    with pytest.raises(EngineUnavailable, match=words) as raised:
        Engine.connect(environ)
    assert "from DOCKER_HOST" in raised.value.message
    assert raised.value.hint
    del raised
    gc.collect()


@pytest.mark.parametrize("auths", [{"h": {"auth": "no base64!"}}, {"h": {"auth": "é"}}, {"h": 7}, ["h"]], ids=str)
def test_broken_credentials_in_dockers_configuration_are_told(
    auths: object, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docker-py reads them, and fails in odd ways."""
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(ConfigError, match=r"config\.json"):
        Engine.connect({**environ, "DOCKER_CONFIG": str(tmp_path)})

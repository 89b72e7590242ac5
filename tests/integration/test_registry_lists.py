"""Lists of a registry that have no end, lead astray or hold what they shouldn't."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest

from publisher.hub.access import Access
from publisher.hub.repository import HubPage
from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import PublishError, VerificationFailed
from publisher.model.manifest import Descriptor, compose_index, compose_manifest
from publisher.model.reference import Repository
from publisher.registry.referrers import read_referrers
from publisher.sandbox.server import Sandbox
from tests.contracts.client import Client
from tests.support.http_server import QUICK, Answer, ServerRequest, client, serve
from tests.support.odd_registry import open_repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.command import Publish

SUBJECT = Digest.of(b"subject")


def page(tags: object, link: str = "") -> Answer:
    """A page of tags."""
    return Answer(200, {"Link": link} if link else {}, json.dumps({"name": "app", "tags": tags}).encode())


def leading_on(body: Callable[[int], bytes]) -> Callable[[ServerRequest], Answer]:
    """Pages that always lead on."""
    numbers = itertools.count(1)

    def answer(_request: ServerRequest) -> Answer:
        number = next(numbers)
        return Answer(200, {"Link": f'<?page={number}>; rel="next"'}, body(number))

    return answer


def index_of(*digests: Digest) -> bytes:
    """A page of referrers."""
    return compose_index(tuple(Descriptor(media.OCI_MANIFEST, digest, 7) for digest in digests)).content


def test_empty_pages_of_tags_end() -> None:
    """Three in a row, and no more."""
    with serve(leading_on(lambda _number: b'{"tags":[]}')) as server, open_repository(server) as remote:
        with pytest.raises(VerificationFailed, match="3 pages in a row hold nothing") as caught:
            remote.tags()
        assert len(server.requests) == 4
    assert "app" in str(caught.value.reference)


def test_empty_pages_of_referrers_end() -> None:
    """The same list, the same bounds."""
    with serve(leading_on(lambda _number: index_of())) as server, open_repository(server) as remote:
        with pytest.raises(VerificationFailed, match="3 pages in a row hold nothing"):
            read_referrers(remote, SUBJECT)
        assert len(server.requests) == 4


def test_empty_pages_of_docker_hub_end() -> None:
    """And here."""
    numbers = itertools.count(2)

    def answer(request: ServerRequest) -> Answer:
        if request.path == "/v2/auth/token":
            return Answer(body=b'{"access_token":"t"}')
        return Answer(body=json.dumps({"next": f"{server.url}/v2/x?page={next(numbers)}", "results": []}).encode())

    with serve(answer) as server, client(retry_policy=QUICK) as sender:
        hub = HubPage(Access(sender, server.url, None, lambda _secret: None), Repository.parse("acme/app"))
        with pytest.raises(VerificationFailed, match="3 pages in a row hold nothing"):
            hub.tags()
        assert len(server.requests) == 4


def test_a_subject_has_a_thousand_referrers() -> None:
    """More are refused; one that is listed twice counts once."""
    listed = [Digest.of(b"%d" % number) for number in range(900)]
    twice = Answer(body=index_of(*listed, *listed[:50]))
    with serve(lambda _request: twice) as server, open_repository(server) as remote:
        entries = read_referrers(remote, SUBJECT).entries
    assert {entry.digest for entry in entries} == set(listed)
    assert len(entries) == len(listed)
    many = leading_on(lambda number: index_of(*(Digest.of(b"%d %d" % (number, one)) for one in range(300))))
    with serve(many) as server, open_repository(server) as remote:
        with pytest.raises(VerificationFailed, match="more than 1,000 artifacts refer to"):
            read_referrers(remote, SUBJECT)
        assert len(server.requests) == 4


def test_an_image_brings_five_thousand_along(publish: Publish) -> None:
    """A hundred artifacts with a hundred each, and so on: refused before one of them is read."""
    image = compose_manifest(Descriptor(media.OCI_CONFIG, Digest.of(b"{}"), 2), ())
    found = Answer(200, {"Content-Type": image.media_type, "Docker-Content-Digest": str(image.digest)}, image.content)

    def answer(request: ServerRequest) -> Answer:
        subject = request.path.rpartition("/")[2]
        if "/referrers/" in request.path:
            return Answer(body=index_of(*(Digest.of(f"{subject} {one}".encode()) for one in range(100))))
        if "/blobs/" in request.path:
            return Answer(200, body=b"{}")
        return found if subject in {"1.0", str(image.digest)} else Answer(404)

    with serve(answer) as server, Sandbox() as target:
        words = ("retag", f"{server.host}/app:1.0", f"{target.url.removeprefix('http://')}/app:1.0")
        result = publish(*words)
        assert len(server.requests) < 200
        assert target.store.state() == {"app": {}}
    assert result.code == 5, result.stderr
    assert "ore than 5,000 artifacts" in result.stderr


@pytest.mark.parametrize(
    "link",
    ["<http://[::1>; rel=next", "<//user@host/x>; rel=next", "<http://127.0.0.1:99999/>", "<http://h:٣/>", "nonsense",
     "<ftp://h/x>", "<?" + "x" * 9000 + ">", "<http://127.0.0.1:1/v2/app/tags/list>; rel=next"],
)  # fmt: skip
def test_a_broken_link_is_told(link: str) -> None:
    """Exit code 5 with the repository: the list is not whole."""
    answer = page(["1.0"], link.encode().decode("latin-1"))
    with (
        serve(lambda _request: answer) as server,
        open_repository(server) as remote,
        pytest.raises(VerificationFailed, match=r"can't be read to its end") as caught,
    ):
        remote.tags()
    assert "app" in str(caught.value.reference)


@pytest.mark.parametrize(
    "body",
    [b'{"tags":5}', b'{"tags":{}}', b'{"tags":"1.0"}', b"[]", b"5", b'{"name":"app"}', b"\xff", b"[" * 100_000,
     b'{"tags":[' + b"9" * 5000 + b"]}"],
)  # fmt: skip
def test_what_is_no_list_is_told(body: bytes) -> None:
    """Exit code 5 or 6 with the reference, never an unexpected error."""
    with (
        serve(lambda _request: Answer(body=body)) as server,
        open_repository(server) as remote,
        pytest.raises(PublishError) as caught,
    ):
        remote.tags()
    assert caught.value.exit_code in {5, 6}
    assert "app" in str(caught.value.reference)


def test_what_is_no_tag_is_named_once_and_left_out() -> None:
    """It is never part of an address."""
    odd: list[Any] = ["../../x/manifests/latest", "\ud800", "a b", "", "-x", "x" * 129, 5, None, ["a"], "é", "a/b"]
    warnings: list[str] = []
    with serve(lambda _request: page(["1.0", *odd, "latest", "1.0"])) as server, open_repository(server) as remote:
        remote.warn = warnings.append
        assert remote.tags() == remote.tags() == ("1.0", "latest")
    (warning,) = warnings
    assert "'../../x/manifests/latest', '\\ud800', 'a b', '', '-x' and 6 more" in warning


@pytest.mark.parametrize("command", ["status", "tags", "reconcile", "yank"])
def test_no_command_asks_for_what_is_no_tag(command: str, publish: Publish, tmp_path: Path) -> None:
    """A listed path of another repository is never asked for."""
    image = Answer(
        200,
        {"Content-Type": media.OCI_MANIFEST, "Docker-Content-Digest": str(SUBJECT), "Content-Length": "2"},
    )

    def answer(request: ServerRequest) -> Answer:
        if "/tags/list" in request.path:
            return page(["1.0.0", "../../other/manifests/latest", "1.0.1\r\nX: y"])
        return image if request.method == "HEAD" and "/1.0" in request.path else Answer(404)

    with serve(answer) as server:
        name = f"{server.host}/app"
        words = {"tags": (name,), "yank": ("1.0.0", "--image", name, "--dry-run"), "reconcile": ("--image", name)}
        result = publish(command, *words.get(command, ("--image", name)))
        paths = [request.path for request in server.requests]
    assert result.code != 1, result.stderr
    assert result.stderr.count("'../../other/manifests/latest'") == 1, result.stderr
    assert paths
    assert not any("other" in path or "X:" in path for path in paths)


@pytest.mark.parametrize("config", [b"\xff", b"[" * 100_000])
def test_an_image_with_an_odd_config_is_looked_at(config: bytes, publish: Publish) -> None:
    """Anybody may push one: a look at its repository doesn't end unexpectedly because of it."""
    with Sandbox() as sandbox, Client(sandbox.url) as sender:
        image = compose_manifest(sender.send_blob("app", config, media.OCI_CONFIG), ())
        for tag in ("1.0.0", "1.0", "1", "latest"):
            assert sender.put("app", tag, image).status_code == 201
        name = f"{sandbox.url.removeprefix('http://')}/app"
        result = publish("status", "--image", name, "--format", "text")
    assert result.code == 0, result.stderr

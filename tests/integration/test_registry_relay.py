"""The client and the relay against a real registry, and a real engine's push."""

from __future__ import annotations

import http.client
import io
import json
import os
import socket
import subprocess
import tarfile
import time
from typing import TYPE_CHECKING

import pytest

from publisher.http.client import Client
from publisher.http.tls import HostSettings
from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import Refused
from publisher.model.manifest import Descriptor, compose_manifest
from publisher.model.reference import Reference, Repository, Tag
from publisher.registry.endpoint import locate
from publisher.registry.image import RemoteImage
from publisher.registry.relay.listener import PushListener
from publisher.registry.relay.server import Relay
from publisher.registry.relay.store import StoreRelay
from publisher.registry.relay.uploads import StreamLost
from publisher.registry.repository import RemoteRepository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.engine import EngineProcess

LAYER = os.urandom(3 << 20)


class Whole:
    """A blob at hand."""

    media_type = media.OCI_LAYER_TAR

    def __init__(self, content: bytes) -> None:
        self.content = content

    def chunks(self) -> Iterator[bytes]:
        return iter((self.content[:1000], self.content[1000:]))

    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, Digest.of(self.content), len(self.content))


def start(directory: Path, *, read_only: bool) -> tuple[subprocess.Popen[bytes], str]:
    """A registry on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    settings = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(directory / "data")},
            "delete": {"enabled": True},
            "maintenance": {"readonly": {"enabled": read_only}},
        },
        "http": {"addr": host},
    }
    (directory / "config.yml").write_text(json.dumps(settings))
    silent = subprocess.DEVNULL
    process = subprocess.Popen(
        ["docker-registry", "serve", str(directory / "config.yml")], stdout=silent, stderr=silent, stdin=silent
    )
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(host.rpartition(":")[2]))) == 0:
                break
        time.sleep(0.1)
    return process, host


@pytest.fixture(scope="module")
def registry_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The host of a real registry, empty."""
    process, host = start(tmp_path_factory.mktemp("registry"), read_only=False)
    yield host
    process.terminate()
    process.wait(10)


@pytest.fixture
def client() -> Iterator[Client]:
    """An anonymous client."""
    client = Client(lambda _host, _path: None, lambda _host: HostSettings())
    yield client
    client.close()


@pytest.fixture
def remote(registry_host: str, client: Client, request: pytest.FixtureRequest) -> Iterator[RemoteRepository]:
    """A repository of the test's own."""
    name = request.node.name.partition("[")[0].replace("_", "-")
    found = RemoteRepository(client, locate(Repository.parse(f"{registry_host}/{name}"), None))
    yield found
    found.close()


def test_an_image_goes_in_and_comes_out(remote: RemoteRepository) -> None:
    """Blobs, a manifest by digest and a tag; read back as a source, every byte checked."""
    assert remote.tags() == ()
    remote.prove_push()
    layer, config = remote.upload(Whole(LAYER)), remote.upload(Whole(b"{}"))
    content = compose_manifest(Descriptor(media.OCI_CONFIG, config.digest, config.size), (layer,))
    remote.put_manifest(content)
    assert remote.tags() == ()
    remote.put(content, Tag("1.0.0"))
    assert remote.tags() == ("1.0.0",)
    image = RemoteImage(remote, Reference(remote.repository, tag=Tag("1.0.0")))
    assert image.root() == content
    with image.open_blob(layer) as stream:
        assert stream.read() == LAYER


def test_a_blob_is_mounted_from_beside_it(remote: RemoteRepository, client: Client) -> None:
    """A blob of another repository needs no second upload."""
    other = RemoteRepository(client, locate(Repository.parse(f"{remote.repository.registry}/mount-origin"), None))
    sent = other.upload(Whole(LAYER))
    assert remote.blob_size(sent.digest) is None
    assert remote.mount(sent.digest, other.repository)
    assert remote.blob_size(sent.digest) == len(LAYER)
    assert not remote.mount(Digest.of(b"nowhere"), other.repository)


def test_deletion_by_tag_is_refused_and_by_digest_done(remote: RemoteRepository) -> None:
    """This registry takes a digest with all its tags, and no tag alone."""
    config = remote.upload(Whole(b"{}"))
    content = compose_manifest(Descriptor(media.OCI_CONFIG, config.digest, config.size), ())
    remote.put(content, Tag("1"))
    with pytest.raises(Refused):
        remote.delete(Tag("1"))
    assert remote.delete(content.digest)
    assert not remote.delete(content.digest)


def ask(relay: PushListener, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str]]:
    """A request as an engine makes it."""
    connection = http.client.HTTPConnection(relay.address, timeout=20)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body=body, headers=sent)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, {name.lower(): value for name, value in response.getheaders()}


def test_the_relay_moves_no_tag(remote: RemoteRepository) -> None:
    """A push of a tag through the relay is a push by digest at the target."""
    config = b'{"os":"linux"}'
    content = compose_manifest(Descriptor(media.OCI_CONFIG, Digest.of(config), len(config)), ())
    with Relay(remote) as relay:
        base = f"/v2/{relay.name}"
        assert ask(relay, "GET", "/v2/")[0] == 200
        assert ask(relay, "HEAD", f"{base}/blobs/{Digest.of(config)}")[0] == 404
        status, headers = ask(relay, "POST", f"{base}/blobs/uploads/")
        assert status == 202
        assert ask(relay, "PATCH", headers["location"], config[:5])[0] == 202
        assert ask(relay, "PATCH", headers["location"], config[5:], Content_Range="4-9")[0] == 416
        assert ask(relay, "PATCH", headers["location"], config[5:], Content_Range="5-13")[0] == 202
        assert ask(relay, "PUT", f"{headers['location']}?digest={Digest.of(config)}")[0] == 201
        assert ask(relay, "HEAD", f"{base}/manifests/x")[0] == 404
        assert ask(relay, "PUT", f"{base}/manifests/x", content.content, Content_Type=content.media_type)[0] == 201
        assert ask(relay, "HEAD", f"{base}/manifests/x")[1]["docker-content-digest"] == str(content.digest)
        assert relay.content == content
    assert remote.tags() == ()
    assert remote.get(content.digest) == content


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        pytest.param("/v2/another/blobs/uploads/", "", 404, id="another-repository"),
        pytest.param("/v2/", "evil.example", 403, id="rebound-name"),
        pytest.param("/elsewhere", "", 404, id="no-route"),
    ],
)
def test_the_relay_serves_one_repository_on_loopback(
    remote: RemoteRepository, path: str, host: str, status: int
) -> None:
    """Nobody else, and nothing else."""
    with Relay(remote) as relay:
        assert ask(relay, "POST", path, Host=host or relay.address)[0] == status


def test_bytes_that_are_not_what_the_engine_says_are_refused(remote: RemoteRepository) -> None:
    """A digest that doesn't fit fails the engine's push, and is kept for the workflow."""
    with Relay(remote) as relay:
        _status, headers = ask(relay, "POST", f"/v2/{relay.name}/blobs/uploads/")
        status, _headers = ask(relay, "PUT", f"{headers['location']}?digest={Digest.of(b'a')}", b"b")
        assert status == 403
        assert relay.failure is not None


def test_a_manifest_waits_for_the_blobs_before_it(tmp_path: Path, client: Client) -> None:
    """The engine isn't kept waiting for small blobs; what became of them is told with the manifest at the latest."""
    config = b"{}"
    content = compose_manifest(Descriptor(media.OCI_CONFIG, Digest.of(config), len(config)), ())
    process, host = start(tmp_path, read_only=True)
    try:
        target = RemoteRepository(client, locate(Repository.parse(f"{host}/refused"), None))
        with Relay(target) as relay:
            base = f"/v2/{relay.name}"
            _status, headers = ask(relay, "POST", f"{base}/blobs/uploads/")
            assert ask(relay, "PUT", f"{headers['location']}?digest={Digest.of(config)}", config)[0] == 201
            assert ask(relay, "PUT", f"{base}/manifests/x", content.content, Content_Type=content.media_type)[0] == 403
            assert relay.failure is not None
            assert relay.content is None
    finally:
        process.kill()
        process.wait()


def test_the_relay_ends_with_an_upload_under_way(remote: RemoteRepository) -> None:
    """Leaving the relay ends what the engine left open."""
    with Relay(remote) as relay:
        _status, headers = ask(relay, "POST", f"/v2/{relay.name}/blobs/uploads/")
        assert ask(relay, "PATCH", headers["location"], b"x" * 2_000_000)[0] == 202


def test_a_client_that_begins_with_tls_is_answered_in_plain_http() -> None:
    """So that it can tell what is spoken here: a containerd store tries TLS first, and falls back on such an answer."""
    with PushListener() as listener:
        host, _, port = listener.address.partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(b"\x16\x03\x01" + bytes(200))
            assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
        assert ask(listener, "GET", "/v2/")[0] == 200


def test_a_listener_takes_manifests_and_wants_no_blob() -> None:
    """Every blob is called present; the tag and the digest lead to what was put."""
    content = compose_manifest(Descriptor(media.OCI_CONFIG, Digest.of(b"{}"), 2), ())
    with PushListener() as listener:
        base = f"/v2/{listener.name}"
        assert ask(listener, "HEAD", f"{base}/blobs/{Digest.of(b'any')}")[0] == 200
        assert ask(listener, "HEAD", f"{base}/manifests/{content.digest}")[0] == 404
        assert ask(listener, "PUT", f"{base}/manifests/x", content.content, Content_Type=content.media_type)[0] == 201
        assert ask(listener, "PUT", f"{base}/manifests/{Digest.of(b'')}", content.content)[0] == 403
        assert listener.manifests == {"x": content, str(content.digest): content}


def begin(relay: Relay) -> str:
    """The address of an upload."""
    return ask(relay, "POST", f"/v2/{relay.name}/blobs/uploads/")[1]["location"]


@pytest.mark.parametrize("in_one", [True, False])
@pytest.mark.parametrize("content", [b"small", LAYER], ids=["small", "large"])
def test_a_store_relay_sends_what_is_wanted(remote: RemoteRepository, content: bytes, in_one: bool) -> None:
    """In one request as it comes, or piece by piece; manifests stay here."""
    content = content + os.urandom(8)
    wanted = Descriptor(media.OCI_LAYER_GZIP, Digest.of(content), len(content))
    with StoreRelay(remote, lambda: {wanted.digest: wanted}, in_one=in_one) as relay:
        base = f"/v2/{relay.name}"
        assert ask(relay, "HEAD", f"{base}/blobs/{wanted.digest}")[0] == 404
        assert ask(relay, "HEAD", f"{base}/blobs/{Digest.of(b'other')}")[0] == 200
        assert ask(relay, "PUT", f"{begin(relay)}?digest={wanted.digest}", content)[0] == 201
        assert ask(relay, "HEAD", f"{base}/blobs/{wanted.digest}")[0] == 200
        manifest = compose_manifest(Descriptor(media.OCI_CONFIG, Digest.of(b"{}"), 2), ())
        assert ask(relay, "PUT", f"{base}/manifests/x", manifest.content, Content_Type=manifest.media_type)[0] == 201
        assert relay.sent == {wanted.digest}
    assert remote.blob_size(wanted.digest) == len(content)
    assert remote.head(manifest.digest) is None


def test_bytes_that_are_not_what_they_are_called_never_arrive(remote: RemoteRepository) -> None:
    """What passes through is proven by the registry: the push is tried once more, piece by piece, and refused there."""
    content = os.urandom(5 << 20)
    wanted = Descriptor(media.OCI_LAYER_GZIP, Digest.of(b"another"), len(content))
    with StoreRelay(remote, lambda: {wanted.digest: wanted}) as relay:
        assert ask(relay, "PUT", f"{begin(relay)}?digest={wanted.digest}", content)[0] == 503
        assert isinstance(relay.failure, StreamLost)
    with StoreRelay(remote, lambda: {wanted.digest: wanted}, in_one=False) as relay:
        assert ask(relay, "PUT", f"{begin(relay)}?digest={wanted.digest}", content)[0] == 403
    assert remote.blob_size(wanted.digest) is None
    assert relay.sent == set()


def test_a_blob_of_another_size_is_refused(remote: RemoteRepository) -> None:
    """Before a byte of it is sent."""
    content = os.urandom(5 << 20)
    wanted = Descriptor(media.OCI_LAYER_GZIP, Digest.of(content), len(content) + 1)
    with StoreRelay(remote, lambda: {wanted.digest: wanted}) as relay:
        assert ask(relay, "PUT", f"{begin(relay)}?digest={wanted.digest}", content)[0] == 403
    assert remote.blob_size(wanted.digest) is None


@pytest.fixture
def engine_image(engine: EngineProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A small image in the engine."""
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("random")
        entry.size = len(LAYER)
        archive.addfile(entry, io.BytesIO(LAYER))
    name = f"relay-test-{os.getpid()}:1"
    subprocess.run(["docker", "import", "-", name], input=packed.getvalue(), check=True, capture_output=True)
    yield name
    subprocess.run(["docker", "rmi", name], check=True, capture_output=True)


def push(image: str, relay: Relay) -> subprocess.CompletedProcess[str]:
    """The engine's own push to the relay."""
    name = f"{relay.repository}:1"
    subprocess.run(["docker", "tag", image, name], check=True)
    try:
        return subprocess.run(["docker", "push", name], check=False, capture_output=True, text=True, timeout=120)
    finally:
        subprocess.run(["docker", "rmi", name], check=True, capture_output=True)


@pytest.mark.engine
def test_a_real_push_goes_through_the_relay(remote: RemoteRepository, engine_image: str) -> None:
    """What the engine pushed is in the target, whole, under no tag; pushed again, nothing is sent twice."""
    with Relay(remote) as relay:
        first = push(engine_image, relay)
        assert first.returncode == 0, first.stderr
        content = relay.content
        assert content is not None
        assert f"digest: {content.digest}" in first.stdout
    with Relay(remote) as relay:
        assert push(engine_image, relay).returncode == 0
        assert relay.content == content
    assert remote.get(content.digest) == content
    assert remote.tags() == ()


@pytest.mark.engine
def test_a_refusal_of_the_target_reaches_engine_and_workflow(tmp_path: Path, client: Client, engine_image: str) -> None:
    """A read-only registry's words are printed by the engine, and kept as the error to raise."""
    process, host = start(tmp_path, read_only=True)
    try:
        target = RemoteRepository(client, locate(Repository.parse(f"{host}/app"), None))
        with Relay(target) as relay:
            pushed = push(engine_image, relay)
        assert pushed.returncode != 0
        # An engine with a containerd store tells the status alone.
        assert any(words in pushed.stderr for words in ("denied", "403 Forbidden")), pushed.stderr
        assert isinstance(relay.failure, Refused)
    finally:
        process.terminate()
        process.wait(10)

"""Images of a real engine: looked up, exported, pushed, pulled."""

from __future__ import annotations

import gc
import hashlib
import socket
import subprocess
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from publisher.archives.docker_archive import DockerArchive
from publisher.engine.connection import Engine as Connection
from publisher.engine.image_list import image_names
from publisher.model.digest import Digest
from publisher.model.errors import EngineUnavailable, PublishError, SourceNotFound, UsageError
from tests.support.parts import CLASSIC
from tests.support.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.engine import EngineProcess
    from tests.support.registry import RegistryProcess


@contextmanager
def sockets_left() -> Iterator[None]:
    """docker-py leaves the socket of a failed connection to the garbage collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@pytest.fixture
def connection(engine: EngineProcess) -> Iterator[Connection]:
    found = Connection.connect({"DOCKER_HOST": engine.host})
    yield found
    found.close()


def test_an_image_is_looked_up(engine: EngineProcess, connection: Connection, name: str, tmp_path: Path) -> None:
    """By its name; a classic id is its config's digest, and a near name is suggested for one that is absent."""
    image_id = engine.build(name, "look", tmp_path / "context")
    found = connection.need(name)
    assert (found.id, str(found.config or found.id)) == (image_id, image_id)
    assert connection.inspect(f"{name}x") is None
    with pytest.raises(SourceNotFound) as raised:
        connection.need(f"{name}x")
    assert raised.value.hint == f"did you mean {name}:latest?"
    # What a Tab offers, which waits for no engine that isn't there.
    assert f"{name}:latest" in image_names({"DOCKER_HOST": engine.host})
    assert image_names({"DOCKER_HOST": f"unix://{tmp_path}/nowhere"}) == []


@CLASSIC
def test_an_export_is_the_image(engine: EngineProcess, connection: Connection, name: str, tmp_path: Path) -> None:
    """The config's digest is the image id, and the layers' hashes are the diffIDs."""
    engine.build(name, "export", tmp_path / "context")
    found = connection.need(name)
    assert found.config is not None
    image = DockerArchive(lambda: connection.open_export(found.id), found.config, found.diff_ids, found.platform)
    with image.layers(frozenset(found.diff_ids)) as layers:
        hashes = {hashlib.sha256(layer.read(layer.size)).hexdigest() for _diff_id, layer in layers}
    assert hashes == {diff_id.hex for diff_id in found.diff_ids}
    assert Digest.of(image.config) == found.config


def test_a_refused_push_raises(engine: EngineProcess, connection: Connection, name: str, tmp_path: Path) -> None:
    """Nothing listens there: the engine says so in its stream; its tag for the push is gone."""
    engine.build(name, "push", tmp_path / "context")
    remote = f"127.0.0.1:{free_port()}/{name}"
    with pytest.raises(PublishError):
        connection.push(name, remote, "1")
    assert connection.inspect(f"{remote}:1") is None


@CLASSIC
def test_an_image_without_a_name_is_kept(
    engine: EngineProcess, connection: Connection, registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """A push would give it its only name, and taking that away would delete the image."""
    image_id = engine.build(name, "first", tmp_path / "first")
    engine.build(name, "second", tmp_path / "second")
    with pytest.raises(UsageError, match="has no name"):
        connection.push(image_id, f"{registry.host}/{name}", "1")
    assert connection.need(image_id).references == ()


@CLASSIC
def test_a_pull_keeps_an_image_without_a_name(
    engine: EngineProcess, connection: Connection, registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """It was the user's before."""
    image_id = engine.build(name, "first", tmp_path / "first")
    digest = connection.push(name, f"{registry.host}/{name}", "1")
    engine.build(name, "second", tmp_path / "second")
    assert connection.need(image_id).references == ()
    assert connection.pull(f"{registry.host}/{name}@{digest}", None).id == image_id
    assert connection.need(image_id).id == image_id


def test_a_pull_of_a_new_image_leaves_nothing(
    engine: EngineProcess, connection: Connection, registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """Neither a name nor an image."""
    image_id = engine.build(name, f"of {name} alone", tmp_path / "context")
    digest = connection.push(name, f"{registry.host}/{name}", "1")
    engine.docker("rmi", name)
    pulled = connection.pull(f"{registry.host}/{name}@{digest}", None)
    assert pulled.id == image_id
    assert connection.inspect(image_id) is None


def test_a_pull_leaves_no_name(
    engine: EngineProcess, connection: Connection, registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """The image comes back with its id, and the user's image stays."""
    image_id = engine.build(name, "pull", tmp_path / "context")
    digest = connection.push(name, f"{registry.host}/{name}", "1")
    reference = f"{registry.host}/{name}@{digest}"
    engine.docker("rmi", "-f", reference, check=False)
    assert connection.pull(reference, None).id == image_id
    assert connection.inspect(reference) is None
    assert connection.need(name).id == image_id


def test_no_engine_is_told(tmp_path: Path) -> None:
    """There is no socket."""
    with sockets_left(), pytest.raises(EngineUnavailable, match="there is no engine"):
        Connection.connect({"DOCKER_HOST": f"unix://{tmp_path}/absent.sock"})


def test_a_socket_without_engine_is_told(tmp_path: Path) -> None:
    """There is a socket that nobody listens at."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
    with sockets_left(), pytest.raises(EngineUnavailable, match="refuses"):
        Connection.connect({"DOCKER_HOST": f"unix://{tmp_path}/s"})


def test_permission_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run as root, whom no socket refuses: the system's answer is given in its place."""

    def refuse(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with sockets_left(), pytest.raises(EngineUnavailable, match="may not use"):
        Connection.connect({"DOCKER_HOST": "unix:///absent/docker.sock"})


def test_the_chosen_context_is_used(engine: EngineProcess, tmp_path: Path) -> None:
    """As docker's CLI keeps it, by the environment or as the current one."""
    words = ["docker", "--config", str(tmp_path), "context"]
    subprocess.run([*words, "create", "mine", "--docker", f"host={engine.host}"], check=True, capture_output=True)
    environ = {"DOCKER_CONFIG": str(tmp_path)}
    chosen = Connection.connect({**environ, "DOCKER_CONTEXT": "mine"})
    subprocess.run([*words, "use", "mine"], check=True, capture_output=True)
    current = Connection.connect(environ)
    assert (chosen.address, current.address) == (engine.host, engine.host)
    chosen.close()
    current.close()
    with sockets_left(), pytest.raises(EngineUnavailable, match="no context"):
        Connection.connect({**environ, "DOCKER_CONTEXT": "other"})

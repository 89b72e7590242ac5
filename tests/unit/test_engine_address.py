"""Where the engine is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from publisher.engine.address import Address
from publisher.model.digest import Digest
from publisher.model.errors import ConfigError, EngineUnavailable

if TYPE_CHECKING:
    from pathlib import Path

KEYS = ("ca.pem", "cert.pem", "key.pem")


def write_context(folder: Path, name: str, endpoint: object) -> Path:
    """A context as docker keeps it; returns where its keys would be."""
    place = Digest.of(name.encode()).hex
    meta = folder / "contexts/meta" / place
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": endpoint}}))
    return folder / "contexts/tls" / place / "docker"


def write_keys(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in KEYS:
        (folder / name).touch()


def test_the_default_is_dockers_socket(tmp_path: Path) -> None:
    """Where nothing says otherwise."""
    assert Address.find({"HOME": str(tmp_path)}).url == "unix:///var/run/docker.sock"


def test_a_socket_that_is_not_there_needs_no_asking(tmp_path: Path) -> None:
    """Only a socket of this machine can be looked at."""
    (tmp_path / "there.sock").touch()
    assert not Address(f"unix://{tmp_path}/there.sock", "a test").is_empty
    assert Address(f"unix://{tmp_path}/none.sock", "a test").is_empty
    assert Address(f"unix:///{'x' * 5_000}", "a test").is_empty, "the system refuses to look"
    assert not Address("tcp://nowhere:2375", "a test").is_empty


@pytest.mark.parametrize(
    ("environ", "url", "origin"),
    [
        pytest.param({}, "unix:///current.sock", "the context 'current'", id="current context"),
        pytest.param({"DOCKER_CONTEXT": "mine"}, "unix:///mine.sock", "the context 'mine'", id="context"),
        pytest.param({"DOCKER_CONTEXT": "default"}, "unix:///var/run/docker.sock", "the default", id="default context"),
        pytest.param(
            {"DOCKER_CONTEXT": "mine", "DOCKER_HOST": "tcp://h:2375"}, "tcp://h:2375", "DOCKER_HOST", id="host first"
        ),
        pytest.param({"DOCKER_HOST": "unix:///x.sock"}, "unix:///x.sock", "DOCKER_HOST", id="host"),
    ],
)
def test_the_order_is_dockers(environ: dict[str, str], url: str, origin: str, tmp_path: Path) -> None:
    """DOCKER_HOST, DOCKER_CONTEXT, the current context, the default."""
    (tmp_path / "config.json").write_text('{"currentContext":"current"}')
    for name in ("mine", "current"):
        write_context(tmp_path, name, {"Host": f"unix:///{name}.sock"})
    found = Address.find({"DOCKER_CONFIG": str(tmp_path), **environ})
    assert (found.url, found.origin) == (url, origin)


def test_a_home_holds_the_configuration(tmp_path: Path) -> None:
    """In .docker, as docker's CLI has it."""
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text('{"currentContext":"c"}')
    write_context(tmp_path / ".docker", "c", {"Host": "unix:///c.sock"})
    assert Address.find({"HOME": str(tmp_path)}).url == "unix:///c.sock"


@pytest.mark.parametrize(("skip", "verify"), [(False, True), (True, False)])
def test_a_context_brings_its_keys(skip: bool, verify: bool, tmp_path: Path) -> None:
    """And says whether the engine's certificate counts."""
    keys = write_context(tmp_path, "far", {"Host": "tcp://far:2376", "SkipTLSVerify": skip})
    write_keys(keys)
    found = Address.find({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "far"}).certificates
    assert found is not None
    assert (found.ca, found.cert, found.key, found.verify) == (*(keys / name for name in KEYS), verify)


def test_keys_of_the_environment(tmp_path: Path) -> None:
    """DOCKER_TLS_VERIFY turns TLS on, DOCKER_CERT_PATH says where the keys are."""
    environ = {"DOCKER_HOST": "tcp://h:2376", "DOCKER_CERT_PATH": str(tmp_path / "keys"), "HOME": str(tmp_path)}
    assert Address.find(environ).certificates is None
    with pytest.raises(EngineUnavailable, match=r"ca\.pem is missing"):
        Address.find({**environ, "DOCKER_TLS_VERIFY": "1"})
    write_keys(tmp_path / "keys")
    found = Address.find({**environ, "DOCKER_TLS_VERIFY": "1"}).certificates
    assert found is not None
    assert found.ca == tmp_path / "keys/ca.pem"


@pytest.mark.parametrize(
    ("host", "words"),
    [
        pytest.param("ssh://u@h", "behind SSH", id="ssh"),
        pytest.param("npipe:////./pipe/docker", "no engine's address", id="npipe"),
        pytest.param("fd://3", "no engine's address", id="fd"),
        pytest.param("h:2375", "no engine's address", id="no scheme"),
        pytest.param("unix://", "no engine's address", id="no path"),
        pytest.param("/var/run/docker.sock", "no engine's address", id="path"),
    ],
)
def test_an_address_that_cannot_be_used(host: str, words: str, tmp_path: Path) -> None:
    """Who named it is told, and what is right."""
    with pytest.raises(EngineUnavailable, match=words) as raised:
        Address.find({"HOME": str(tmp_path), "DOCKER_HOST": host})
    assert "DOCKER_HOST" in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize("content", ["{", "[]", "7", "\x00", "[" * 100_000])
def test_a_broken_configuration_is_told(content: str, tmp_path: Path) -> None:
    """It isn't taken for an absent one."""
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ConfigError, match=r"config\.json"):
        Address.find({"DOCKER_CONFIG": str(tmp_path), "DOCKER_HOST": "unix:///x.sock"})


@pytest.mark.parametrize("endpoint", [None, 7, {}, [], {"host": "unix:///x"}])
def test_a_context_without_engine_is_told(endpoint: object, tmp_path: Path) -> None:
    """Docker's contexts may be for other things too."""
    write_context(tmp_path, "odd", endpoint)
    with pytest.raises(ConfigError, match="names no engine"):
        Address.find({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "odd"})


def test_an_absent_context_is_told(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(EngineUnavailable, match="no context 'other'"):
        Address.find({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "other"})

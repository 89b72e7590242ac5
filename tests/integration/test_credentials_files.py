"""Files of credentials that another tool wrote, against a real registry that asks for them."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from publisher.credentials.chain import Chain
from publisher.credentials.docker_config import DockerConfig
from tests.support.registry import SECRET, USER

if TYPE_CHECKING:
    from tests.support.command import Publish
    from tests.support.registry import RegistryProcess


def login(publish: Publish, place: str) -> dict[str, str]:
    """Log in to `place` with skopeo; returns the environment that finds its file."""
    folder = publish.home / "docker"
    folder.mkdir(exist_ok=True)
    words = ["--tls-verify=false", "--authfile", str(folder / "config.json"), "-u", USER, "--password-stdin", place]
    subprocess.run(
        ["skopeo", "login", *words],
        input=SECRET,
        capture_output=True,
        text=True,
        check=True,
    )
    return {"DOCKER_CONFIG": str(folder)}


def test_a_login_for_the_registry(publish: Publish, private_registry: RegistryProcess) -> None:
    """A login for a host is found for all of its repositories and for no other host."""
    chain = Chain([DockerConfig(login(publish, private_registry.host))])
    for repository in ("a/app", "b/app", ""):
        found = chain.find(private_registry.host, repository)
        assert found is not None
        assert (found.username, found.secret) == (USER, SECRET)
    assert chain.find("127.0.0.1:1", "a/app") is None


def test_a_login_for_a_folder(publish: Publish, private_registry: RegistryProcess) -> None:
    """A login for a part of a registry stays in that part."""
    chain = Chain([DockerConfig(login(publish, f"{private_registry.host}/a"))])
    found = chain.find(private_registry.host, "a/app")
    assert found is not None
    assert (found.username, found.secret) == (USER, SECRET)
    assert chain.find(private_registry.host, "b/app") is None


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_configured_helper_that_is_not_there(publish: Publish, private_registry: RegistryProcess, form: str) -> None:
    """The run ends with exit code 3 and the program's name; it does not go on as anonymous."""
    folder = publish.home / "docker"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"credsStore": "absent"}))
    done = publish("verify", f"{private_registry.host}/a/app:1", "--format", form)
    assert done.code == 3
    assert "docker-credential-absent is configured and not on PATH" in done.stderr
    if form == "json":
        assert json.loads(done.stdout)["kind"] == "broken-credential"

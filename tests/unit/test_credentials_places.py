"""Keys of docker's configuration that hold for a part of a registry only."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from publisher.credentials.docker_config import DockerConfig
from publisher.model.credential import Found

if TYPE_CHECKING:
    from pathlib import Path


def who(tmp_path: Path, keys: list[str], registry: str, repository: str) -> str | None:
    """The key whose credential is taken; each key's user is the key itself."""
    auths = {
        key: {"auth": base64.b64encode(f"{key.replace(':', '_')}:s".encode()).decode()} for key in keys
    }  # a colon would end the user
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    answer = DockerConfig({"DOCKER_CONFIG": str(tmp_path)}).find(registry, repository)
    return answer.credential.username if isinstance(answer, Found) else None


@pytest.mark.parametrize(
    ("keys", "registry", "repository", "expected"),
    [
        pytest.param(["r.example/a"], "r.example", "a/app", "r.example/a", id="folder"),
        pytest.param(["r.example/a"], "r.example", "b/app", None, id="other-folder"),
        pytest.param(["r.example/a"], "r.example", "ab/app", None, id="half-a-part"),
        pytest.param(["r.example/a"], "r.example", "", None, id="no-repository"),
        pytest.param(["r.example/a", "r.example/a/app"], "r.example", "a/app", "r.example/a/app", id="closest"),
        pytest.param(["r.example", "r.example/a"], "r.example", "a/app", "r.example/a", id="before-the-host"),
        pytest.param(["r.example", "r.example/a"], "r.example", "b/app", "r.example", id="the-host"),
        pytest.param(["r.example/a"], "r.example.evil", "a/app", None, id="other-host"),
        pytest.param(["docker.io/ann"], "docker.io", "ann/app", "docker.io/ann", id="hub"),
        pytest.param(["docker.io/ann"], "docker.io", "bob/app", None, id="hub-other-folder"),
        pytest.param(["https://r.example/v2/"], "r.example", "v2/app", "https_//r.example/v2/", id="address"),
        pytest.param(["r.example/v1/"], "r.example", "a/app", "r.example/v1/", id="address-without-scheme"),
    ],
)
def test_closest_key(tmp_path: Path, keys: list[str], registry: str, repository: str, expected: str | None) -> None:
    """A key with a path holds for what is below it, part by part, and the closest key is taken."""
    assert who(tmp_path, keys, registry, repository) == expected


def test_hub_under_another_name_in_a_helper(tmp_path: Path) -> None:
    """`docker login registry-1.docker.io` is kept apart; it is found too."""
    helper = tmp_path / "docker-credential-apart"
    helper.write_text(
        "#!/bin/sh\nread -r server\n"
        '[ "$server" = registry-1.docker.io ] && echo \'{"Username":"ann","Secret":"s"}\' && exit\n'
        "echo credentials not found in native keychain; exit 1\n"
    )
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "apart"}))
    answer = DockerConfig({"DOCKER_CONFIG": str(tmp_path), "PATH": str(tmp_path)}).find("docker.io", "ann/app")
    assert isinstance(answer, Found)

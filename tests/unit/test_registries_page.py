"""docs/registries.md: what it shows of docker's configuration and of variables is read as it says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from publisher.credentials.chain import Chain
from publisher.credentials.docker_config import DockerConfig, helper_of
from publisher.credentials.environment import EnvironmentCredentials
from publisher.model.credential import Present
from publisher.model.reference import Repository

PAGE = (Path(__file__).parents[2] / "docs" / "registries.md").read_text()
ROWS = {
    name: [cell.strip() for cell in cells.split("|")]
    for name, cells in re.findall(r"^\| ([A-Z][\w ]+?), (.+) \|$", PAGE, re.MULTILINE)
}
HELPERS = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])["credHelpers"]
LINES = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)[0]
# What the user is called at each registry where everybody has the same name.
USERS = ["AWS", "oauth2accesstoken", "_json_key_base64", "00000000-0000-0000-0000-000000000000", "robot$goals+release"]


def test_every_registry_has_its_three_ways() -> None:
    """Helper, token and identity, of each; where there is none it says so."""
    assert list(ROWS) == [
        "Docker Hub", "Amazon ECR", "Google Artifact Registry", "Azure Container Registry", "GitHub", "GitLab", "Quay",
        "Harbor",
    ]  # fmt: skip
    assert [name for name, cells in ROWS.items() if len(cells) != 4 or not all(cells)] == []


@pytest.mark.parametrize("host", HELPERS)
def test_its_helper_is_asked(host: str, tmp_path: Path) -> None:
    """Docker's configuration as shown leads to the program of that name, which is told the host alone."""
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": HELPERS}))
    program = tmp_path / f"docker-credential-{HELPERS[host]}"
    program.write_text('#!/bin/sh\nread -r host\necho "{\\"Username\\":\\"user\\",\\"Secret\\":\\"$1 $host\\"}"\n')
    program.chmod(0o755)
    environ = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert helper_of(environ, host) == HELPERS[host]
    answer = DockerConfig(environ).find(host)
    assert isinstance(answer, Present)
    assert answer.credential.secret == f"get {host}"
    assert any(f"`{HELPERS[host]}`" in cells[1] for cells in ROWS.values())
    assert Repository.parse(f"{host}/goals/goalapp").registry == host


def test_the_lines_of_several_registries() -> None:
    source = EnvironmentCredentials({"PUBLISH_CREDENTIALS": LINES}, frozenset())
    read = {line.split()[0]: source.find(line.split()[0]) for line in LINES.splitlines()}
    assert {
        host: (answer.credential.username, answer.credential.secret)
        for host, answer in read.items()
        if isinstance(answer, Present)
    } == {host: (user, secret) for host, user, secret in map(str.split, LINES.splitlines())}


@pytest.mark.parametrize("user", USERS)
def test_its_users_can_be_sent(user: str) -> None:
    """No name of the page is one that is refused."""
    assert user in PAGE
    environ = {"PUBLISH_REGISTRY": "r.example", "PUBLISH_USERNAME": user, "PUBLISH_PASSWORD": "secret"}
    found = Chain([EnvironmentCredentials(environ, frozenset())]).find("r.example")
    assert found
    assert found.username == user

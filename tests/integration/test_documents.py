"""Every JSON document that a command prints, held against the schema that `publish schema` prints for it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from publisher.cli.program import COMMANDS, program
from publisher.cli.schema import documents
from publisher.sandbox.server import Sandbox
from tests.support.builds import CONTAINERD
from tests.support.engine import BUSYBOX
from tests.support.layout import make_layout
from tests.support.registry import SECRET, USER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Publish, Result
    from tests.support.registry import RegistryProcess

# Those that need an engine have a test of their own.
WITH_ENGINE = {"build", "smoke"}
# What no command prints: the file that it reads.
READ = {"configuration"}

CONFIGURATION = """
images = ["acme/app"]
[hub]
description = "A small app"
immutable = ["^[0-9]+[.][0-9]+[.][0-9]+$"]
[retention]
keep-last = 1
"""


class Desk:
    """Runs commands with `--format json`, checks what they print, and keeps count of which were run."""

    def __init__(self, publish: Publish, folder: Path, environ: dict[str, str]) -> None:
        self._publish, self._folder, self._environ = publish, folder, environ
        self.commands: set[str] = set()
        self.schemas: dict[str, Draft202012Validator] = {}

    def __call__(self, *words: str, code: int = 0, stdin: str = "", here: bool = True) -> Result:
        """Run it. here: in the project, with the sandbox at hand."""
        where = {"cwd": self._folder, "environ": self._environ} if here else {}
        result = self._publish(*words, "--format", "json", stdin=stdin, **where)  # type: ignore[arg-type]
        assert result.code == code, result.stderr
        name = result.document["schema"].removeprefix("publish.").removesuffix("/1")
        self.schema(name).validate(result.document)
        self.commands.add(" ".join(words[: 2 if words[0] == "hub" else 1]))
        return result

    def schema(self, name: str) -> Draft202012Validator:
        """What `publish schema` prints, which is a schema itself."""
        if name not in self.schemas:
            # In this process: a command for each of them would take a third of the test's time.
            schema = json.loads(CliRunner().invoke(program, ["schema", name], catch_exceptions=False).stdout)
            Draft202012Validator.check_schema(schema)
            self.schemas[name] = Draft202012Validator(schema)
        return self.schemas[name]


def printing() -> Iterator[str]:
    """Every command that takes --format."""
    with click.Context(program) as context:
        for name in COMMANDS:
            command = program.get_command(context, name)
            inner = command.commands if isinstance(command, click.Group) else {"": command}
            for word, one in inner.items():
                if one and any("--format" in parameter.opts for parameter in one.params):
                    yield f"{name} {word}".strip()


@pytest.fixture
def desk(publish: Publish, tmp_path: Path) -> Iterator[Desk]:
    """A project that is rehearsed on Docker Hub."""
    (tmp_path / "publish.toml").write_text(CONFIGURATION)
    for version in ("1.0.0", "1.1.0"):
        make_layout(tmp_path / version, version)
    with Sandbox() as sandbox:
        yield Desk(publish, tmp_path, {"PUBLISH_SANDBOX": sandbox.url})


def test_documents(desk: Desk, private_registry: RegistryProcess, tmp_path: Path) -> None:
    """Every command, and every schema, at least once; a document of another kind doesn't fit."""
    desk("init", "--image", "acme/app", "--dry-run")
    desk("hub", "create")
    for version in ("1.0.0", "1.1.0"):
        plan = desk("plan", f"oci:{version}", "--version", version)
        desk("release", f"oci:{version}", "--version", version)
    desk("push", "oci:1.0.0")
    desk("status")
    desk("reconcile")
    desk("verify", "acme/app:latest")
    desk("retag", "acme/app:1.0.0", ":stable")
    desk("yank", "1.1.0")
    desk("undo")
    desk("history")
    desk("tags", "acme/app")
    desk("tags", "acme/app", "--prune")
    for part in ("describe", "settings"):
        desk("hub", part, "-y")
    desk("hub", "limits")
    desk("doctor", code=6)  # no engine here
    desk("verify", "::", code=2)
    host = private_registry.host
    desk("login", host, "-u", USER, "--password-stdin", "--store", "docker", stdin=SECRET, here=False)
    desk("whoami", host, here=False)
    desk("logout", host, "--docker", here=False)
    (tmp_path / "publish.toml").write_text('[images.api]\nrepositories = ["acme/api"]\n')
    desk("plan", "--version", "1.0.0")
    assert desk.commands == set(printing()) - WITH_ENGINE
    assert set(desk.schemas) == set(documents()) - WITH_ENGINE - READ
    assert not desk.schema("receipt").is_valid(plan.document)


@CONTAINERD
def test_documents_of_an_engine(publish_with_engine: Publish, name: str, tmp_path: Path) -> None:
    """`build`, and `smoke` whether the image passes, fails or isn't there."""
    shutil.copy(BUSYBOX, tmp_path / "busybox")
    (tmp_path / "Dockerfile").write_text('FROM scratch\nCOPY busybox /bin/busybox\nCMD ["/bin/busybox", "true"]\n')
    (tmp_path / "publish.toml").write_text(f'source = "docker-daemon:{name}:1"\n[build]\n[smoke]\n')
    desk = Desk(publish_with_engine, tmp_path, {})
    desk("build", "--version", "1.0.0")
    desk("smoke")
    (tmp_path / "publish.toml").write_text(f'source = "docker-daemon:{name}:1"\n[smoke]\nexit-code = 3\n')
    desk("smoke", code=5)
    desk("smoke", "absent:1", code=2)
    assert desk.commands == WITH_ENGINE
    assert set(desk.schemas) == WITH_ENGINE | {"error"}

"""Smoke runs on one engine, and what they leave there."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any

import docker

from tests.support.command import Publish
from tests.support.engine import BUSYBOX

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Result
    from tests.support.engine import EngineProcess

SERVE = (
    'command = ["sh", "-c", "mkdir -p /w; echo ok > /w/health; echo ready; exec httpd -f -p 80 -h /w"]\n'
    'ports = ["80"]\n'
)
_BASE = 'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\nRUN mkdir /tmp\n'
_CHECKED = "FROM {base}\nHEALTHCHECK --interval=1s --retries=1 CMD test -e /tmp/up || {{ echo not up; exit 1; }}\n"


class SmokeRuns:
    """Runs `publish smoke` in `folder`; `base` has a shell, `checked` a HEALTHCHECK of /tmp/up too."""

    base = "smoke-base"
    checked = "smoke-checked"

    def __init__(self, engine: EngineProcess, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        home = folder / "home"
        home.mkdir(exist_ok=True)
        self.publish = Publish(home, {"DOCKER_HOST": engine.host})
        if not engine.docker("image", "ls", "-q", self.checked):
            self._build(self.base, _BASE)
            self._build(self.checked, _CHECKED.format(base=self.base))

    def _build(self, name: str, text: str) -> None:
        folder = self.folder / name
        folder.mkdir()
        shutil.copy(BUSYBOX, folder / "busybox")
        (folder / "Dockerfile").write_text(text)
        self.engine.docker("build", "-q", "-t", name, str(folder))

    def configure(self, table: str, *, seconds: float = 10, head: str = "") -> None:
        """Write publish.toml with a [smoke] table; `head` stands before it."""
        timeout = "" if "timeout = " in table else f"timeout = {seconds}\n"
        (self.folder / "publish.toml").write_text(f"{head}[smoke]\n{timeout}{table}\n")

    def smoke(self, table: str, *words: str, seconds: float = 10, image: str = "") -> Result:
        """One run."""
        self.configure(table, seconds=seconds)
        return self.publish("smoke", image or self.checked, *words, cwd=self.folder)

    def left(self) -> list[str]:
        """Containers, volumes, networks and images with our label that are still there."""
        return [identity for found in self._list(label="publish.run").values() for identity in found]

    def everything(self) -> dict[str, set[str]]:
        """All containers, volumes, networks and images of the engine, ours or not."""
        return self._list()

    def _list(self, **filters: str) -> dict[str, set[str]]:
        """What the engine itself says: docker's command line takes several times as long, and is asked very often."""
        with closing(docker.APIClient(self.engine.host, version="auto")) as api:
            untyped: Any = api
            return {
                "containers": {each["Id"] for each in untyped.containers(all=True, filters=filters)},
                "volumes": {each["Name"] for each in untyped.volumes(filters=filters)["Volumes"] or ()},
                "networks": {each["Id"] for each in untyped.networks(filters=filters)},
                "images": {each["Id"] for each in untyped.images(filters=filters)},
            }


def make_fixtures(folder: Path) -> None:
    """Files that the tables name."""
    (folder / "fixtures" / "sub").mkdir(parents=True)
    (folder / "fixtures" / "sub" / "kept").touch()
    (folder / "fixtures" / "file").write_text("bound\n")
    (folder / "env").write_text("# comment\nA=z\nB=y\n")

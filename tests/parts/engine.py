"""A Docker Engine of our own, in folders of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.parts.process import end, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSYBOX = Path("/bin/busybox")


class Engine:
    """A running engine: `host` is its DOCKER_HOST."""

    def __init__(self, host: str) -> None:
        self.host = host

    def docker(self, *words: str, check: bool = True) -> str:
        """Run docker's CLI against it; returns stdout without its last newline."""
        environ = {**os.environ, "DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "0"}
        done = subprocess.run(["docker", *words], env=environ, capture_output=True, text=True, check=False, timeout=120)
        if check and done.returncode:
            raise AssertionError(f"docker {' '.join(words)}: {done.stderr}")
        return done.stdout.rstrip("\n")

    def build(self, name: str, content: str, folder: Path) -> str:
        """Build a tiny image whose one file holds `content`; returns its id."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(BUSYBOX, folder / "busybox")
        (folder / "content").write_text(content)
        (folder / "Dockerfile").write_text(
            'FROM scratch\nCOPY busybox /bin/busybox\nCOPY content /content\nCMD ["/bin/busybox", "cat", "/content"]\n'
        )
        self.docker("build", "-q", "-t", name, str(folder))
        return self.docker("image", "inspect", "-f", "{{.Id}}", name)


@contextmanager
def run_engine(number: int) -> Iterator[Engine]:
    """Start dockerd; `number` keeps the networks of several apart."""
    folder = Path(tempfile.mkdtemp(prefix=f"pt{number}-", dir="/tmp"))
    host = f"unix://{folder}/docker.sock"
    words = ["dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "-H", host]
    words += ["--pidfile", f"{folder}/pid", "--bridge", "none", "--iptables=false"]
    with (folder / "log").open("wb") as log:
        environ = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        process = subprocess.Popen(words, stdout=log, stderr=log, env=environ)
    engine = Engine(host)
    try:
        wait_until(
            lambda: bool(engine.docker("version", "-f", "{{.Server.Version}}", check=False)), seconds=60, what="dockerd"
        )
        yield engine
    finally:
        end(process)
        shutil.rmtree(folder, ignore_errors=True)

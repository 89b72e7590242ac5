"""What `publish build` costs over `docker build`, where all steps come from the cache."""

from __future__ import annotations

import shutil
import sysconfig
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.row import Row, timed
from tests.support.engine import BUSYBOX

if TYPE_CHECKING:
    from tests.support.command import Publish
    from tests.support.engine import EngineProcess

_TIMES = 9
_FILES = 1000
_DOCKERFILE = """\
FROM scratch
WORKDIR /app
COPY busybox /bin/busybox
RUN ["/bin/busybox", "mkdir", "/app/modules"]
COPY tree /app/tree
ENV PORT=80
EXPOSE 80
CMD ["/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/app/tree"]
"""


def build_rows(engine: EngineProcess, publish: Publish, folder: Path) -> list[Row]:
    """One row: the seconds of publish build beyond 1.1 times docker build's, measured in turn."""
    project = folder / "build"
    _make_project(project)
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "first"), ("tag", "v1.2.3")):
        publish.git(*words, cwd=project)

    def ours() -> None:
        done = publish("build", "-t", "bench:ours", cwd=project)
        assert done.code == 0, done.stderr

    def theirs() -> None:
        engine.docker("build", "-t", "bench:theirs", str(project))

    ours()
    theirs()
    # The least of each: whatever else the machine does adds to both, and not evenly.
    pairs = [(timed(ours), timed(theirs)) for _ in range(_TIMES)]
    mine, docker = (min(pair[side] for pair in pairs) for side in (0, 1))
    detail = f"{mine:.3f} s, docker build {docker:.3f} s, {_FILES} files"
    return [Row("seconds of a cached build beyond 1.1 x docker's", mine - 1.1 * docker, 0.5, False, detail)]


def _make_project(project: Path) -> None:
    (project / "tree").mkdir(parents=True)
    shutil.copy(BUSYBOX, project / "busybox")
    for number, file in enumerate(islice(Path(sysconfig.get_path("stdlib")).rglob("*.py"), _FILES)):
        shutil.copy(file, project / "tree" / f"{number}.py")
    (project / "Dockerfile").write_text(_DOCKERFILE)
    (project / ".dockerignore").write_text(".git\n")

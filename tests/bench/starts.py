"""How long a command takes to start: what every call of it pays."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.row import Row, timed
from tests.support.layout import make_layout
from tests.unit.test_planning_properties import crowd

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.command import Publish

_TIMES = 15


def start_rows(publish: Publish, folder: Path) -> list[Row]:
    """All of them; `folder` is for what they write."""
    return [
        start_up(publish),
        plan_offline(publish, folder),
        credential_helper(publish),
        rehearsal(publish, folder),
        crowded_plan(),
    ]


def start_up(publish: Publish) -> Row:
    """publish --version against the bare import of click."""
    bare, ours = _alternately(_import_click, lambda: publish("--version"))
    return Row("publish --version / python -c 'import click'", ours / bare, 1.5, False, f"{ours:.3f} s / {bare:.3f} s")


def plan_offline(publish: Publish, folder: Path) -> Row:
    """A whole plan of a tagged commit, without a registry, against the bare import of click and two calls of git."""
    work = folder / "work"
    work.mkdir()
    for words in (("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "first"), ("tag", "v1.2.3")):
        publish.git(*words, cwd=work)

    def bare() -> None:
        _import_click()
        publish.git("rev-parse", "HEAD", cwd=work)
        publish.git("describe", "--tags", cwd=work)

    least, ours = _alternately(bare, lambda: publish("plan", "--offline", "--image", "acme/app", cwd=work))
    return Row("plan --offline / import click + 2 git", ours / least, 2.5, False, f"{ours:.3f} s / {least:.3f} s")


def rehearsal(publish: Publish, folder: Path) -> Row:
    """A whole release of a small image in a sandbox of its own, in seconds."""
    make_layout(folder / "layout", "app")
    release = ("release", "oci:layout", "--image", "me/app", "--version", "1.0.0")
    words = ("sandbox", "exec", "--", publish.program, *release)
    took = statistics.median(timed(lambda: _succeed(publish, words, folder)) for _ in range(5))
    return Row("seconds of a rehearsed release, small image", took, 3.0, False, "")


def crowded_plan() -> Row:
    """A plan over ten thousand tags, in seconds of the processor."""
    registry = crowd(10_000)
    seconds = []
    for _ in range(5):
        began = time.process_time()
        registry.plan("5.5.99")
        seconds.append(time.process_time() - began)
    return Row("seconds of a plan over 10,000 tags", statistics.median(seconds), 0.5, False, "")


def _succeed(publish: Publish, words: tuple[str, ...], folder: Path) -> None:
    result = publish(*words, cwd=folder)
    assert result.code == 0, result.stderr


def credential_helper(publish: Publish) -> Row:
    """docker-credential-publish get, of a stored login, against the bare import of keyring."""
    helper = Path(publish.program).with_name("docker-credential-publish")
    entry = json.dumps({"ServerURL": "reg.example", "Username": "me", "Secret": "s"})
    script = (
        "printf pass | gnome-keyring-daemon --unlock --components=secrets >/dev/null; "
        f"printf '%s' '{entry}' | {helper} store && exec {sys.executable} -m tests.bench.starts {helper}"
    )
    environ = {**publish.environ, "XDG_RUNTIME_DIR": str(publish.home), "XDG_DATA_HOME": str(publish.home / "data")}
    words = ["dbus-run-session", "--", "sh", "-c", script]
    root = Path(__file__).parents[2]
    done = subprocess.run(words, env=environ, cwd=root, capture_output=True, text=True, check=True)
    bare, ours = json.loads(done.stdout)
    seconds = f"{ours:.3f} s / {bare:.3f} s"
    return Row("docker-credential-publish get / import keyring", ours / bare, 2.5, False, seconds)


def measure_helper(helper: str) -> None:
    """Within the session that holds the keyring: print both medians."""

    def ask() -> None:
        done = subprocess.run([helper, "get"], input=b"reg.example", capture_output=True, check=True)
        assert b'"Secret":"s"' in done.stdout

    print(json.dumps(_alternately(lambda: subprocess.run([sys.executable, "-c", "import keyring"], check=True), ask)))


def _import_click() -> None:
    subprocess.run([sys.executable, "-c", "import click"], check=True)


def _alternately(bare: Callable[[], object], ours: Callable[[], object]) -> tuple[float, float]:
    """The medians of both, in seconds, measured in turn so that a slow moment meets both."""
    pairs = [(timed(bare), timed(ours)) for _ in range(_TIMES)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


if __name__ == "__main__":
    measure_helper(sys.argv[1])

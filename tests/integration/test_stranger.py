"""A stranger with the README and nothing else: a rehearsed release in two commands, from pip and from a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.console import blocks, commands, matches

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """publish as pip installs it from its wheel; what it depends on is taken from here, since there is no network."""
    folder = tmp_path_factory.mktemp("stranger")
    # --ignore-installed: the publish that runs the tests stays where it is.
    words = ["install", "-q", "--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed"]
    words += ["--prefix", str(folder / "usr"), str(ROOT)]
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *words], check=True, timeout=120)
    assert Path(sys.executable).with_name("publish").exists()
    return folder / "usr"


def environment(home: Path, installed: Path) -> dict[str, str]:
    """A machine with no docker, no configuration and no credentials."""
    home.mkdir()
    own = sysconfig.get_path("purelib", vars={"base": str(installed), "platbase": str(installed)})
    return {
        "HOME": str(home),
        "PATH": f"{installed}/bin",
        "PYTHONPATH": f"{own}:{sysconfig.get_path('purelib')}",
        "LANG": "C.UTF-8",
    }


def test_two_commands_from_pip(installed: Path, tmp_path: Path) -> None:
    """The README's first block: the installed program rehearses a release and prints what the README shows."""
    install, release = commands(blocks(ROOT / "README.md", "console")[0])
    assert install.text.startswith("pip install ")
    environ = environment(tmp_path / "home", installed)
    done = subprocess.run(
        ["/bin/bash", "-c", f"{release.text} 2>&1"], env=environ, cwd=tmp_path, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert matches(release.shown, done.stdout.strip("\n")), done.stdout
    where = subprocess.run(
        [sys.executable, "-c", "import publisher; print(publisher.__file__)"], env=environ, cwd=tmp_path,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(installed)), "not the checkout"


def test_the_wheel_holds_what_programs_need(installed: Path) -> None:
    """The stub, the mark that says it is typed, the sandbox's page; no tests."""
    names = {path.name for path in installed.rglob("*") if path.is_file()}
    assert {"__init__.pyi", "py.typed", "page.html", "publish", "docker-publish", "docker-credential-publish"} <= names
    assert not any(name.startswith("test_") for name in names)


def test_the_demo_from_a_checkout(tmp_path: Path) -> None:
    """scripts/demo, one command, here without an engine; it ends what it started and leaves nothing behind."""
    environ = {**os.environ, "PUBLISH_DEMO_NO_ENGINE": "1", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [ROOT / "scripts" / "demo"], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("@sha256:") >= 3
    assert "Nothing is left running." in done.stdout

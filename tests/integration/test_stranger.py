"""A stranger with the README and nothing else: a rehearsed release in two commands, from pip and from a checkout."""

from __future__ import annotations

import os
import re
import shutil
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
    assert install.text.startswith("pipx install . ")
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


def stranger(folder: Path) -> Path:
    """Another program of the same name."""
    folder.mkdir()
    program = folder / "publish"
    program.write_text("#!/bin/sh\necho another program >&2\nexit 99\n")
    program.chmod(0o755)
    return program


def test_scripts_refuse_a_strangers_program(tmp_path: Path) -> None:
    """Where a script calls publish and another program of that name would answer, it ends and says which."""
    program = stranger(tmp_path / "bin")
    script = f"source scripts/environment; PATH={program.parent}:$PATH; ours_on_path"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"publish on the path is {program}, not this checkout's" in done.stderr


def test_every_script_that_calls_publish_asks_whose_it_is() -> None:
    calls = re.compile(r"^(?:run )?publish ", re.MULTILINE)
    texts = {path.name: path.read_text() for path in (ROOT / "scripts").iterdir() if path.is_file()}
    first = {name: match.start() for name, text in texts.items() if (match := calls.search(text))}
    assert first
    assert [name for name, start in first.items() if not 0 <= texts[name].find("\nours_on_path\n") < start] == []


def git(*words: str, cwd: Path) -> str:
    words = ("git", "-c", "user.name=me", "-c", "user.email=me@localhost", *words)
    return subprocess.run(words, cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


def test_from_git_by_a_commit(tmp_path: Path) -> None:
    """As the page says it: pip installs a full commit, and a hint for what is missing names that commit again."""
    repository = tmp_path / "publish"
    repository.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, repository)
    shutil.copytree(ROOT / "publisher", repository / "publisher", ignore=shutil.ignore_patterns("__pycache__"))
    git("init", "-q", cwd=repository)
    git("add", ".", cwd=repository)
    git("commit", "-qm", "One", cwd=repository)
    url = f"git+file://{repository}@{git('rev-parse', 'HEAD', cwd=repository)}"
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    lent = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}  # hatchling, and what publish depends on
    words = [str(python), "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--ignore-installed", url]
    subprocess.run(words, check=True, timeout=120, env=lent)
    script = "from publisher.model.installation import reinstall_hint; print(reinstall_hint('sign'))"
    hint = subprocess.run([python, "-c", script], check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    assert hint.strip() == f"{python} -m pip install --force-reinstall 'publish-images[sign] @ {url}'"
    for command in ("publish", "publish-images"):
        done = subprocess.run([python.with_name(command), "--version"], env=lent, check=True, capture_output=True)
        assert done.stdout.startswith(b"publish ")


def test_the_wheel_holds_what_programs_need(installed: Path) -> None:
    """The stub, the mark that says it is typed, the sandbox's page; no tests."""
    names = {path.name for path in installed.rglob("*") if path.is_file()}
    assert {
        "__init__.pyi",
        "py.typed",
        "page.html",
        "publish",
        "publish-images",
        "docker-publish",
        "docker-credential-publish",
    } <= names
    assert (installed / "share" / "man" / "man1" / "publish-release.1").is_file()
    assert not any(name.startswith("test_") for name in names)


def test_the_demo_from_a_checkout(tmp_path: Path) -> None:
    """scripts/demo, one command, here without an engine; it ends what it started and leaves nothing behind.

    The publish that stands first on the path is another program's: the script runs its own.
    """
    environ = {**os.environ, "PUBLISH_DEMO_NO_ENGINE": "1", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    environ["PATH"] = f"{stranger(tmp_path / 'bin').parent}:{environ['PATH']}"
    done = subprocess.run(
        [ROOT / "scripts" / "demo"], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("@sha256:") >= 3
    assert "Nothing is left running." in done.stdout

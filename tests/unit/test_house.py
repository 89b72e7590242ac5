"""The shape of the house: what starts up, how long things may be, what the documents say."""

from __future__ import annotations

import ast
import os
import statistics
import subprocess
import sys
from pathlib import Path

from publisher.cli.program import COMMANDS
from publisher.model import errors
from publisher.sandbox.server import Sandbox
from tests.support.layout import make_layout

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "publisher").rglob("*.py"))


def test_the_version_is_told_without_heavy_modules() -> None:
    """`publish --version` imports none of docker, requests, keyring, rich."""
    script = (
        "import sys; from publisher.cli.program import run; code = run(['--version'])\n"
        "heavy = {'docker', 'requests', 'keyring', 'rich', 'msgspec', 'semver'} & set(sys.modules)\n"
        "sys.exit(code or repr(heavy) if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_layout_is_sent_without_heavy_modules(tmp_path: Path) -> None:
    """A release to a registry, of a layout, where no engine is and nothing is signed, imports nothing for either."""
    make_layout(tmp_path / "layout", "1.0.0")
    script = (
        "import sys; from publisher.cli.program import run; code = run(sys.argv[1:])\n"
        "heavy = {'docker', 'requests', 'keyring', 'rich', 'cryptography', 'nacl', 'sigstore'} & set(sys.modules)\n"
        "heavy |= {name for name in sys.modules if name.startswith(('publisher.attest', 'publisher.sigstore'))}\n"
        "sys.exit(code or (repr(heavy) if heavy else 0))"
    )
    words = (f"oci:{tmp_path / 'layout'}", "--image", "yeong/app", "--version", "1.0.0", "-y")
    with Sandbox() as sandbox:
        environ = {
            "HOME": str(tmp_path), "PUBLISH_SANDBOX": sandbox.url, "PATH": os.defpath,
            "DOCKER_HOST": f"unix://{tmp_path}/none.sock",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", script, "release", *words],
            capture_output=True, text=True, check=False, env=environ, cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_no_module_is_too_long() -> None:
    """None over 400 lines."""
    assert [str(path) for path in MODULES if len(path.read_text().splitlines()) > 400] == []


def test_functions_are_short() -> None:
    """The median is at most 8 lines, nine of ten at most 30."""
    lengths = sorted(
        (node.end_lineno or 0) - node.lineno + 1
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert statistics.median(lengths) <= 8
    assert lengths[len(lengths) * 9 // 10] <= 30


def test_every_command_has_its_file_and_help() -> None:
    """Each name in the help imports, with a docstring and without drawing the others in."""
    for name in COMMANDS:
        done = subprocess.run(
            [sys.executable, "-m", "publisher.cli", name, "--help"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("Usage: publish ")
        assert "\\b" not in done.stdout, "examples stand on lines of their own"


def test_the_error_page_names_every_kind() -> None:
    """docs/errors.md lists each error class's kind beside its exit code."""
    page = (ROOT / "docs" / "errors.md").read_text()
    classes = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, Exception)]
    rows = [line for line in page.splitlines() if line.startswith("|")]
    for found in classes:
        if issubclass(found, errors.PublishError):
            assert any(f"`{found.kind}`" in row and str(found.exit_code) in row.split("|")[1] for row in rows), found

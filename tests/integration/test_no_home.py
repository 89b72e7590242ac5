"""A user whom the system doesn't know, as in `docker run --user N`: without HOME, without an entry in passwd."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from publisher.sandbox.server import Sandbox
from tests.support.layout import make_layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.command import Publish

APART = ("unshare", "--user", "--map-user=12345")


@pytest.fixture
def run(publish: Publish, tmp_path: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Runs publish as that user, against a sandbox; keywords are more variables."""
    if subprocess.run([*APART, "true"], check=False).returncode:
        pytest.xfail("this machine lets nobody be another user")
    kept = {name: value for name, value in publish.environ.items() if name in {"PATH", "LANG", "DOCKER_HOST"}}
    with Sandbox() as sandbox:

        def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*APART, publish.program, *words], cwd=tmp_path, check=False, capture_output=True, text=True,
                env={**kept, "PUBLISH_SANDBOX": sandbox.url, "TMPDIR": str(tmp_path), **variables},
            )  # fmt: skip

        yield run


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "--image", "me/app", "--version", "1.0.0"),
        ("status", "--image", "me/app"),
        ("history",),
        ("whoami",),
        ("tags", "me/app"),
        ("doctor",),
        ("logout",),
        ("completion", "bash"),
        ("undo",),
    ],
    ids=lambda words: words[0],
)
def test_what_keeps_nothing_needs_no_home(words: tuple[str, ...], run: Callable[..., subprocess.CompletedProcess[str]],
                                          tmp_path: Path) -> None:  # fmt: skip
    """The command does what it does anywhere, and leaves no folder."""
    before = sorted(tmp_path.iterdir())
    result = run(*words)
    assert result.returncode in {0, 2, 4, 5, 6}, result
    assert "nexpected" not in result.stderr
    assert "home folder" not in result.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_release_keeps_its_receipt_in_a_temporary_folder(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """With a warning that says where; the tags are written as anywhere, and undo takes the file."""
    make_layout(tmp_path / "layout", "1.0.0")
    words = ("release", "oci:layout", "--image", "me/app", "--version", "1.0.0", "--format", "json")
    result = run(*words)
    assert result.returncode == 0, result
    told = re.search(r"there is no home folder: the receipt goes to\s+(\S+);", " ".join(result.stderr.split()))
    assert told, result.stderr
    (receipt,) = Path(told[1]).glob("*.json")
    assert json.loads(receipt.read_text()) == json.loads(result.stdout)
    assert run("undo", str(receipt), "--format", "json").returncode == 0


def test_relative_folders_are_ignored(
    run: Callable[..., subprocess.CompletedProcess[str]], publish: Publish, tmp_path: Path
) -> None:
    """The specification of XDG has them invalid: nothing is left below the working directory."""
    make_layout(tmp_path / "layout", "1.0.0")
    relative = {f"XDG_{kind}_HOME": f"relative-{kind}" for kind in ("STATE", "CACHE", "CONFIG")}
    words = ("release", "oci:layout", "--image", "me/app", "--version", "1.0.0")
    result = run(*words, HOME=str(publish.home), **relative)
    assert result.returncode == 0, result
    assert not [*tmp_path.rglob("relative-*")]
    assert [*(publish.home / ".local" / "state" / "publish").rglob("*.json")]

"""Plans that are saved, and carried out exactly or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from publisher.sandbox.server import Sandbox
from tests.support.layout import make_layout

if TYPE_CHECKING:
    from tests.support.command import Publish
    from tests.support.registry import RegistryProcess


@pytest.fixture
def saved(registry: RegistryProcess, publish: Publish, name: str, tmp_path: Path) -> list[str]:
    """A source in git, a plan of it in plan.json, and the words that name both."""
    make_layout(tmp_path / "layout", "one")
    (tmp_path / ".gitignore").write_text("*\n")
    publish.git("init", "-q", cwd=tmp_path)
    publish.git("commit", "-q", "--allow-empty", "-m", "x", cwd=tmp_path)
    publish.git("tag", "v1.0.0", cwd=tmp_path)
    image = f"{registry.host}/{name}"
    result = publish("plan", "oci:layout", "--image", image, "-o", "plan.json", "--format", "json", cwd=tmp_path)
    assert result.code == 0, result.stderr
    assert json.loads((tmp_path / "plan.json").read_text()) == result.document
    return ["oci:layout", "--plan", "plan.json", "-y", "--format", "json"]


def test_a_saved_plan_is_done(saved: list[str], publish: Publish, tmp_path: Path) -> None:
    """What was planned is what is done; the images need not be named again."""
    result = publish("release", *saved, cwd=tmp_path)
    assert result.code == 0, result.stderr
    planned = json.loads((tmp_path / "plan.json").read_text())
    assert result.document["plan"]["moves"] == planned["moves"]


def test_a_plan_that_was_carried_out_is_done(saved: list[str], publish: Publish, tmp_path: Path) -> None:
    """A second time nothing is left to do: what the plan itself wanted is no drift."""
    assert publish("release", *saved, cwd=tmp_path).code == 0
    result = publish("release", *saved, cwd=tmp_path)
    assert result.code == 0, result.stderr
    assert {move["state"] for move in result.document["moves"]} == {"unchanged"}


@pytest.mark.parametrize("tag", ["1.0.0", "latest"])
def test_a_plan_that_stopped_half_way_is_finished(tag: str, saved: list[str], publish: Publish, tmp_path: Path) -> None:
    """Whichever tag couldn't be written: the same command finishes."""
    with Sandbox(faults=[f"PUT /manifests/{tag} 1st 403"]) as sandbox:
        environ = {"PUBLISH_SANDBOX": sandbox.url}
        planned = publish("plan", "oci:layout", "--image", "me/app", "-o", "plan.json", cwd=tmp_path, environ=environ)
        assert planned.code == 0, planned.stderr
        assert publish("release", *saved, cwd=tmp_path, environ=environ).code == (3 if tag == "1.0.0" else 7)
        result = publish("release", *saved, cwd=tmp_path, environ=environ)
        assert result.code == 0, result.stderr
        assert set(sandbox.store.state()["me/app"]) == {"1.0.0", "1.0", "1", "latest"}


def test_registry_has_moved_on(saved: list[str], publish: Publish, tmp_path: Path) -> None:
    """A plan is refused when a tag moved since to what it didn't want, and the difference is told."""
    image = json.loads((tmp_path / "plan.json").read_text())["images"][0]
    make_layout(tmp_path / "other", "two")
    assert publish("release", "oci:other", "--image", image, "--version", "0.9.0", cwd=tmp_path).code == 0
    result = publish("release", *saved, cwd=tmp_path)
    assert result.code == 4
    assert result.document["kind"] == "plan-out-of-date"
    assert "held nothing, and holds sha256:" in result.document["message"]


def test_git_has_moved_on(saved: list[str], publish: Publish, tmp_path: Path) -> None:
    """A plan is refused at another commit."""
    publish.git("commit", "-q", "--allow-empty", "-m", "y", cwd=tmp_path)
    result = publish("release", *saved, cwd=tmp_path)
    assert result.code == 4
    assert "the plan is for commit" in result.stderr


def test_source_has_moved_on(saved: list[str], publish: Publish, tmp_path: Path) -> None:
    """A plan is refused for another image."""
    make_layout(tmp_path / "other", "two")
    result = publish("release", "oci:other", *saved[1:], cwd=tmp_path)
    assert result.code == 4
    assert "was to get sha256:" in result.stderr


def test_other_rules(saved: list[str], publish: Publish, tmp_path: Path) -> None:
    """Rules that give other tags than the plan's are a difference too."""
    result = publish("release", *saved, "--rule", "type=semver,pattern={{version}}", cwd=tmp_path)
    assert result.code == 4
    assert "the rules don't give it now" in result.stderr


@pytest.mark.parametrize("text", ["", "{}", '{"schema":"publish.receipt/1"}', "[" * 5000])
def test_no_plan(text: str, saved: list[str], publish: Publish, tmp_path: Path) -> None:
    """A file that is no plan is an error of configuration."""
    (tmp_path / "plan.json").write_text(text)
    result = publish("release", *saved, cwd=tmp_path)
    assert result.code == 2
    assert "no plan that publish saved" in result.stderr


def test_absent_plan(saved: list[str], publish: Publish, tmp_path: Path) -> None:
    """A file that isn't there is named."""
    Path(tmp_path / "plan.json").unlink()
    result = publish("release", *saved, cwd=tmp_path)
    assert (result.code, "plan.json" in result.stderr) == (2, True)

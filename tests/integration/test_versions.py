"""Versions as people write them, from the command line to the registry and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from publisher.sandbox.server import Sandbox
from tests.support.layout import make_layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Publish, Result

RAW = "type=semver,pattern={{raw}}"
KEY = "org.opencontainers.image.version"


class Project:
    """An image of the sandbox that releases git tags as CI does."""

    def __init__(self, publish: Publish, folder: Path, url: str) -> None:
        self._publish = publish
        self._folder = folder
        self._environ = {"PUBLISH_SANDBOX": url}
        self.digests: dict[str, str] = {}

    def run(self, *words: str, environ: dict[str, str] | None = None) -> Result:
        """Run a command."""
        return self._publish(*words, cwd=self._folder, environ={**self._environ, **(environ or {})})

    def release(
        self, ref: str, *rules: str, labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None
    ) -> Result:
        """Release an image of its own for a git tag, every request told."""
        folder = self._folder / ref.replace("/", "_")
        if not folder.exists():
            self.digests[ref] = str(make_layout(folder, ref, labels=labels, annotations=annotations))
        ci = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push", "GITHUB_REF": f"refs/tags/{ref}",
              "GITHUB_SHA": "0" * 40, "GITHUB_REPOSITORY": "me/app"}  # fmt: skip
        options = [word for rule in rules for word in ("--rule", rule)]
        return self.run("-v", "release", "-y", f"oci:{folder}", "--image", "me/app", *options, environ=ci)

    def held(self, tag: str) -> str | None:
        """The git tag whose image a tag holds."""
        document = self.run("verify", f"me/app:{tag}", "--format", "json").document
        names = {digest: ref for ref, digest in self.digests.items()}
        return names.get(document["results"][0]["digest"])


@pytest.fixture
def project(publish: Publish, tmp_path: Path) -> Iterator[Project]:
    """A project with nothing released."""
    with Sandbox() as sandbox:
        yield Project(publish, tmp_path, sandbox.url)


def test_an_image_says_that_a_dash_is_a_plus(project: Project) -> None:
    """The label of a higher version with build metadata holds latest back."""
    project.release("v2.3.8+fork.1", RAW, labels={KEY: "2.3.8+fork.1"})
    lower = project.release("v2.3.7", RAW)
    assert (lower.code, project.held("latest")) == (0, "v2.3.8+fork.1")
    assert "2.3.8+fork.1 is newer than 2.3.7" in lower.stdout + lower.stderr


def test_an_image_says_that_a_dash_is_a_prereleases(project: Project) -> None:
    """The annotation of a prerelease lets latest go to the stable version."""
    project.release("v2.3.8-fork.1", RAW, annotations={KEY: "2.3.8-fork.1"}, labels={KEY: "2.3.8+fork.1"})
    project.release("v2.3.7", RAW)
    assert project.held("latest") == "v2.3.7"


def test_an_image_that_says_nothing(project: Project) -> None:
    """Latest keeps what it holds, with a warning that says what helps."""
    project.release("v2.3.8+fork.1", RAW)
    lower = project.release("v2.3.7", RAW)
    assert (lower.code, project.held("latest")) == (0, "v2.3.8+fork.1")
    assert "v2.3.8-fork.1 can be read in several ways" in " ".join(lower.stderr.split())
    assert "label it org.opencontainers.image.version" in " ".join(lower.stderr.split())


def test_no_image_is_asked_where_the_text_tells(project: Project) -> None:
    """Neither a lower tag with a dash nor a known prerelease costs a request."""
    project.release("v1.0.0-fork.1", RAW)
    project.release("v2.0.0-rc.1", RAW)
    higher = project.release("v1.5.0", RAW)
    reads = [line for line in higher.stderr.splitlines() if "GET" in line and "manifests/v" in line]
    assert higher.code == 0
    assert not [line for line in reads if "fork" in line or "rc.1" in line]


@pytest.mark.parametrize("rule", ["type=ref,event=tag", "type=match,pattern=(.*),group=1"], ids=["ref", "match"])
def test_repairs_read_calendar_versions(project: Project, rule: str) -> None:
    """Status lists them, yank lets latest fall back, and an undo of no yank is refused with the reason."""
    for ref in ("2026.02.1", "2026.03.0"):
        assert project.release(ref, rule).code == 0
    words = ("--image", "me/app", "--rule", rule)
    document = project.run("status", *words, "--format", "json").document
    assert [each["version"] for each in document["repositories"][0]["versions"]] == ["2026.03.0", "2026.02.1"]
    assert project.run("yank", "2026.03.0", *words, "-y").code == 0
    assert project.held("latest") == "2026.02.1"
    assert project.run("yank", "2026.03.0", "--undo", *words, "-y").code == 0
    assert project.held("latest") == "2026.03.0"
    again = project.run("yank", "2026.03.0", "--undo", *words, "-y")
    assert again.code == 4
    assert "every floating tag is where it belongs" in " ".join(again.stderr.split())


def test_markers_of_prefixed_tags(project: Project) -> None:
    """A marker of a prefixed tag is one to prune too, and a prefixed version is not written over."""
    rule = "type=semver,pattern={{version}},prefix=api-"
    for ref in ("v1.2.0", "v1.3.0"):
        assert project.release(ref, rule).code == 0
    assert project.run("yank", "1.3.0", "--image", "me/app", "--rule", rule, "-y").code == 0
    over = project.run("retag", "me/app:api-1.2.0", "me/app:api-1.3.0")
    assert over.code == 4
    assert project.held("api-1.3.0") == "v1.3.0"


def test_retag_knows_calendar_versions(project: Project) -> None:
    """Latest is not lowered from one calendar version to another by hand."""
    for ref in ("2026.02.1", "2026.03.0"):
        project.release(ref, "type=ref,event=tag")
    lowered = project.run("retag", "me/app:2026.02.1", ":latest")
    assert lowered.code == 4
    assert project.held("latest") == "2026.03.0"


@pytest.mark.parametrize(
    ("tag", "rules", "code", "words"),
    [
        pytest.param(None, ("type=semver,pattern={{version}}",), 4, ("no git tag", "--version"), id="no-tag"),
        pytest.param("v0.29", (), 0, ("v0.29", "type=match,pattern=v(.*),group=1"), id="two-numbers"),
        pytest.param("2026.02.0", (), 0, ("2026.02.0", "type=pep440"), id="calendar"),
        pytest.param("v0.29", (r"type=match,pattern=v(\d+\.\d+),group=1",), 0, ("me/app", "0.29"), id="taken-by-match"),
        pytest.param("api/v1.2.3", ("type=semver,pattern={{version}},match=api/v(.*)",), 0, ("1.2.3",), id="match="),
        pytest.param("nightly", ("type=ref,event=tag",), 4, ("no rule gives a tag",), id="no-version"),
    ],
)
def test_nothing_is_planned_in_silence(
    publish: Publish, tmp_path: Path, tag: str | None, rules: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    """A tag at HEAD is taken, or named with what would take it."""
    publish.git("init", "-q", ".", cwd=tmp_path)
    publish.git("commit", "-q", "--allow-empty", "-m", "a", cwd=tmp_path)
    if tag:
        publish.git("tag", tag, cwd=tmp_path)
    options = [word for rule in rules for word in ("--rule", rule)]
    plan = publish("plan", "--offline", "--image", "me/app", *options, cwd=tmp_path)
    assert plan.code == code, plan
    text = " ".join(plan.stdout.split())
    assert [word for word in words if word not in text] == []


def test_a_version_option_names_the_rule_that_takes_it(publish: Publish, tmp_path: Path) -> None:
    """A calendar version beside semver rules is refused with the rule for it."""
    plan = publish("plan", "--offline", "--image", "me/app", "--version", "2026.02.0", cwd=tmp_path)
    assert plan.code == 2
    assert "type=pep440,pattern={{version}}" in plan.stderr


def test_retag_reads_tags_by_the_configured_rules(project: Project, tmp_path: Path) -> None:
    """Two numbers are a version's own where the repository's rules say so."""
    rule = r"type=match,pattern=v(\d+\.\d+(?:\.\d+)?),group=1"
    for ref in ("v0.29", "v0.30"):
        assert project.release(ref, rule).code == 0
    (tmp_path / "publish.toml").write_text(f"images = ['me/app']\n[tags]\nrules = ['{rule}']\n")
    assert project.run("retag", "me/app:0.29", "me/app:0.30").code == 4
    assert project.run("retag", "me/app:0.29", ":latest").code == 4
    assert (project.held("0.30"), project.held("latest")) == ("v0.30", "v0.30")

"""A release engineer comes from docker's actions with three images in one repository: each step as CI would run it.

The repository is real, the registry wants a password, the environment is that of GitHub's runner.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.base_image import WITHOUT_INDEX
from tests.support.github import Runner
from tests.support.layout import make_layout
from tests.support.registry import SECRET, USER

if TYPE_CHECKING:
    from tests.support.command import Publish
    from tests.support.github import StepResult
    from tests.support.registry import RegistryProcess

ACTION = Path(__file__).parents[2] / ".github" / "actions" / "publish"
RULES = ["type=semver,pattern={{version}}", "type=semver,pattern={{major}}.{{minor}}", "type=ref,event=pr", "type=sha"]
OWN = {"number": 7, "pull_request": {"head": {"repo": {"full_name": "me/app"}}}}
FORK = {"number": 7, "pull_request": {"head": {"repo": {"full_name": "stranger/app"}}}}
PULL = {"event_name": "pull_request", "ref": "refs/pull/7/merge"}


class Monorepo:
    """Three images, two of them with a prefix of their own, and the steps that are run in it."""

    def __init__(
        self, folder: Path, publish: Publish, registry: RegistryProcess, name: str, installed: dict[str, StepResult]
    ) -> None:
        self._folder, self._publish, self.registry, self._installed = folder, publish, registry, installed
        self.workspace = Runner(folder, {}, {}).workspace
        self.images = {image: f"{registry.host}/{name}/{image}" for image in ("api", "web", "tools")}
        for image in self.images:
            make_layout(self.workspace / image, image)
        self.write_configuration()
        self._git("init", "--quiet", "--initial-branch=main")
        self.commit = self.new_commit()

    def write_configuration(self, rules: list[str] | None = None) -> None:
        """The images, their sources and prefixes."""
        prefixes = {"api": "api/", "web": "web/", "tools": ""}
        tables = [
            f'[images.{image}]\nrepositories = ["{repository}"]\nsource = "oci:{image}"\n'
            f'version-prefix = "{prefixes[image]}"\n'
            for image, repository in self.images.items()
        ]
        text = f"[tags]\nrules = {json.dumps(rules or RULES, indent=2)}\n" + "".join(tables)
        (self.workspace / "publish.toml").write_text(text)

    def new_commit(self) -> str:
        """Commit all that is there."""
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message=change")
        return self._git("rev-parse", "HEAD")

    def _git(self, *arguments: str) -> str:
        who = {f"GIT_{role}_{what}": "me@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environ = {**self._publish.environ, **who}
        words = ["git", *arguments]
        done = subprocess.run(
            words, cwd=self.workspace, env=environ, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout.strip()

    def step(self, github: dict[str, Any], *, secret: str = SECRET, **inputs: str) -> StepResult:
        """Run the Action for an event, with the job's credentials but where a secret is "" as in a fork's."""
        on = Runner(self._folder, {**self._publish.environ, **WITHOUT_INDEX}, {"sha": self.commit, **github})
        on.installed = self._installed
        credentials = {"registry": self.registry.host, "username": USER if secret else "", "password": secret}
        return on.use(ACTION, {**credentials, **{key.replace("_", "-"): text for key, text in inputs.items()}})

    def writes(self) -> int:
        """How often the registry was asked to change something."""
        return sum(asked.method not in {"GET", "HEAD"} for asked in self.registry.requests())


@pytest.fixture
def monorepo(
    publish: Publish,
    private_registry: RegistryProcess,
    name: str,
    installed: dict[str, StepResult],
    tmp_path: Path,
) -> Monorepo:
    """One for each test."""
    return Monorepo(tmp_path, publish, private_registry, name, installed)


def moved(done: StepResult) -> list[str]:
    """Image and tag of what was written."""
    return [reference.rpartition("/")[2] for reference in done.outputs["moved"].splitlines()]


def shown(done: StepResult, level: str) -> str:
    """What is shown beside the run."""
    return "\n".join(text for name, text in done.commands if name == level)


def test_each_tag_releases_its_own_image(monorepo: Monorepo) -> None:
    """By the longest prefix; the others are left out and told, never pushed under the commit's name."""
    api = monorepo.step({"ref": "refs/tags/api/v1.0.0"})
    assert api.code == 0, api.raw
    assert moved(api) == ["api:1.0.0", "api:1.0", f"api:sha-{monorepo.commit[:7]}", "api:latest"]
    assert "left out: web, tools, since the git tag api/v1.0.0 is of api" in shown(api, "warning")
    assert "### release api 1.0.0 \\- done" in api.summary
    assert set(api.outputs["tag-names"].splitlines()) == {"1.0.0", "1.0", "latest", f"sha-{monorepo.commit[:7]}"}
    told = json.loads(api.outputs["images"])
    assert told.keys() == {"api"}
    assert (told["api"]["version"], told["api"]["digest"]) == ("1.0.0", api.outputs["digest"])
    assert told["api"]["imageid"] == api.outputs["imageid"] == api.document["image"]["config"]
    tools = monorepo.step({"ref": "refs/tags/v2.0.0"})
    assert (tools.code, moved(tools)[0]) == (0, "tools:2.0.0"), tools.raw
    assert json.loads(tools.outputs["images"]).keys() == {"tools"}
    nobodys = monorepo.step({"ref": "refs/tags/v3.0.0"}, only="api\nweb")
    assert nobodys.code == 4, nobodys.raw
    assert "tag v3.0.0 belongs to none of the images api, web" in shown(nobodys, "error")


def test_by_hand_several_are_released(monorepo: Monorepo) -> None:
    """`only` names them, one a line; each has its heading and its outputs."""
    both = monorepo.step({"event_name": "workflow_dispatch"}, only="api\nweb", version="1.1.0")
    assert both.code == 0, both.raw
    told = json.loads(both.outputs["images"])
    assert {name: entry["tag-names"][0] for name, entry in told.items()} == {"api": "1.1.0", "web": "1.1.0"}
    assert told["api"]["repositories"] == [monorepo.images["api"]]
    assert [line for line in both.summary.splitlines() if line.startswith("### ")] == [
        "### release api 1.1.0 \\- done", "### release web 1.1.0 \\- done",
    ]  # fmt: skip
    unknown = monorepo.step({"event_name": "workflow_dispatch"}, only="apy", version="1.1.0")
    assert unknown.code == 2, unknown.raw
    assert "it has api, web, tools" in unknown.log.lower()


def test_pull_requests(monorepo: Monorepo) -> None:
    """A stranger's and Dependabot's are planned without any credential, and green; an own one is pushed on demand."""
    before = monorepo.writes()
    for facts, secret in (({**PULL, "event": FORK}, ""), ({**PULL, "event": OWN, "actor": "dependabot[bot]"}, "")):
        planned = monorepo.step(facts, secret=secret, pull_request="push", only="api")
        assert planned.code == 0, planned.raw
        assert planned.outputs["tag-names"].splitlines() == ["pr-7", f"sha-{monorepo.commit[:7]}"]
        assert "this run has no credential, so it is planned without the registry" in shown(planned, "warning")
        assert shown(planned, "error") == ""
    planned = monorepo.step({**PULL, "event": OWN})
    assert planned.code == 0, planned.raw
    assert "'pull-request: push'" in shown(planned, "notice")
    assert planned.document["plans"].keys() == {"api", "web", "tools"}
    assert monorepo.writes() == before
    pushed = monorepo.step({**PULL, "event": OWN}, pull_request="push", only="api")
    assert pushed.code == 0, pushed.raw
    assert moved(pushed) == ["api:pr-7", f"api:sha-{monorepo.commit[:7]}"]
    signed = monorepo.step({**PULL, "event": OWN}, pull_request="push", only="api", sign="true")
    assert signed.code == 2, signed.raw
    assert "a pull request is never signed" in signed.log.lower()


@pytest.mark.parametrize(
    "facts",
    [
        {"event_name": "issue_comment", "event": {"issue": {"pull_request": {}}}},
        {"event_name": "merge_group", "ref": "refs/heads/gh-readonly-queue/main/pr-7-abc"},
        {"event_name": "push", "ref": "refs/heads/gh-readonly-queue/main/pr-7-abc"},
        {"event_name": "repository_dispatch"},
    ],
    ids=lambda facts: facts["event_name"],
)
def test_events_that_release_nothing(facts: dict[str, Any], monorepo: Monorepo) -> None:
    """Though a password is at hand it is not used: whoever made the event would choose what is pushed."""
    asked = len(monorepo.registry.requests())
    planned = monorepo.step(facts, only="web")
    assert planned.code == 0, planned.raw
    assert "so it is planned, without any credential" in shown(planned, "warning")
    assert planned.document["schema"] == "publish.plans/1"
    requests = monorepo.registry.requests()[asked:]
    # Whoever has signed in gets another answer. Beside the list the plan looks at the tags that it speaks of.
    assert {request.status for request in requests} == {401}
    assert {request.method for request in requests} <= {"GET", "HEAD"}


def test_what_is_checked_out_is_what_is_released(monorepo: Monorepo) -> None:
    """Another commit than the run's could be anybody's; what is in a registry already has no checkout."""
    first, monorepo.commit = monorepo.commit, "b" * 40
    other = monorepo.step({"ref": "refs/tags/api/v1.0.0"})
    assert other.code == 4, other.raw
    assert f"commit that is checked out is {first}, and this run is about {'b' * 40}" in shown(other, "error")
    # Nor is it built, with the job's secrets at hand: there is no engine here that would be asked.
    built = monorepo.step({"ref": "refs/tags/api/v1.0.0"}, only="api", context="api", secrets="npm=abcd")
    assert (built.code, "the commit that is checked out is" in shown(built, "error")) == (4, True), built.raw
    monorepo.commit = first
    assert monorepo.step({"ref": "refs/tags/api/v1.0.0"}).code == 0
    monorepo.commit = "b" * 40
    stored = f"docker://{monorepo.images['api']}:1.0.0"
    again = monorepo.step({"event_name": "workflow_dispatch"}, only="api", version="1.0.1", source=stored)
    assert again.code == 0, again.raw


def test_what_goes_wrong_is_said_beside_the_run(monorepo: Monorepo) -> None:
    """A secret that isn't there, one that isn't taken, and a rule: with the place, and what to do in a workflow."""
    tag = {"ref": "refs/tags/api/v1.0.0"}
    absent = monorepo.step(tag, secret="", username=USER)
    assert absent.code == 3, absent.raw
    assert "the input username is given and password is empty" in shown(absent, "error")
    wrong = monorepo.step(tag, secret="wr0ng-secret")
    assert wrong.code == 3, wrong.raw
    assert f"does not accept the user name and password of {USER}" in shown(wrong, "error")
    assert "the inputs registry: 127.0.0.1" in shown(wrong, "error")
    assert "wr0ng-secret" not in wrong.log
    monorepo.write_configuration([*RULES, "type=semvr"])
    monorepo.commit = monorepo.new_commit()
    bad = monorepo.step(tag)
    assert bad.code == 2, bad.raw
    assert "::error file=publish.toml,line=7::" in bad.raw
    assert "is no type of rule" in shown(bad, "error")

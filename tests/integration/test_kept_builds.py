"""The examples that keep docker's own build: a bake file, and machines of several platforms; publish does the rest."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from publisher.sandbox.server import Sandbox
from tests.integration.test_github_workflows import EXAMPLES, SECRETS
from tests.support.builds import CONTAINERD
from tests.support.engine import BUSYBOX
from tests.support.github import Runner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Publish, Result
    from tests.support.engine import EngineProcess
    from tests.support.github import StepResult

TOKEN = "canary-npm-token"
# Build contexts, a cache, a secret and the variables of docker/metadata-action, as bake files have them.
BAKE = """\
variable "DOCKER_METADATA_OUTPUT_VERSION" { default = "dev" }
variable "DOCKER_METADATA_OUTPUT_TAGS" { default = "" }
target "common" {
  dockerfile = "../Dockerfile"
  contexts   = { base = "./base" }
  secret     = ["id=npm,env=NPM_TOKEN"]
  cache-from = ["type=local,src=build cache"]
  cache-to   = ["type=local,dest=build cache"]
  args       = { TAGS = DOCKER_METADATA_OUTPUT_TAGS }
  labels     = { "org.opencontainers.image.version" = DOCKER_METADATA_OUTPUT_VERSION }
}
target "api" {
  inherits = ["common"]
  context  = "api"
}
target "web" {
  inherits = ["common"]
  context  = "web"
}
"""
DOCKERFILE = """\
FROM scratch
COPY --from=base busybox /bin/busybox
ARG TAGS
ENV TAGS=$TAGS
RUN --mount=type=secret,id=npm ["/bin/busybox", "sh", "-c", "/bin/busybox wc -c < /run/secrets/npm > /length"]
COPY content /content
CMD ["/bin/busybox", "cat", "/content", "/length"]
"""


class Job:
    """A tag's run on a machine with buildx, released to a sandbox."""

    def __init__(self, publish: Publish, runner: Runner, sandbox: Sandbox) -> None:
        self.publish, self.runner = publish, runner
        runner.environ["PUBLISH_SANDBOX"] = sandbox.url
        self._environ = {"PUBLISH_SANDBOX": sandbox.url}
        self.registry = sandbox.url.removeprefix("http://")

    def run(self, workflow: str, name: str, matrix: dict[str, Any] | None = None) -> StepResult:
        """One job, or one combination of its matrix; it must end well."""
        done = self.runner.job(EXAMPLES / workflow, name, matrix=matrix)
        assert done is not None
        assert done.code == 0, done.raw
        return done

    def ask(self, *words: str) -> Result:
        return self.publish(*words, environ=self._environ)


@pytest.fixture
def job(publish_with_engine: Publish, installed: dict[str, StepResult], tmp_path: Path) -> Iterator[Job]:
    facts = {"event_name": "push", "ref": "refs/tags/v1.2.3", "repository": "me/app"}
    runner = Runner(tmp_path / "runner", publish_with_engine.environ, facts, {**SECRETS, "NPM_TOKEN": TOKEN})
    runner.installed = installed
    with Sandbox() as sandbox:
        yield Job(publish_with_engine, runner, sandbox)


@CONTAINERD
def test_a_bake_file(job: Job, engine: EngineProcess) -> None:
    """Each image of the matrix is planned, baked with what the plan says, and released; the secret is nowhere."""
    root = job.runner.workspace
    (root / "base").mkdir()
    shutil.copy(BUSYBOX, root / "base")
    (root / "docker-bake.hcl").write_text(BAKE)
    (root / "Dockerfile").write_text(DOCKERFILE)
    for image in ("api", "web"):
        (root / image).mkdir()
        (root / image / "content").write_text(f"{image}\n")
        done = job.run("bake.yml", "release", {"image": image})
        assert TOKEN not in done.raw
        assert f"me/app-{image}:latest" in done.summary
        printed = engine.docker("run", "--rm", f"{job.registry}/me/app-{image}:1.2.3")
        assert printed == f"{image}\n{len(TOKEN)}"
    shown = engine.docker("image", "inspect", "-f", "{{json .Config}}", f"{job.registry}/me/app-api:1.2.3")
    config = json.loads(shown)
    assert config["Labels"]["org.opencontainers.image.version"] == "1.2.3"
    assert config["Env"][-1].startswith("TAGS=me/app-api:1.2.3\n")
    assert (root / "build cache" / "index.json").exists()


@CONTAINERD
def test_a_machine_for_each_platform(job: Job) -> None:
    """Both halves become one index, under the tags of the version."""
    (job.runner.workspace / "Dockerfile").write_text("FROM scratch\nCOPY content /content\n")
    (job.runner.workspace / "content").write_text("one\n")
    for arch, machine in (("amd64", "ubuntu-24.04"), ("arm64", "ubuntu-24.04-arm")):
        job.run("machines.yml", "build", {"arch": arch, "machine": machine})
        (job.runner.workspace / f"{arch}.tar").unlink()
    done = job.run("machines.yml", "release")
    assert "me/app:1.2" in done.summary
    told = job.ask("verify", "me/app:1.2.3", "me/app:latest", "--format", "json").document["results"]
    assert [one["platforms"] for one in told] == [["linux/amd64", "linux/arm64"]] * 2


@pytest.mark.parametrize("workflow", ["bake.yml", "machines.yml"])
def test_the_page_shows_the_workflow(workflow: str) -> None:
    """The steps in docs/migration.md are those that are run here."""
    text = (EXAMPLES / workflow).read_text()
    page = (EXAMPLES.parents[1] / "docs" / "migration.md").read_text()
    section = page[page.index(f"[{workflow}]") :]
    shown = re.search(r"```yaml\n(.*?)```", section, re.DOTALL)
    assert shown
    assert shown[1] in text

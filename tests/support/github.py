"""GitHub's runner, as far as composite actions and the jobs of our workflows need it, by its documented rules.

Sources: docs.github.com, "Metadata syntax for GitHub Actions", "Workflow commands for GitHub Actions", "Contexts";
actions/runner, FileCommandManager and ActionCommandManager. What it doesn't know is an error, never passed over.
"""

from __future__ import annotations

import fnmatch
import itertools
import json
import re
import shlex
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from tests.support.expressions import Context, evaluate, fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_FILES = ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE", "GITHUB_STEP_SUMMARY")
_COMMAND = re.compile(r"^\s*::([A-Za-z-]+)(?: ([^:]*))?::(.*)$|^.*##\[([A-Za-z-]+)[^]]*\](.*)$")
_SHOWN = {"error": "Error: ", "warning": "Warning: ", "notice": "Notice: ", "group": "> "}
"""What a reader of the log sees of a command."""
_OURS = Path(__file__).parents[2]
_SET_UP = re.compile(r"(?:https://[\w.]+/)?(actions/(checkout|setup-python)|docker/setup-buildx-action)@[0-9a-f]{40}")
_ARTIFACT = re.compile(r"actions/(upload|download)-artifact@[0-9a-f]{40}")


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML 1.2 file, as GitHub reads it."""
    document = YAML(typ="safe", pure=True).load(path.read_text())
    assert isinstance(document, dict)
    return document


def read_file_command(text: str) -> dict[str, str]:
    """Parse GITHUB_OUTPUT or GITHUB_ENV as the runner does: `k=v`, or `k<<D`, lines, `D`; the last of a key counts."""
    values: dict[str, str] = {}
    lines = re.split(r"\r?\n", text)
    while lines:
        line = lines.pop(0)
        equals, heredoc = line.find("="), line.find("<<")
        if not line:
            continue
        if equals >= 0 and (heredoc < 0 or equals < heredoc):
            assert equals > 0, f"no name: {line}"
            values[line[:equals]] = line[equals + 1 :]
            continue
        assert heredoc > 0, f"invalid format: {line}"
        name, delimiter = line[:heredoc], line[heredoc + 2 :]
        assert delimiter in lines, f"matching delimiter not found: {delimiter}"
        end = lines.index(delimiter)
        values[name] = "\n".join(lines[:end])
        del lines[: end + 1]
    return values


@dataclass
class StepResult:
    """How a step or an action ended. log: with the masked texts blanked, workflow commands taken out."""

    code: int
    outputs: dict[str, str]
    log: str = ""
    raw: str = ""
    commands: list[tuple[str, str]] = field(default_factory=list)
    summary: str = ""
    env: dict[str, str] = field(default_factory=dict)
    path: list[str] = field(default_factory=list)

    @property
    def document(self) -> dict[str, Any]:
        """The output `json`."""
        decoded = json.loads(self.outputs["json"])
        assert isinstance(decoded, dict)
        return decoded


class Runner:
    """One job on a runner. environ: the machine's own variables. github: the context `github` beside the fixed parts.

    Folders have a space in their names. `masks` are the texts that the log doesn't show. `installed` are an action's
    steps, by id, that were done before on this machine. `cancels` waits until somebody cancels the job.
    """

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        github: Mapping[str, Any],
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.workspace, self.temp, self.tools = folder / "work space", folder / "runner temp", folder / "tool cache"
        for directory in (self.workspace, self.temp, self.tools):
            directory.mkdir(parents=True, exist_ok=True)
        self.secrets = dict(secrets or {})
        self.masks = {secret for secret in self.secrets.values() if secret}
        event = folder / "event.json"
        event.write_text(json.dumps(github.get("event", {})))
        self.github: dict[str, Any] = {
            "repository": "me/app", "event_name": "push", "ref": "refs/heads/main", "sha": "a" * 40, "event": {},
            "event_path": str(event), "workspace": str(self.workspace), "server_url": "https://github.com", **github,
        }  # fmt: skip
        self.environ = {**environ, "CI": "true", "GITHUB_ACTIONS": "true", **self._variables()}
        self.installed: Mapping[str, StepResult] = {}
        self.artifacts: dict[str, dict[str, bytes]] = {}
        self.cancels: Callable[[], None] | None = None
        self._count = 0

    def _variables(self) -> dict[str, str]:
        variables = {
            f"GITHUB_{name.upper()}": str(value) for name, value in self.github.items() if isinstance(value, str)
        }
        return {**variables, "RUNNER_TEMP": str(self.temp), "RUNNER_TOOL_CACHE": str(self.tools), "RUNNER_OS": "Linux"}

    def context(self, **more: Any) -> Context:
        """What expressions may name."""
        return {"github": self.github, "secrets": self.secrets, "runner": {"temp": str(self.temp)}, **more}

    # Actions.

    def use(self, action: Path, values: Mapping[str, str], *, env: Mapping[str, str] | None = None) -> StepResult:
        """Run a composite action.

        With `installed` the steps that were done before aren't done again, nor what has no id: that cleans up.
        """
        text = read_yaml(action / "action.yml")
        assert text["runs"]["using"] == "composite"
        declared = text.get("inputs", {})
        assert values.keys() <= declared.keys(), f"unexpected inputs {values.keys() - declared.keys()}"
        inputs = {name: values.get(name, str(spec.get("default", ""))) for name, spec in declared.items()}
        job = Steps(self, {**(env or {}), "GITHUB_ACTION_PATH": str(action)}, {"inputs": inputs})
        job.done |= self.installed
        for step in text["runs"]["steps"]:
            assert "shell" in step, "every run step of a composite action names its shell"
            if not self.installed or step.get("id", next(iter(self.installed))) not in self.installed:
                job.run(step)
        context = self.context(inputs=inputs, steps=job.context())
        outputs = {name: fill(spec["value"], context) for name, spec in text.get("outputs", {}).items()}
        return job.ended(outputs)

    def carry(self, direction: str, values: Mapping[str, str]) -> StepResult:
        """Keep a file as an artifact of the run, or bring back those that match, as GitHub's two actions do."""
        if direction == "upload":
            assert values.keys() == {"name", "path", "retention-days"}, values
            file = self.workspace / values["path"]
            self.artifacts[values["name"]] = {file.name: file.read_bytes()}
            return StepResult(0, {})
        assert values == {"pattern": values["pattern"], "merge-multiple": "true"}, values
        for name in fnmatch.filter(self.artifacts, values["pattern"]):
            for file_name, content in self.artifacts[name].items():
                (self.workspace / file_name).write_bytes(content)
        return StepResult(0, {})

    # Workflows.

    def job(
        self,
        workflow: Path,
        name: str,
        inputs: Mapping[str, str] | None = None,
        matrix: Mapping[str, str] | None = None,
    ) -> StepResult | None:
        """Run a job of a workflow; None where its `if` says no. Checkout and set-up have been done by the caller.

        matrix: one combination of the job's own.
        """
        text = read_yaml(workflow)
        spec = text["jobs"][name]
        assert (matrix or {}) in _combinations(spec.get("strategy", {}).get("matrix", {}))
        more = {"inputs": dict(inputs or {}), "matrix": dict(matrix or {})}
        context = self.context(**more)
        if "if" in spec and not evaluate(str(spec["if"]), context):
            return None
        env = {key: fill(str(value), context) for key, value in {**text.get("env", {}), **spec.get("env", {})}.items()}
        job = Steps(self, env, more)
        for step in spec["steps"]:
            if not _SET_UP.fullmatch(step.get("uses", "")):
                job.run({"shell": "bash", **step} if "run" in step else step)
        return job.ended({})

    # Steps.

    def shell(self, step: Mapping[str, Any], env: Mapping[str, str], context: Context) -> StepResult:
        """Run a `run:` step in a process of its own, with files of its own for what it says to the runner."""
        self._count += 1
        files = self.temp / "_runner_file_commands"
        files.mkdir(exist_ok=True)
        paths = {name: files / f"{name.lower()}_{self._count}" for name in _FILES}
        for path in paths.values():
            path.touch()
        script = self.temp / f"{self._count}.sh"
        script.write_text(fill(step["run"], context))
        own = {key: fill(str(value), context) for key, value in step.get("env", {}).items()}
        assert step["shell"] == "bash", step["shell"]
        words = [*shlex.split("bash --noprofile --norc -e -o pipefail"), str(script)]
        where = self.workspace / fill(step.get("working-directory", "."), context)
        variables = {name: str(path) for name, path in paths.items()}
        process = subprocess.Popen(
            words, env={**self.environ, **env, **own, **variables}, cwd=where, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        if self.cancels:
            # To the step's process alone, not to what it has started.
            self.cancels()
            process.send_signal(signal.SIGINT)
            self.cancels = None
        output, errors = process.communicate(timeout=180)
        file_texts = {name: paths[name].read_bytes().decode() for name in _FILES}
        ended = self._read(process.returncode, (output + errors).decode(), file_texts)
        for path in (*paths.values(), script):
            path.unlink()
        files.rmdir()
        return ended

    def _read(self, code: int, raw: str, file_texts: Mapping[str, str]) -> StepResult:
        log, commands = [], []
        for line in re.split(r"\r\n|\r|\n", raw):
            if match := _COMMAND.match(line):
                commands.append((match[1] or match[4], _unescape(match[3] or match[5] or "")))
                if match[1] == "add-mask":
                    value = commands[-1][1]
                    self.masks |= {part for part in (value, *re.split(r"[\r\n]+", value)) if part}
                elif shown := _SHOWN.get(commands[-1][0]):
                    log.append(self._blank(f"{shown}{commands[-1][1]}"))
            else:
                log.append(self._blank(line))
        env, path = (
            read_file_command(file_texts["GITHUB_ENV"]),
            [line for line in file_texts["GITHUB_PATH"].split("\n") if line],
        )
        outputs = read_file_command(file_texts["GITHUB_OUTPUT"])
        return StepResult(code, outputs, "\n".join(log), raw, commands, file_texts["GITHUB_STEP_SUMMARY"], env, path)

    def _blank(self, line: str) -> str:
        for mask in sorted(self.masks, key=len, reverse=True):
            line = line.replace(mask, "***")
        return line


def _unescape(text: str) -> str:
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


class Steps:
    """The steps of one job or action: a failed one stops all but those that run always."""

    def __init__(self, runner: Runner, env: Mapping[str, str], context: Context) -> None:
        self._runner, self._env, self._context = runner, dict(env), context
        self.done: dict[str, StepResult] = {}
        self.all: list[StepResult] = []

    def context(self) -> dict[str, Any]:
        """`steps`, as expressions see it."""
        return {name: {"outputs": ended.outputs, "outcome": _word(ended)} for name, ended in self.done.items()}

    @property
    def failed(self) -> bool:
        """Whether the job has failed so far."""
        return any(ended.code for ended in self.all)

    def run(self, step: Mapping[str, Any]) -> None:
        """Run one step, if it is its turn."""
        context = self._runner.context(**self._context, steps=self.context(), env=self._env, failed=self.failed)
        condition = str(step.get("if", "success()"))
        status = re.search(r"\b(always|failure|success|cancelled)\(", condition)
        if not evaluate(
            condition if status else f"success() && ({condition.removeprefix('${{').removesuffix('}}')})", context
        ):
            return
        if "uses" in step:
            inputs = {key: fill(_text(value), context) for key, value in step.get("with", {}).items()}
            if artifact := _ARTIFACT.fullmatch(step["uses"]):
                ended = self._runner.carry(artifact[1], inputs)
            else:
                ended = self._runner.use(_action(step["uses"]), inputs, env=self._env)
        else:
            ended = self._runner.shell(step, self._env, context)
        self.all.append(ended)
        self._env |= ended.env
        if "id" in step:
            self.done[step["id"]] = ended

    def ended(self, outputs: dict[str, str]) -> StepResult:
        """How they ended together."""
        results = self.all
        return StepResult(
            next((result.code for result in results if result.code), 0), outputs,
            _joined(result.log for result in results), _joined(result.raw for result in results),
            [pair for result in results for pair in result.commands], "".join(result.summary for result in results),
            dict(pair for result in results for pair in result.env.items()),
            [line for result in results for line in result.path],
        )  # fmt: skip


def _combinations(matrix: Mapping[str, Any]) -> list[dict[str, str]]:
    """What a job's matrix stands for: each value with each, or what `include` lists; once without any."""
    assert "include" not in matrix or len(matrix) == 1, "both in one matrix"
    axes = [[(name, value) for value in values] for name, values in matrix.items() if name != "include"]
    crossed = [dict(pairs) for pairs in itertools.product(*axes)] if axes or not matrix else []
    return crossed or matrix["include"]


def _action(uses: str) -> Path:
    """Where an action of this project lives: in the same repository, or pinned from another one.

    Forgejo's are named by whole addresses.
    """
    path = re.fullmatch(r"\$/(\.github/\S+)|(?:https://[\w.]+/)?OWNER/publish/(\.github/\S+)@[0-9a-f]{40}", uses)
    assert path, f"not an action of ours: {uses}"
    return _OURS / (path[1] or path[2])


def _text(value: object) -> str:
    """An input is text; YAML's booleans are written as in JavaScript."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _word(ended: StepResult) -> str:
    return "failure" if ended.code else "success"


def _joined(texts: Iterable[str]) -> str:
    return "\n".join(texts)

"""The Action's inputs, read and handed on to publish."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from publisher.cli.program import program
from publisher.facts.trust import Trust
from publisher.model.build_values import BuildSecret

if TYPE_CHECKING:
    from types import ModuleType

RUN = Path(__file__).parents[2] / ".github" / "actions" / "publish" / "run.py"


@pytest.fixture(scope="module")
def action() -> ModuleType:
    """The step's program, as a module."""
    spec = importlib.util.spec_from_file_location("action_run", RUN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("npm=a", {"npm": "a"}),
        ('npm=a=b,c\n\npip="d" e', {"npm": "a=b,c", "pip": '"d" e'}),
        ('"key=-----BEGIN\nx\n-----END"\nnpm=a', {"key": "-----BEGIN\nx\n-----END", "npm": "a"}),
        ('"key=a ""b"""', {"key": 'a "b"'}),
        ("a=x\u2028y", {"a": "x\u2028y"}),
    ],
)
def test_values_are_read_as_dockers_action_does(
    text: str, values: dict[str, str], action: ModuleType, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any
) -> None:
    """Each is masked, line by line too, before anything else is done."""
    monkeypatch.setenv("INPUT_SECRETS", text)
    assert action.build_secrets(action.Inputs()) == values
    masks = capfdbinary.readouterr().out.decode()
    for value in values.values():
        for line in value.split("\n"):
            assert len(line) < 4 or f"::add-mask::{line}\n" in masks or f"::add-mask::{value}\n" in masks


def test_values_are_handed_on_in_files_of_this_user_alone(
    action: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the step's own folder, which goes with it; paths are written as buildx reads them, whatever is in them."""
    (tmp_path / "temp").mkdir()
    for name, text in {
        "INSTALLED": str(tmp_path),
        "INPUT_SECRET_FILES": "pip=a, b",
        "INPUT_SECRET_ENVS": "x=Y",
    }.items():
        monkeypatch.setenv(name, text)
    words = action.secret_words(action.Inputs(), Trust(may_release=True), {"npm": "a secret\n", "key": "b"})
    secrets = [BuildSecret.parse(word.removeprefix("--secret=")) for word in words]
    files = [Path(secret.file) for secret in secrets[:2]]
    assert [secret.id for secret in secrets] == ["npm", "key", "x", "pip"]
    assert [(file.read_text(), file.stat().st_mode & 0o777) for file in files] == [("a secret\n", 0o600), ("b", 0o600)]
    assert files[0].parent.stat().st_mode & 0o777 == 0o700
    assert secrets[2:] == [BuildSecret("x", variable="Y"), BuildSecret("pip", file="a, b")]


def test_a_secret_that_a_fork_lacks_is_left_out(
    action: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rehearsal shows whether the build needs it; a release is refused."""
    (tmp_path / "temp").mkdir()
    monkeypatch.setenv("INSTALLED", str(tmp_path))
    assert action.secret_words(action.Inputs(), Trust(), {"npm": ""}) == []
    assert "::warning::the secret npm of the input secrets is empty" in capsys.readouterr().err
    with pytest.raises(action.Refusal, match="the secret npm of the input secrets is empty"):
        action.secret_words(action.Inputs(), Trust(may_release=True), {"npm": ""})


@pytest.mark.parametrize("command", ["release", "retag", "verify", "yank", "reconcile"])
def test_the_time_is_an_option_of_the_command(
    command: str, action: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes by the option's variable."""
    monkeypatch.setenv("INPUT_COMMAND", command)
    monkeypatch.setenv("INPUT_TIMEOUT", "90")
    inputs = action.Inputs()
    inputs.check()
    environ = action.environment(inputs, Trust(may_release=True, may_sign_in=True))
    cli = program.get_command(click.Context(program), command)
    assert cli is not None
    option = next(parameter for parameter in cli.params if parameter.name == "timeout")
    assert environ[str(option.envvar)] == "90"


@pytest.mark.parametrize("command", ["release", "plan", "retag", "verify", "yank", "reconcile", "status"])
def test_every_input_is_an_option(command: str, action: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the step would call: each word that is an option is one of the command's."""
    monkeypatch.setenv("INPUT_COMMAND", command)
    for name in action.TAKES[command] - action.OF_BUILDS - action.OF_BUILDERS | {"PLATFORMS"}:
        monkeypatch.setenv(f"INPUT_{name}", {"TIMEOUT": "9"}.get(name, "x"))
    monkeypatch.setenv("INPUT_PULL_REQUEST", "push")
    inputs = action.Inputs()
    inputs.switches = {"DRY_RUN": True, "SMOKE": False, "SIGN": True, "SANDBOX": False}
    words = action.arguments(command, inputs, ["x"])
    cli = program.get_command(click.Context(program), command)
    assert cli is not None
    known = {option for parameter in cli.params for option in parameter.opts}
    used = {word.partition("=")[0] for word in words[words.index(command) :] if word.startswith("--") and word != "--"}
    assert used
    assert used <= known

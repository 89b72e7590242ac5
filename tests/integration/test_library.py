"""The library: the commands as functions of strings, and a session for the steps between them."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

import publisher
from publisher import PlanOptions, PublishError, ReleaseOptions, RetagOptions, Sandbox, Session
from publisher.model.codec import decode
from publisher.model.errors import Incomplete
from tests.support.console import blocks
from tests.support.layout import make_layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.command import Publish

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "library.md"
APP = "docker.io/me/app"
FUNCTIONS = ("plan", "release", "retag", "status", "verify")
# What has no meaning in a program: how it is printed, and questions; `plan` is the dry run of a release, and
# `limit=None` is `--all`.
COMMAND_LINE_ONLY = {
    "plan": {"format", "output"},
    "release": {"format", "yes", "dry_run", "jobs"},
    "retag": {"format"},
    "status": {"format", "all"},
    "verify": {"format"},
}
PLURAL = {"image", "rule", "label", "platform"}


@pytest.fixture
def world(publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process, in a folder and an environment of its own, without an engine; an image in the folder `image`."""
    for name in set(os.environ) - set(publish.environ):
        monkeypatch.delenv(name)
    for name, value in publish.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    make_layout(tmp_path / "image", "1.0.0")
    return tmp_path


@pytest.fixture
def sandbox(world: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """One that the functions of this process find."""
    with Sandbox() as running:
        monkeypatch.setenv("PUBLISH_SANDBOX", running.url)
        yield running


def states(receipt: publisher.Receipt) -> dict[str, str]:
    """Each tag's state."""
    return {str(change.reference): change.state.value for change in receipt.moves}


# The page.


def test_the_page(publish: Publish, tmp_path: Path) -> None:
    """Its examples, one after another in one program, print what the page shows."""
    script = "\n".join(block.text for block in blocks(PAGE, "python"))
    done = subprocess.run(
        [sys.executable, "-c", script], env=publish.environ, cwd=tmp_path, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "".join(block.text for block in blocks(PAGE, "text"))


def test_the_page_fits_on_a_screen() -> None:
    """All examples, with what they print, are at most 45 lines."""
    assert sum(block.text.count("\n") for block in blocks(PAGE, "python", "text")) <= 45


def test_the_page_lists_every_name() -> None:
    """`publisher.__all__`, its stub and the page's table have the same names; each says what it is."""
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    stub = (ROOT / "publisher" / "__init__.pyi").read_text()
    public = set(publisher.__all__) - {"__version__"}
    assert documented == public
    assert set(re.findall(r" as (\w+)$", stub, re.MULTILINE)) == public
    for name in public:
        assert getattr(publisher, name).__doc__, name
    with pytest.raises(AttributeError):
        publisher.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_the_stub_names_where_each_name_lives() -> None:
    """A type checker and the interpreter take each name from the same module."""
    stub = (ROOT / "publisher" / "__init__.pyi").read_text()
    for module, name, public in re.findall(r"^from (\S+) import (\w+) as (\w+)$", stub, re.MULTILINE):
        assert getattr(import_module(module), name) is getattr(publisher, public), public


def test_an_import_brings_nothing_else() -> None:
    """`import publisher` imports no other module of the package, nor what those need."""
    script = (
        "import sys; import publisher\n"
        "sys.exit(repr([name for name in sys.modules if name.startswith(('publisher.', 'msgspec', 'click'))] or 0))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "0"


# The options are the command line's.


def _options_of(command: str) -> set[str]:
    """The long names of a command's options, as keywords; the global `--config` is among them."""
    parameters = import_module(f"publisher.cli.{command}").command.params
    longest = [max(one.opts, key=len).lstrip("-") for one in parameters if isinstance(one, click.Option)]
    keywords = {f"{name}s" if name in PLURAL else name.replace("-", "_") for name in longest}
    return {"config", *("password" if name == "password_stdin" else name for name in keywords)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_options_are_the_command_lines(name: str) -> None:
    """Each function takes each option of its command by the long name, and no other."""
    parameters = inspect.signature(getattr(publisher, name)).parameters.values()
    keywords = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    assert keywords == _options_of(name) - COMMAND_LINE_ONLY[name]


# What the functions do.


def test_a_release(sandbox: Sandbox) -> None:
    """The receipt says where the tags are; again it is adopted."""
    receipt = publisher.release("oci:image", images=["me/app"], version="1.0.0")
    assert states(receipt) == {f"{APP}:{tag}": "done" for tag in ("1.0.0", "1.0", "1", "latest")}
    assert publisher.release("oci:image", images="me/app", version="1.0.0").adopted


def test_a_plan_writes_nothing(sandbox: Sandbox) -> None:
    """What a release would do, and then there is still no tag."""
    plan = publisher.plan("oci:image", images="me/app", version="1.0.0", rules="type=semver,pattern={{version}}")
    assert [(str(move.reference), move.action.value) for move in plan.moves] == [
        (f"{APP}:1.0.0", "create"),
        (f"{APP}:latest", "create"),
    ]
    assert publisher.verify("me/app:1.0.0").results[0].state.value == "missing"


def test_a_saved_plan_is_held(sandbox: Sandbox, world: Path) -> None:
    """With `plan` the release does what was saved, or is refused where the registry has moved on."""
    (world / "plan.json").write_bytes(publisher.encode(publisher.plan("oci:image", images="me/app", version="1.0.0")))
    publisher.release("oci:image", images="me/app", version="1.1.0")
    with pytest.raises(PublishError, match="the plan is out of date"):
        publisher.release("oci:image", plan="plan.json")


def test_a_retag(sandbox: Sandbox) -> None:
    """Targets are tags beside the source, or whole references; a dry run writes none."""
    publisher.release("oci:image", images="me/app", version="1.0.0")
    assert states(publisher.retag("me/app:1.0.0", "stable", dry_run=True)) == {f"{APP}:stable": "not-done"}
    receipt = publisher.retag("me/app:1.0.0", "stable", ":beta", "me/other:1.0.0")
    assert states(receipt) == dict.fromkeys((f"{APP}:stable", f"{APP}:beta", "docker.io/me/other:1.0.0"), "done")


def test_verdicts_and_status(sandbox: Sandbox) -> None:
    """What is wrong stands in the documents; nothing is raised."""
    publisher.release("oci:image", images="me/app", version="1.0.0")
    make_layout(Path("other"), "another")
    publisher.release("oci:other", images="me/app", version="1.1.0")
    publisher.retag("me/app:1.0.0", "latest", force=True)
    assert publisher.status(images="me/app").drifted == (f"{APP}:latest",)
    verdicts = publisher.verify("me/app:1.1.0", "me/app:2", source="oci:image").results
    assert [verdict.state.value for verdict in verdicts] == ["different", "missing"]


def test_a_release_that_stops_between_tags(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It raises Incomplete, and the receipt is in the file."""
    with Sandbox(faults=["PUT /manifests/latest every 403"]) as running:
        monkeypatch.setenv("PUBLISH_SANDBOX", running.url)
        with pytest.raises(Incomplete, match="some tags were moved and not all"):
            publisher.release("oci:image", images="me/app", version="1.0.0", receipt="receipt.json")
    written = decode((world / "receipt.json").read_bytes(), publisher.Receipt)
    assert (written.outcome.value, states(written)[f"{APP}:latest"]) == ("incomplete", "not-done")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: publisher.release(images="me/app", via="docker"), "via='docker' is not known"),  # type: ignore[arg-type]
        (lambda: publisher.release(images="me/app", verify="some"), "verify='some' is not known"),  # type: ignore[arg-type]
        (lambda: publisher.verify("me/app:1", verify="dep"), "verify='dep' is not known"),  # type: ignore[arg-type]
        (lambda: publisher.release(images="me/app", compression="xz"), "compression 'xz' is not known"),
        (lambda: publisher.retag("me/app:1.0.0"), "no tag is named to write"),
        (lambda: publisher.retag("me/app:1.0.0", "me/app"), "'me/app' is not a tag to write"),
        (publisher.status, "no image is named"),
        (lambda: publisher.release("oci:image", version="1.0.0"), "no image is named"),
        (lambda: publisher.status(images="me/app", username="me"), "username and password go together"),
    ],
)
def test_a_call_that_makes_no_sense(sandbox: Sandbox, call: Callable[[], Any], message: str) -> None:
    """It is refused in a sentence before anything is asked of a registry."""
    with pytest.raises(PublishError, match=re.escape(message)):
        call()


def test_one_of_several_images(sandbox: Sandbox, world: Path) -> None:
    """A function is about one image; with several tables `only` says which."""
    (world / "publish.toml").write_text(
        '[images.app]\nrepositories = ["me/app"]\n[images.web]\nrepositories = ["me/web"]\n'
    )
    with pytest.raises(PublishError, match="there are several images: app, web"):
        publisher.release("oci:image", version="1.0.0")
    assert f"{APP}:1.0.0" in states(publisher.release("oci:image", version="1.0.0", only="app"))


def test_a_git_tag_says_which_image(sandbox: Sandbox, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on the command line: the image whose prefix takes it, and never another one."""
    tables = (f'[images.{name}]\nrepositories = ["me/{name}"]\nversion-prefix = "{name}/"\n' for name in ("app", "web"))
    (world / "publish.toml").write_text("".join(tables))
    for name, value in {"GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/tags/app/v1.0.0"}.items():
        monkeypatch.setenv(name, value)
    assert f"{APP}:1.0.0" in states(publisher.release("oci:image"))
    with pytest.raises(PublishError, match="belongs to none of the images web"):
        publisher.release("oci:image", only="web")


def test_a_pull_request_releases_nothing(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on the command line; in a sandbox it is a rehearsal, and goes on."""
    variables = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": "refs/pull/7/merge"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PublishError, match="a pull request releases nothing"):
        publisher.release("oci:image", images="me/app", version="1.0.0")
    with Sandbox() as running:
        monkeypatch.setenv("PUBLISH_SANDBOX", running.url)
        assert publisher.release("oci:image", images="me/app", version="1.0.0").outcome.value == "done"


# The session.


def test_a_session_has_the_steps_between(sandbox: Sandbox, world: Path) -> None:
    """Its environment and folder are its own; errors after the first tag come with the receipt."""
    options = PlanOptions(images=("me/app",), version="1.0.0")
    how = ReleaseOptions(verify="digest")
    environ = dict(os.environ)
    del os.environ["PUBLISH_SANDBOX"]
    with Session(environ, world) as session:
        [job] = session.jobs(options)
        assert session.plan(job, options, offline=True).moves
        run = session.release(session.prepare(job, options, ["oci:image"], how), how)
        assert (run.error, run.receipt.outcome.value) == (None, "done")
        session.retag("me/app:1.0.0", ["stable"], RetagOptions())
        assert session.verify(["me/app:stable"], verify="deep").results[0].state.value == "equal"
        assert session.status(options).drifted == ()
        assert session.reconcile(options).receipt.moves == ()


def test_a_plan_with_refusals_is_not_released(sandbox: Sandbox) -> None:
    """A draft says what is refused, and releasing it raises before anything is sent."""
    publisher.release("oci:image", images="me/app", version="1.0.0")
    make_layout(Path("other"), "another")
    options, how = PlanOptions(images=("me/app",), version="1.0.0"), ReleaseOptions()
    with Session() as session:
        [job] = session.jobs(options)
        draft = session.prepare(job, options, ["oci:other"], how)
        assert draft.plan.refusals
        with pytest.raises(PublishError, match="can't be released"):
            session.release(draft, how)


def test_a_sessions_warnings_are_without_its_secrets(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A password of the environment is taken out of what is told."""
    with Session({**os.environ, "PUBLISH_PASSWORD": "s3cret-word"}, world) as session:
        session.progress.warn("the registry said s3cret-word")
    assert "s3cret-word" not in capfd.readouterr().err

"""What a step of GitHub Actions is told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.model.errors import ConfigError
from publisher.model.plan import Action, Kind, Move, Plan, Plans
from publisher.model.receipt import Change, Outcome, Receipt, ReleasedImage, State, Verification
from publisher.report.github_files import OUTPUTS, encode_outputs, write_outputs, write_summary
from publisher.report.markdown import code, plain
from publisher.report.summary import plan_outputs, plan_summary, receipt_outputs, receipt_summary

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "sha256:" + "ab" * 32


def move(tag: str, kind: Kind, action: Action, version: str = "1.2.3", reason: str = "new") -> Move:
    """One line of a plan."""
    return Move(
        reference=f"docker.io/ann/app:{tag}", tag=tag, kind=kind, version=version, action=action,
        before=None, after=DIGEST, reason=reason,
    )  # fmt: skip


PLAN = Plan(
    version="1.2.3", release="1.2.3", revision="c" * 40, prerelease=False, images=("ann/app",),
    tags=("ann/app:1.2.3", "ann/app:1.2"), labels={"a": "b", "c": "d\ne"}, annotations={"a": "b"},
    moves=(
        move("1.2.3", Kind.EXACT, Action.CREATE), move("1.2", Kind.FLOATING, Action.MOVE, reason="<img src=x> | `x`"),
        move("latest", Kind.FLOATING, Action.KEEP, "2.0.0"),
    ),
    warnings=("look\nhere ::set-output",),
)  # fmt: skip
RECEIPT = Receipt(
    id="r1", command="release", tool="publish 1", started="2026-01-01T00:00:00Z", finished="2026-01-01T00:00:02Z",
    outcome=Outcome.DONE, error=None, via="direct", adopted=False, plan=PLAN,
    image=ReleasedImage(digest=DIGEST, config=None, platforms=("linux/amd64",), size=3_400_000),
    verification=Verification(level="digest", blobs=3),
    moves=tuple(
        Change(
            reference=one.reference, kind=one.kind, version=one.version, action=one.action, before=None, after=DIGEST,
            state=State.KEPT if one.action is Action.KEEP else State.DONE,
        )
        for one in PLAN.moves
    ),
)  # fmt: skip


def read_as_runner(text: str) -> dict[str, str]:
    """Parse as GitHub's runner does: `k=v`, or `k<<D`, lines, `D`."""
    found: dict[str, str] = {}
    lines = re.split(r"\r?\n", text)
    while lines:
        line = lines.pop(0)
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if equals >= 0 and (heredoc < 0 or equals < heredoc):
            found[line[:equals]] = line[equals + 1 :]
            continue
        name, _, delimiter = line.partition("<<")
        end = lines.index(delimiter)
        found[name] = "\n".join(lines[:end])
        del lines[: end + 1]
    return found


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["", "EOF", "x=1", "ghadelimiter_"]))
def test_no_value_sets_another_output(text: str, more: str) -> None:
    """Whatever a value holds, the runner reads our keys and nothing else."""
    value = f"{text}\n{more}"
    read = read_as_runner(encode_outputs({"version": text, "tags": value}))
    assert read.keys() == {"version", "tags"}
    assert read["tags"] == re.sub(r"\r\n", "\n", value)


def test_only_fixed_keys() -> None:
    """Keys that aren't ours are never written."""
    assert encode_outputs({"PATH": "x", "version": "1"}) == "version=1\n"


def test_outputs_of_a_plan() -> None:
    """Lists are one a line, labels `key=value`."""
    outputs = plan_outputs(PLAN)
    assert outputs.keys() <= set(OUTPUTS)
    assert (outputs["version"], outputs["digest"]) == ("1.2.3", DIGEST)
    assert outputs["tags"] == "ann/app:1.2.3\nann/app:1.2"
    assert outputs["moved"] == "docker.io/ann/app:1.2.3\ndocker.io/ann/app:1.2"
    assert outputs["kept"] == "docker.io/ann/app:latest"


def test_outputs_of_several_plans() -> None:
    """Several images' lists follow one another, each line once."""
    both = plan_outputs(Plans(plans={"a": PLAN, "b": PLAN}))
    assert both["tags"] == plan_outputs(PLAN)["tags"]


def test_outputs_of_a_receipt() -> None:
    """A run says what it really moved, and its receipt."""
    outputs = receipt_outputs(RECEIPT)
    assert outputs["receipt"] == "r1"
    assert outputs["moved"] == "docker.io/ann/app:1.2.3\ndocker.io/ann/app:1.2"
    assert outputs["kept"] == "docker.io/ann/app:latest"


def test_summary_of_a_plan() -> None:
    """A table, a picture with thick arrows for what moves, warnings; no markup from elsewhere."""
    text = "\n".join(plan_summary(PLAN))
    assert "| `ann/app:1.2.3` | - | `abababababab` | create | new |" in text
    assert "&lt;img src=x&gt; \\| \\`x\\`" in text
    assert re.search(r't\w+\("1\.2"\) ==> v\w+\["1\.2\.3"\]', text)
    assert re.search(r't\w+\("latest"\) --> v\w+\["2\.0\.0"\]', text)
    assert "look here \\:\\:set\\-output" in text


def test_summary_of_a_receipt() -> None:
    """Digest, platforms, size, what was verified and when."""
    text = "\n".join(receipt_summary(RECEIPT))
    for said in (DIGEST, "linux/amd64", "3.4 MB", "digest: 3 blobs", "create (done)", "direct"):
        assert said in text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_markdown_is_one_line_of_words(text: str) -> None:
    """Nothing from elsewhere makes a new line, HTML or an unescaped cell."""
    shown = plain(text)
    assert "\n" not in shown
    assert not {"<", ">"} & set(shown)
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`\[]", shown)


@pytest.mark.parametrize(
    ("text", "shown"), [("a", "`a`"), ("a`b", "``a`b``"), ("`", "`` ` ``"), ("a|b", "`a\\|b`"), ("a\nb", "`a b`")]
)
def test_code(text: str, shown: str) -> None:
    """A code span holds backticks within a longer fence."""
    assert code(text) == shown


def test_files_are_added_to(tmp_path: Path) -> None:
    """Outputs and summary are added to what is there; without a file nothing is written."""
    file = tmp_path / "out"
    file.write_text("a=b\n")
    assert write_outputs({"GITHUB_OUTPUT": str(file)}, {"version": "1"})
    assert write_summary({"GITHUB_STEP_SUMMARY": str(file)}, ["x"])
    assert file.read_text() == "a=b\nversion=1\nx\n"
    assert not write_outputs({}, {"version": "1"})


def test_file_that_cannot_be_written(tmp_path: Path) -> None:
    """A file that can't be written is named."""
    with pytest.raises(ConfigError, match="GITHUB_OUTPUT"):
        write_outputs({"GITHUB_OUTPUT": str(tmp_path)}, {"version": "1"})

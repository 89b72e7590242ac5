"""What a step of GitHub Actions is told."""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.model.attestation import PlannedSigning, SignatureRecord
from publisher.model.digest import Digest
from publisher.model.documents import (
    FloatingStatus,
    RepositoryStatus,
    Status,
    Verdict,
    Verdicts,
    VerdictState,
    VersionStatus,
)
from publisher.model.errors import ConfigError
from publisher.model.plan import Action, Kind, Move, Plan, Plans
from publisher.model.receipt import Change, Failure, Outcome, Receipt, ReleasedImage, State, Verification
from publisher.model.reference import Repository
from publisher.report.github_files import OUTPUTS, encode_outputs, write_outputs, write_summary
from publisher.report.outputs import outputs_of
from publisher.report.progress import Stopwatch
from publisher.report.summary import code, plain, summary_of
from tests.support.github import read_file_command

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from publisher.model.protocols import Meter

DIGEST, OLD, NEWER = (Digest.parse(f"sha256:{two * 32}") for two in ("ab", "01", "fe"))
REPOSITORY = Repository.parse("docker.io/ann/app")
VERSIONS = {OLD: "1.2.2", NEWER: "2.0.0"}


def move(
    tag: str, kind: Kind, action: Action, version: str = "1.2.3", reason: str = "new", before: Digest | None = None
) -> Move:
    """One line of a plan."""
    return Move(
        reference=REPOSITORY.tag(tag), tag=tag, kind=kind, version=version, action=action,
        before=before, after=before if action is Action.KEEP else DIGEST, reason=reason,
    )  # fmt: skip


PLAN = Plan(
    version="1.2.3", release="1.2.3", revision="c" * 40, prerelease=False, images=("ann/app",),
    tags=("ann/app:1.2.3", "ann/app:1.2"), labels={"a": "b", "c": "d\ne"}, annotations={"a": "b"},
    moves=(
        move("1.2.3", Kind.EXACT, Action.CREATE),
        move("1.2", Kind.FLOATING, Action.MOVE, reason="<img src=x> | `x`", before=OLD),
        move("latest", Kind.FLOATING, Action.KEEP, "2.0.0", before=NEWER),
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
            reference=one.reference, kind=one.kind, version=one.version, action=one.action,
            before=one.before, after=one.after, state=State.KEPT if one.action is Action.KEEP else State.DONE,
        )
        for one in PLAN.moves
    ),
)  # fmt: skip


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["", "EOF", "x=1", "ghadelimiter_"]))
def test_no_value_sets_another_output(text: str, more: str) -> None:
    """Whatever a value holds, the runner reads our keys and nothing else."""
    value = f"{text}\n{more}"
    read = read_file_command(encode_outputs({"version": text, "tags": value}))
    assert read.keys() == {"version", "tags"}
    assert read["tags"] == re.sub(r"\r\n", "\n", value)


def test_only_fixed_keys() -> None:
    """Keys that aren't ours are never written."""
    assert encode_outputs({"PATH": "x", "version": "1"}) == "version=1\n"


def test_outputs_of_a_plan() -> None:
    """Lists are one a line, labels `key=value`."""
    outputs = outputs_of(PLAN)
    assert outputs.keys() <= set(OUTPUTS)
    assert (outputs["version"], outputs["digest"]) == ("1.2.3", str(DIGEST))
    assert outputs["tags"] == "ann/app:1.2.3\nann/app:1.2"
    assert outputs["moved"] == "docker.io/ann/app:1.2.3\ndocker.io/ann/app:1.2"
    assert outputs["kept"] == "docker.io/ann/app:latest"


def test_outputs_of_several_plans() -> None:
    """Several images' lists follow one another, each line once."""
    both = outputs_of(Plans(plans={"a": PLAN, "b": PLAN}))
    assert both["tags"] == outputs_of(PLAN)["tags"]


def test_outputs_of_a_receipt() -> None:
    """A run says what it really moved, and its receipt."""
    outputs = outputs_of(RECEIPT)
    assert outputs["receipt"] == "r1"
    assert outputs["moved"] == "docker.io/ann/app:1.2.3\ndocker.io/ann/app:1.2"
    assert outputs["kept"] == "docker.io/ann/app:latest"


def test_summary_of_a_plan() -> None:
    """A table that calls digests by their versions, a picture of before and after; no markup from elsewhere."""
    text = "\n".join(summary_of(PLAN, VERSIONS))
    assert "| `ann/app:1.2.3` | - | 1.2.3 `abababababab` | create | new |" in text
    assert "| `ann/app:1.2` | 1.2.2 `010101010101` | 1.2.3 `abababababab` | move |" in text
    assert "&lt;img src=x&gt; \\| \\`x\\`" in text
    assert re.search(
        r't(\w+)\(\["1\.2"\]\) -\. "before" \.-> v\w+\["1\.2\.2"\]\n  t\1\S+ == "after" ==> v\w+\["1\.2\.3"\]', text
    )
    assert re.search(r't\w+\(\["latest"\]\) --> v\w+\["2\.0\.0"\]', text)
    assert "look here \\:\\:set\\-output" in text


def test_summary_of_a_plan_whose_content_is_unknown() -> None:
    """What isn't built yet is called by its version; what no version is known of, by its digest."""
    moves = tuple(msgspec.structs.replace(one, after=None) if one.action.writes else one for one in PLAN.moves)
    text = "\n".join(summary_of(msgspec.structs.replace(PLAN, moves=moves)))
    assert "| `ann/app:1.2` | `010101010101` | 1.2.3 | move |" in text
    assert '["010101010101"]' in text


def test_summary_of_a_receipt() -> None:
    """What to pin, platforms, size, what was verified, when and how long each step took."""
    text = "\n".join(summary_of(RECEIPT, VERSIONS, {"push": 1.25, "verify": 0.1}))
    for said in (f"`ann/app@{DIGEST}`", "linux/amd64", "3.4 MB", "digest: 3 blobs", "create (done)", "direct"):
        assert said in text
    assert "1.4 s: push 1.2 s, verify 0.1 s; ended" in text
    assert '== "now" ==>' in text


def signed_by(signer: str, by: str = "ci") -> Receipt:
    """The receipt of a release that was signed."""
    identity = "github.com/ann/app" if by == "ci" else signer
    signing = PlannedSigning(by=by, identity=identity, log=None, statements=("signature",))
    record = SignatureRecord(
        repository="ann/app", subject=str(DIGEST), predicate="p", digest=str(OLD), signer=signer, log_index=None
    )
    plan = msgspec.structs.replace(PLAN, signing=signing)
    return msgspec.structs.replace(RECEIPT, plan=plan, signatures=(record,))


WORKFLOW = "https://github.com/ann/app/.github/workflows/release.yml@refs/tags/v1.2.3"
ISSUER = "https://token.actions.githubusercontent.com"
VERSION = f"-a org.opencontainers.image.version=1.2.3 ann/app@{DIGEST}"


@pytest.mark.parametrize(
    ("receipt", "signer", "lines"),
    [
        (
            signed_by(f"{WORKFLOW} via {ISSUER}"),
            "github.com/ann/app",
            [
                f"publish verify ann/app@{DIGEST} --signed-by github.com/ann/app",
                f"cosign verify --certificate-identity {WORKFLOW} --certificate-oidc-issuer {ISSUER} {VERSION}",
            ],
        ),
        (
            signed_by("the key sha256:0123", "key"),
            "the key sha256:0123",
            [
                f"publish verify ann/app@{DIGEST} --signed-by cosign.pub",
                f"cosign verify --key cosign.pub --private-infrastructure {VERSION}",
            ],
        ),
        # What would need quotes in a shell is left out.
        (signed_by("https://x/a b;c via https://y"), "github.com/ann/app", ["publish verify"]),
        (RECEIPT, None, []),
    ],
    ids=["job", "key", "strange name", "unsigned"],
)
def test_a_signed_release_says_how_to_verify_it(receipt: Receipt, signer: str | None, lines: list[str]) -> None:
    """By publish and by cosign, in the summary; who has signed it is an output."""
    assert outputs_of(receipt).get("signer") == signer
    rows = [line for line in summary_of(receipt, VERSIONS) if line.startswith("| to verify")]
    assert len(rows) == len(lines)
    assert all(line in row for line, row in zip(lines, rows, strict=True))


def test_one_picture_for_repositories_that_look_the_same() -> None:
    """A second repository in the same state is named beside the first, and not drawn again."""

    def there(one: Move) -> Move:
        return msgspec.structs.replace(one, reference=Repository.parse("ghcr.io/ann/app").tag(one.tag))

    both = msgspec.structs.replace(PLAN, moves=(*PLAN.moves, *map(there, PLAN.moves)))
    text = "\n".join(summary_of(both, VERSIONS))
    assert text.count("```mermaid") == 1
    assert "`ann/app` `ghcr.io/ann/app`\n\n```mermaid" in text


def test_status_verdicts_and_errors() -> None:
    """Each has outputs that make sense for it, and a page."""
    line = FloatingStatus(tag="latest", digest=OLD, desired=DIGEST, version="1.2.3", state="drift")
    good = FloatingStatus(tag="1.2", digest=DIGEST, desired=DIGEST, version="1.2.3", state="ok")
    versions = (VersionStatus(version="1.2.3", tag="1.2.3", digest=DIGEST, yanked=False),)
    one = RepositoryStatus(repository=REPOSITORY, versions=versions, floating=(line, good), foreign=())
    status = Status(repositories=(one,))
    found = outputs_of(status)
    assert (found["version"], found["digest"], found["tags"]) == ("1.2.3", str(DIGEST), "ann/app:1.2")
    text = "\n".join(summary_of(status))
    assert "| `latest` | `010101010101` | 1.2.3 `abababababab` | drift |" in text
    assert '-. "holds" .-> ' in text
    verdict = Verdict(
        reference=REPOSITORY.tag("1"), digest=OLD, platforms=("linux/arm64",), state=VerdictState.EQUAL, detail="a|b"
    )
    verdicts = Verdicts(results=(verdict,))
    assert outputs_of(verdicts)["tags"] == "ann/app:1"
    assert "| equal | `ann/app:1` | `010101010101` | linux/arm64 | a\\|b |" in summary_of(verdicts)
    failure = Failure(code=3, kind="denied", message="no <b>", reference="me/`app", hint="log in")
    assert outputs_of(failure).keys() == {"json"}
    assert "> **no &lt;b&gt;**" in summary_of(failure)
    assert "| about | ``me/`app`` |" in summary_of(failure)


def test_the_time_of_each_step() -> None:
    """Each line of a release ends the step that its first word tells of; the rest is passed on."""
    told: list[str] = []
    times = iter((0.0, 1.0, 3.0, 3.5, 4.0, 9.0, 9.5))
    watch = Stopwatch(_Told(told), lambda: next(times))
    for line in ("push     app", "created  x", "pushed   y", "verified z", "smoke    y", "smoke    passed", "promoted"):
        watch.step(line)
    watch.warn("careful")
    assert told[1::6] == ["created  x", "careful"]
    assert watch.timings == {"plan and preflight": 1.0, "push": 2.0, "verify": 0.5, "smoke": 5.5, "move tags": 0.5}


class _Told:
    """Keeps what it is told."""

    def __init__(self, told: list[str]) -> None:
        self.step = told.append

    def warn(self, text: str, place: object = None) -> None:
        """A warning is kept too."""
        self.step(text)

    def group(self, title: str) -> AbstractContextManager[None]:
        """What is folded stands among the rest."""
        self.step(title)
        return nullcontext()

    def meter(self, label: str, total: int | None) -> AbstractContextManager[Meter]:
        raise AssertionError(label)


def test_a_page_that_is_too_long_is_cut(tmp_path: Path) -> None:
    """GitHub drops a summary above 1 MiB: what fits is kept, a picture is closed."""
    file = tmp_path / "summary"
    write_summary({"GITHUB_STEP_SUMMARY": str(file)}, ["```mermaid", *("x" * 99 for _ in range(20_000)), "```"])
    assert file.stat().st_size < 1 << 20
    assert file.read_text().endswith("x\n```\n\n… the rest is in the output `json`\n")


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

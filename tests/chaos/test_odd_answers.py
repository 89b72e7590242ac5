"""Every answer that a command gets is changed, by chance: no command ends in an unexpected error, or not at all.

`pytest tests/chaos/test_odd_answers.py --whole` changes ten times as many.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from publisher.model.codec import encode
from publisher.model.documents import Verdicts
from publisher.model.errors import PublishError
from publisher.model.reference import Reference, Repository
from publisher.report.failure import document, paragraph
from publisher.report.tables import receipt_text, verdicts_text
from publisher.report.tag_tables import status_text, tags_text
from publisher.sandbox.options import Options
from publisher.workflows.jobs import jobs
from publisher.workflows.release import ReleaseOptions, prepare, refuse, release
from publisher.workflows.retag import RetagOptions, read_targets, retag
from publisher.workflows.status import ages, status
from publisher.workflows.tags import list_tags
from publisher.workflows.verify import Expectation, verify_references
from tests.support.answers import CHANGES, WIRE_CHANGES, MutatedAnswer
from tests.support.commands import make_plan_options
from tests.support.layout import make_layout
from tests.support.seed import put_versions
from tests.support.simulation import SimulatedRun, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from publisher.model.receipt import Receipt
    from publisher.workflows.session import Session

NAMES: Final = ("acme/app", "ghcr.io/acme/app")
_DEADLINE: Final = 3600
_MOST_REQUESTS: Final = 3000


def run_release(session: Session, folder: Path) -> str:
    """`publish release`."""
    options = ReleaseOptions(verify="deep")
    (job,) = jobs(session.settings, selection := make_plan_options(NAMES[0], version="1.1.0"))
    draft = prepare(session, job, selection, [f"oci:{folder / 'new'}"], options)
    refuse(draft.plan)
    return _ending(release(session, draft, options))


def run_retag(session: Session, _folder: Path) -> str:
    """`publish retag`, to another repository."""
    source = Reference.parse(f"{NAMES[0]}:1.0.0")
    return _ending(retag(session, source, read_targets(source, [f"{NAMES[1]}:stable"]), RetagOptions()))


def _ending(run: Any) -> str:
    receipt: Receipt = run.receipt
    encode(receipt)
    text = receipt_text(receipt, color=False)
    if run.error:
        raise run.error
    return text


def run_status(session: Session, _folder: Path) -> str:
    """`publish status`."""
    found = status(session, make_plan_options(NAMES[0]))
    encode(found)
    return status_text(found, ages(session, found), color=False)


def run_tags(session: Session, _folder: Path) -> str:
    """`publish tags`, at Docker Hub with its API."""
    found = list_tags(session, Repository.parse(NAMES[0]))
    encode(found)
    return tags_text(found, color=False)


def run_verify(session: Session, _folder: Path) -> str:
    """`publish verify --verify deep`."""
    targets = [Reference.parse(f"{NAMES[0]}:{tag}") for tag in ("1.0.0", "latest")]
    found = verify_references(session, targets, Expectation("deep"))
    encode(Verdicts(results=found))
    return verdicts_text(found, color=False)


COMMANDS: Final[dict[str, tuple[Callable[[Session, Path], str], int]]] = {
    "release": (run_release, 450), "retag": (run_retag, 300), "status": (run_status, 300), "tags": (run_tags, 300),
    "verify": (run_verify, 300),
}  # fmt: skip
"""And how many runs of each."""

_NAMES_OF_CHANGES: Final = (*CHANGES, *CHANGES, *WIRE_CHANGES)
CHANGED: Final = st.builds(
    MutatedAnswer,
    st.lists(st.sampled_from(_NAMES_OF_CHANGES), min_size=1, max_size=3).map(tuple),
    st.integers(0, 2**32),
)


@dataclass
class Tally:
    """What was done: mutated answers by the number of the request, and how the runs ended."""

    answers: Counter[int]
    endings: Counter[int]


def play(command: str, folder: Path, machine: Path, changed: dict[int, MutatedAnswer], lasting: bool) -> Tally:
    """Run a command once; `lasting`: the change of a request is that of every later one for the same address too."""
    tally = Tally(Counter(), Counter())
    by_address: dict[tuple[str, str], MutatedAnswer] = {}

    def fault_of(number: int, method: str, path: str) -> MutatedAnswer | None:
        assert number < _MOST_REQUESTS, "it never ends"
        address = (method, path.partition("?")[0])
        mutated = changed.get(number) or (by_address.get(address) if lasting else None)
        if mutated:
            by_address[address] = mutated
            tally.answers[number] += 1
        return mutated

    with World(options=Options(auth=True)) as world:
        put_versions(world, NAMES[0], ["1.0.0", "0.9.0"])
        run = SimulatedRun(world, 0, machine, fault_of)
        code = _run(command, run, folder)
        tally.endings[code] += 1
        assert code != 1
        assert world.clock() < _DEADLINE
    return tally


def _run(command: str, run: SimulatedRun, folder: Path) -> int:
    """How it ends; what it prints can be printed, as text and as JSON."""
    try:
        with run.session() as session:
            COMMANDS[command][0](session, folder).encode()
    except PublishError as error:
        encode(document(error))
        paragraph(error).encode()
        return error.exit_code
    return 0


@pytest.mark.parametrize("command", COMMANDS)
def test_no_answer_is_unexpected(command: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Any exit code but 1, within the deadline; every request of the command is met."""
    make_layout(tmp_path / "new", "new")
    requests = _count_requests(command, tmp_path)
    answers, endings = Counter[int](), Counter[int]()
    runs = COMMANDS[command][1] * (10 if request.config.getoption("--whole") else 1)

    @settings(
        max_examples=runs, deadline=None, database=None, derandomize=True, phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(
        changed=st.dictionaries(st.integers(1, requests + 5), CHANGED, min_size=4, max_size=14), lasting=st.booleans()
    )
    def change(changed: dict[int, MutatedAnswer], lasting: bool) -> None:
        machine = tmp_path / f"machine{sum(endings.values())}"
        tally = play(command, tmp_path, machine, changed, lasting)
        answers.update(tally.answers)
        endings.update(tally.endings)

    change()
    sys.stderr.write(f"{command}: {answers.total()} answers changed in {runs} runs, which ended {dict(endings)}\n")
    assert set(range(1, requests + 1)) <= answers.keys()
    assert answers.total() >= 1000


def _count_requests(command: str, folder: Path) -> int:
    """How many it takes when nothing is changed."""
    with World(options=Options(auth=True)) as world:
        put_versions(world, NAMES[0], ["1.0.0", "0.9.0"])
        run = SimulatedRun(world, 0, folder / "count")
        with run.session() as session:
            assert COMMANDS[command][0](session, folder)
    return run.count

"""What a run of GitHub Actions may do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from publisher.facts.trust import read_trust

if TYPE_CHECKING:
    from pathlib import Path

OWN = {"pull_request": {"head": {"repo": {"full_name": "me/app"}}}}
FORK = {"pull_request": {"head": {"repo": {"full_name": "stranger/app"}}}}
OWN_RUN = {"workflow_run": {"head_repository": {"full_name": "me/app"}}}
FORK_RUN = {"workflow_run": {"head_repository": {"full_name": "stranger/app"}}}
QUEUE = "refs/heads/gh-readonly-queue/main/pr-7-abc"
EVERYTHING, ONLY_LOOK, STRANGER = (True, True), (False, True), (False, False)


def trust(folder: Path, event: str, payload: object, **known: Any) -> tuple[bool, bool, str]:
    """What such a run may do."""
    file = folder / "event.json"
    file.write_text(json.dumps(payload))
    environ = {"GITHUB_EVENT_NAME": event, "GITHUB_EVENT_PATH": str(file), "GITHUB_REPOSITORY": "me/app"}
    environ |= {"GITHUB_REF": known.pop("ref", "refs/heads/main"), "GITHUB_ACTOR": known.pop("actor", "me")}
    found = read_trust(environ, **{"has_secret": True, "pushes": False, "allow_fork": False, **known})
    return found.may_release, found.may_sign_in, found.reason


@pytest.mark.parametrize(
    ("event", "payload", "known", "expected"),
    [
        pytest.param("push", {}, {}, EVERYTHING, id="push"),
        pytest.param("push", {}, {"ref": "refs/tags/v1.0.0"}, EVERYTHING, id="tag"),
        pytest.param("push", {}, {"ref": QUEUE}, STRANGER, id="merge-queue's-branch"),
        pytest.param("push", {}, {"actor": "dependabot[bot]", "has_secret": False}, STRANGER, id="dependabot's-push"),
        pytest.param("push", {}, {"actor": "dependabot[bot]"}, EVERYTHING, id="dependabot-with-a-secret-of-its-own"),
        pytest.param("push", {}, {"has_secret": False}, EVERYTHING, id="without-a-secret"),
        pytest.param("release", {}, {}, EVERYTHING, id="release"),
        pytest.param("schedule", {}, {}, EVERYTHING, id="schedule"),
        pytest.param("workflow_dispatch", {}, {}, EVERYTHING, id="dispatch"),
        pytest.param("pull_request", OWN, {}, ONLY_LOOK, id="own-pull-request"),
        pytest.param("pull_request", OWN, {"pushes": True}, EVERYTHING, id="own-pull-request-pushes"),
        pytest.param("pull_request", OWN, {"actor": "dependabot[bot]", "has_secret": False}, STRANGER, id="dependabot"),
        pytest.param("pull_request", FORK, {"pushes": True}, STRANGER, id="fork"),
        pytest.param("pull_request", FORK, {"allow_fork": True}, STRANGER, id="fork-whatever-is-allowed"),
        pytest.param("pull_request", {}, {"pushes": True}, STRANGER, id="nobody-knows-whose"),
        pytest.param("pull_request_target", OWN, {"pushes": True}, ONLY_LOOK, id="own-target"),
        pytest.param("pull_request_target", FORK, {"pushes": True}, STRANGER, id="fork-target"),
        pytest.param("pull_request_target", FORK, {"allow_fork": True}, ONLY_LOOK, id="fork-target-allowed"),
        pytest.param("workflow_run", OWN_RUN, {}, ONLY_LOOK, id="own-run"),
        pytest.param("workflow_run", FORK_RUN, {}, STRANGER, id="fork-run"),
        *(
            pytest.param(event, OWN, {"pushes": True, "allow_fork": True}, STRANGER, id=event or "none")
            for event in (
                *("issue_comment", "merge_group", "check_run", "check_suite", "repository_dispatch", "workflow_call"),
                *("pull_request_review", "pull_request_review_comment", "create", "deployment", "issues", "PUSH", ""),
            )
        ),
    ],
)
def test_what_a_run_may_do(
    event: str, payload: object, known: dict[str, Any], expected: tuple[bool, bool], tmp_path: Path
) -> None:
    """Tags are written in listed events only; a stranger's code gets no credential. What is left out has its reason."""
    may_release, may_sign_in, reason = trust(tmp_path, event, payload, **known)
    assert (may_release, may_sign_in) == expected
    assert bool(reason) is not may_release


def test_a_payload_that_cannot_be_read_is_a_strangers(tmp_path: Path) -> None:
    assert trust(tmp_path, "pull_request", [], pushes=True)[:2] == STRANGER
    (tmp_path / "event.json").write_text("{")
    environ = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(tmp_path / "event.json")}
    found = read_trust(environ, has_secret=True, pushes=True, allow_fork=False)
    assert (found.may_release, found.may_sign_in) == STRANGER

"""What GitHub Actions and GitLab CI say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from publisher.facts.ci import Payload, Pipeline, read_pipeline
from publisher.model.errors import ConfigError
from publisher.model.facts import Project

if TYPE_CHECKING:
    from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HEAD = "f" * 40


def github(tmp_path: Path, payload: object = None, **variables: str) -> Pipeline:
    """A run of GitHub Actions, its payload in a file."""
    event = tmp_path / "event.json"
    event.write_text(json.dumps(payload or {}))
    known = {"GITHUB_ACTIONS": "true", "GITHUB_SHA": COMMIT, "GITHUB_EVENT_PATH": str(event)}
    return read_pipeline(known | {f"GITHUB_{name}": value for name, value in variables.items()})


def gitlab(**variables: str) -> Pipeline:
    """A run of GitLab CI."""
    return read_pipeline({"GITLAB_CI": "true"} | {f"CI_{name}": value for name, value in variables.items()})


def test_outside_ci() -> None:
    """Without a CI's variables nothing is said, whatever else is set."""
    assert read_pipeline({"GITHUB_REF": "refs/heads/main", "CI": "true"}) == Pipeline(in_ci=False)


@pytest.mark.parametrize(
    ("event", "ref", "payload", "expected"),
    [
        pytest.param("push", "refs/heads/main", {}, ("refs/heads/main", ""), id="branch"),
        pytest.param("push", "refs/tags/v1", {"base_ref": "refs/heads/main"}, ("refs/tags/v1", "main"), id="tag"),
        pytest.param("push", "refs/tags/v1", {"base_ref": None}, ("refs/tags/v1", ""), id="tag-without-base"),
        pytest.param(
            "pull_request",
            "refs/pull/7/merge",
            {"number": 7, "pull_request": {"base": {"ref": "main"}}},
            ("refs/pull/7/merge", "main"),
            id="pull-request",
        ),
        pytest.param("pull_request", "refs/pull/7/merge", {}, ("refs/pull/7/merge", ""), id="pull-request-no-payload"),
        pytest.param(
            "pull_request_target",
            "refs/heads/main",
            {"number": 7, "pull_request": {"base": {"ref": "main"}}},
            ("refs/pull/7/merge", "main"),
            id="pull-request-target",
        ),
        pytest.param("schedule", "refs/heads/main", {"schedule": "0 0 * * *"}, ("refs/heads/main", ""), id="schedule"),
    ],
)
def test_github_ref(tmp_path: Path, event: str, ref: str, payload: dict[str, Any], expected: tuple[str, str]) -> None:
    """The ref is GitHub's, for pull requests the merge ref."""
    run = github(tmp_path, payload, EVENT_NAME=event, REF=ref)
    assert (run.ref, run.base_ref, run.event, run.revision) == (*expected, event, COMMIT)


def test_pull_request_target_is_never_its_base(tmp_path: Path) -> None:
    """A pull request whose number is unknown is an error: its GITHUB_REF names the base branch."""
    with pytest.raises(ConfigError, match="pull request"):
        github(tmp_path, {}, EVENT_NAME="pull_request_target", REF="refs/heads/main")


def test_head_of_a_pull_request(tmp_path: Path) -> None:
    """The pull request's own commit is taken where that is asked for."""
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"number": 7, "pull_request": {"head": {"sha": HEAD}}}))
    environ = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_SHA": COMMIT,
        "GITHUB_EVENT_PATH": str(event),
        "DOCKER_METADATA_PR_HEAD_SHA": "true",
    }
    assert read_pipeline(environ).revision == HEAD


def test_github_repository(tmp_path: Path) -> None:
    """The payload's repository describes the project."""
    repository = {
        "name": "app",
        "description": "An app",
        "html_url": "https://github.com/a/app",
        "default_branch": "trunk",
        "license": {"spdx_id": "MIT"},
    }
    run = github(tmp_path, {"repository": repository}, EVENT_NAME="push", REF="refs/heads/x")
    assert run.default_branch == "trunk"
    url = "https://github.com/a/app"
    assert run.project == Project(title="app", description="An app", url=url, source=url, licenses="MIT")


def test_github_without_payload() -> None:
    """Without a payload the variables say what they can."""
    run = read_pipeline(
        {"GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "a/app"}
    )
    assert (run.project.title, run.project.source) == ("app", "https://github.com/a/app")


def test_github_commit_time(tmp_path: Path) -> None:
    """The pushed commit's time is in the payload."""
    run = github(tmp_path, {"head_commit": {"timestamp": "2026-01-01T02:00:00+02:00"}}, EVENT_NAME="push")
    assert run.committed == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000], ids=["cut", "not-utf-8", "deep"])
def test_broken_payload(tmp_path: Path, content: bytes) -> None:
    """A payload that can't be read is an error, not an empty one."""
    event = tmp_path / "event.json"
    event.write_bytes(content)
    with pytest.raises(ConfigError, match="payload can't be read"):
        Payload.read({"GITHUB_EVENT_PATH": str(event)})


@pytest.mark.parametrize("environ", [{}, {"GITHUB_EVENT_PATH": "/nonexistent/event.json"}], ids=["unset", "no-file"])
def test_absent_payload(environ: dict[str, str]) -> None:
    """A payload that isn't there is empty."""
    assert Payload.read(environ).text("repository", "name") == ""


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"a": {"b": "x"}}, "x"),
        ({"a": {"b": 7}}, "7"),
        ({"a": {"b": True}}, ""),
        ({"a": {"b": None}}, ""),
        ({"a": {"b": {}}}, ""),
        ({"a": "b"}, ""),
        (["a"], ""),
        (None, ""),
    ],
)
def test_text_of_a_payload(document: object, text: str) -> None:
    """What isn't a text or a number is empty, whatever the shape."""
    assert Payload(document).text("a", "b") == text


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param({"COMMIT_TAG": "v1.0.0"}, ("refs/tags/v1.0.0", "push"), id="tag"),
        pytest.param({"COMMIT_BRANCH": "main"}, ("refs/heads/main", "push"), id="branch"),
        pytest.param({"MERGE_REQUEST_IID": "7"}, ("refs/pull/7/merge", "pull_request"), id="merge-request"),
        pytest.param({}, ("", "push"), id="nothing"),
    ],
)
def test_gitlab_ref(variables: dict[str, str], expected: tuple[str, str]) -> None:
    """Tags, branches and merge requests are told apart."""
    run = gitlab(PIPELINE_SOURCE="push", COMMIT_SHA=COMMIT, DEFAULT_BRANCH="main", **variables)
    assert ((run.ref, run.event), run.revision, run.default_branch) == (expected, COMMIT, "main")


def test_gitlab_project() -> None:
    """GitLab's variables describe the project and the commit's time."""
    run = gitlab(
        PROJECT_NAME="app",
        PROJECT_URL="https://gitlab.com/a/app",
        COMMIT_TIMESTAMP="2026-01-01T00:00:00Z",
        MERGE_REQUEST_TARGET_BRANCH_NAME="main",
    )
    assert (run.project.title, run.project.source) == ("app", "https://gitlab.com/a/app")
    assert (run.committed, run.base_ref) == (datetime(2026, 1, 1, tzinfo=UTC), "main")


@pytest.mark.parametrize(
    ("event", "head", "own"),
    [
        ("pull_request", "me/app", True),
        ("pull_request", "stranger/app", False),
        ("pull_request", "", False),
        ("pull_request_target", "me/app", False),
        ("push", "me/app", False),
    ],
)
def test_own_pull_request_on_github(tmp_path: Path, event: str, head: str, own: bool) -> None:
    """Only the event without others' secrets, and only a head in this same repository."""
    payload = {"number": 7, "pull_request": {"head": {"repo": {"full_name": head} if head else None}}}
    run = github(tmp_path, payload, EVENT_NAME=event, REF="refs/pull/7/merge", REPOSITORY="me/app")
    assert run.own_pull_request is own


@pytest.mark.parametrize(
    ("source", "project", "target", "own"),
    [("1", "1", "1", True), ("2", "1", "1", False), ("2", "2", "1", False), ("", "", "", False)],
)
def test_own_merge_request_on_gitlab(source: str, project: str, target: str, own: bool) -> None:
    """A fork's pipeline runs in the fork: there the merge request's own project is another one."""
    ids = {"MERGE_REQUEST_SOURCE_PROJECT_ID": source, "PROJECT_ID": project, "MERGE_REQUEST_PROJECT_ID": target}
    assert gitlab(MERGE_REQUEST_IID="7", **ids).own_pull_request is own
    assert gitlab(COMMIT_BRANCH="main", **ids).own_pull_request is False

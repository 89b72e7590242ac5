"""What GitHub Actions and GitLab CI say about what they build."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from publisher.model.errors import ConfigError
from publisher.model.facts import BRANCH_REF, PULL_REF, TAG_REF, Project
from publisher.model.value import Value, read_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class Payload:
    """A JSON document that is asked for texts by path; what isn't there, or isn't of that type, is empty."""

    def __init__(self, document: object = None) -> None:
        self._document = document

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Payload:
        """Read GITHUB_EVENT_PATH; a file that isn't there is an empty payload, one that is no JSON a ConfigError."""
        path = environ.get("GITHUB_EVENT_PATH", "")
        try:
            return cls(json.loads(Path(path).read_bytes())) if path else cls()
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(
                f"the event's payload can't be read: {error}",
                reference=path,
                hint="GITHUB_EVENT_PATH names it; GitHub's runner writes it, nobody else should",
            ) from error

    def text(self, *path: str) -> str:
        """The text at `path`, a number as its digits."""
        value = self._document
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""

    def flag(self, *path: str) -> bool:
        """Whether the value at `path` is true."""
        found = self._document
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return found is True


class Pipeline(Value, frozen=True, kw_only=True):
    """A CI's run; the fields are those of Facts, empty where the CI doesn't say. Outside CI all of them are."""

    in_ci: bool = True
    event: str = ""
    own_pull_request: bool = False
    ref: str = ""
    revision: str = ""
    committed: datetime | None = None
    default_branch: str = ""
    base_ref: str = ""
    project: Project = msgspec.field(default_factory=Project)


def read_pipeline(environ: Mapping[str, str]) -> Pipeline:
    """Read the CI's variables. Raises ConfigError where they can't be understood."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return _github(environ, Payload.read(environ))
    if environ.get("GITLAB_CI") == "true":
        return _gitlab(environ)
    return Pipeline(in_ci=False)


def _github(environ: Mapping[str, str], payload: Payload) -> Pipeline:
    event = environ.get("GITHUB_EVENT_NAME", "")
    ref, revision = environ.get("GITHUB_REF", ""), environ.get("GITHUB_SHA", "")
    if event in {"pull_request", "pull_request_target"}:
        ref = _pull(ref, payload)
        if environ.get("DOCKER_METADATA_PR_HEAD_SHA", "").lower() == "true":
            revision = payload.text("pull_request", "head", "sha") or revision
    return Pipeline(
        event=event,
        own_pull_request=event == "pull_request"
        and payload.text("pull_request", "head", "repo", "full_name") == environ.get("GITHUB_REPOSITORY"),
        ref=ref,
        revision=revision,
        committed=read_time(payload.text("head_commit", "timestamp")),
        default_branch=payload.text("repository", "default_branch"),
        base_ref=_base(ref, payload),
        project=_github_project(environ, payload),
    )


def _pull(ref: str, payload: Payload) -> str:
    """The ref of a pull request; for pull_request_target GITHUB_REF names the branch it wants to join instead."""
    number = payload.text("number") or payload.text("pull_request", "number")
    if number.isdecimal():
        return f"{PULL_REF}{number}/merge"
    if ref.startswith(PULL_REF):
        return ref
    raise ConfigError(
        "this run is for a pull request, but the event's payload doesn't say which",
        hint="GITHUB_EVENT_PATH must name the file that GitHub's runner wrote; mount it into the container too",
    )


def _base(ref: str, payload: Payload) -> str:
    if ref.startswith(TAG_REF):
        return payload.text("base_ref").removeprefix(BRANCH_REF)
    return payload.text("pull_request", "base", "ref") if ref.startswith(PULL_REF) else ""


def _github_project(environ: Mapping[str, str], payload: Payload) -> Project:
    server, name = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_REPOSITORY", "")
    url = payload.text("repository", "html_url") or (f"{server}/{name}" if server and name else "")
    return Project(
        title=payload.text("repository", "name") or name.rpartition("/")[2],
        description=payload.text("repository", "description"),
        url=url,
        source=url,
        licenses=payload.text("repository", "license", "spdx_id"),
    )


def _is_within_project(environ: Mapping[str, str]) -> bool:
    """Whether a merge request joins two branches of the project that runs it; what isn't said is no."""
    source, project = environ.get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", ""), environ.get("CI_PROJECT_ID", "")
    return bool(source) and source == project == environ.get("CI_MERGE_REQUEST_PROJECT_ID", project)


def _gitlab(environ: Mapping[str, str]) -> Pipeline:
    def variable(name: str) -> str:
        return environ.get(name, "")

    request, tag, branch = variable("CI_MERGE_REQUEST_IID"), variable("CI_COMMIT_TAG"), variable("CI_COMMIT_BRANCH")
    refs = ((PULL_REF, request and f"{request}/merge"), (TAG_REF, tag), (BRANCH_REF, branch))
    event = variable("CI_PIPELINE_SOURCE")
    return Pipeline(
        event="pull_request" if request else event,
        own_pull_request=bool(request) and _is_within_project(environ),
        ref=next((start + name for start, name in refs if name), ""),
        revision=variable("CI_COMMIT_SHA"),
        committed=read_time(variable("CI_COMMIT_TIMESTAMP")),
        default_branch=variable("CI_DEFAULT_BRANCH"),
        base_ref=variable("CI_MERGE_REQUEST_TARGET_BRANCH_NAME"),
        project=Project(
            title=variable("CI_PROJECT_NAME"),
            description=variable("CI_PROJECT_DESCRIPTION"),
            url=variable("CI_PROJECT_URL"),
            source=variable("CI_PROJECT_URL"),
        ),
    )

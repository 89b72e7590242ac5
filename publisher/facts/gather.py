"""All facts, gathered from where they are."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from publisher.facts.ci import read_pipeline
from publisher.facts.git import Upstream, read_checkout, read_upstream
from publisher.facts.project import read_project
from publisher.model.errors import ConfigError
from publisher.model.facts import BRANCH_REF, Facts, GitState, Project

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from publisher.facts.git import Checkout


def gather(directory: Path, environ: Mapping[str, str] = os.environ) -> Facts:
    """Ask git, the CI and the project; the CI's word about ref and commit counts more than git's.

    Raises ConfigError for variables that can't be understood.
    """
    epoch = read_epoch(environ)
    pipeline = read_pipeline(environ)
    checkout = read_checkout(directory, environ)
    asks = checkout.state is GitState.READ and not (pipeline.default_branch and pipeline.project.source)
    upstream = read_upstream(directory, environ) if asks else Upstream()
    return Facts(
        now=epoch or datetime.now(UTC),
        epoch=epoch,
        event=pipeline.event,
        own_pull_request=pipeline.own_pull_request,
        ref=pipeline.ref if pipeline.in_ci else _ref(checkout),
        revision=pipeline.revision or checkout.revision,
        head=checkout.revision,
        committed=checkout.committed or pipeline.committed,
        head_tags=checkout.tags,
        default_branch=pipeline.default_branch or upstream.default_branch,
        base_ref=pipeline.base_ref,
        changed=checkout.changed,
        untracked=checkout.untracked,
        project=_project(pipeline.project, read_project(directory, upstream.remote)),
        git=checkout.state,
        git_problem=checkout.problem,
        in_ci=pipeline.in_ci,
        short=_short(environ),
    )


def read_epoch(environ: Mapping[str, str]) -> datetime | None:
    """Read SOURCE_DATE_EPOCH, seconds since 1970; raises ConfigError."""
    text = environ.get("SOURCE_DATE_EPOCH", "")
    try:
        return datetime.fromtimestamp(int(text), UTC) if text else None
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigError(
            f"SOURCE_DATE_EPOCH is '{text}', allowed is a number of seconds since 1970",
            hint="unset it, or set it to $(git log -1 --format=%ct)",
        ) from error


def _short(environ: Mapping[str, str]) -> int:
    """How many digits a short commit has: 7, or what docker/metadata-action's variable says."""
    text = environ.get("DOCKER_METADATA_SHORT_SHA_LENGTH", "") or "7"
    if not text.isdecimal() or not int(text):
        raise ConfigError(
            f"DOCKER_METADATA_SHORT_SHA_LENGTH is '{text}', allowed is a number above 0",
            hint="unset it to get 7 digits",
        )
    return int(text)


def _ref(checkout: Checkout) -> str:
    """The branch; none where there is no commit that it could name."""
    return f"{BRANCH_REF}{checkout.branch}" if checkout.revision and checkout.branch else ""


def _project(ci: Project, metadata: Project) -> Project:
    """What the CI says, and for what it doesn't say, what the files do."""
    return Project(
        title=ci.title or metadata.title,
        description=ci.description or metadata.description,
        url=ci.url or metadata.url,
        source=ci.source or metadata.source,
        licenses=ci.licenses or metadata.licenses,
    )

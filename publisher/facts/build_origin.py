"""What a CI says about where an image is made: the facts of provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.attestation import BuildOrigin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from publisher.model.facts import Facts


def read_build_origin(environ: Mapping[str, str], facts: Facts, claims: Mapping[str, str] | None = None) -> BuildOrigin:
    """Read the CI's variables. claims: the job's identity token's, which come first, since nobody can set them."""
    if environ.get("GITHUB_ACTIONS") == "true" or (claims and "workflow_ref" in claims):
        variables = {name.removeprefix("GITHUB_").lower(): text for name, text in environ.items()}
        variables["runner_environment"] = environ.get("RUNNER_ENVIRONMENT", "")
        return _github(variables | dict(claims or {}), environ.get("GITHUB_SERVER_URL") or "https://github.com")
    if environ.get("GITLAB_CI") == "true":
        return _gitlab(environ)
    return BuildOrigin(
        repository=facts.project.source,
        ref=facts.ref,
        revision=facts.revision or "",
        changed=bool(facts.changed),
    )


def _github(said: Mapping[str, str], server: str) -> BuildOrigin:
    """Source: docs.github.com, "OpenID Connect reference"; actions/attest, provenance."""
    repository, definition = said.get("repository", ""), said.get("workflow_ref", "")
    path, _at, path_ref = definition.removeprefix(f"{repository}/").partition("@")
    run = f"{server}/{repository}/actions/runs/{said.get('run_id', '')}/attempts/{said.get('run_attempt', '')}"
    return BuildOrigin(
        system="github",
        server=server,
        repository=f"{server}/{repository}",
        ref=said.get("ref", ""),
        revision=said.get("sha", ""),
        path=path,
        path_ref=path_ref,
        builder=f"{server}/{said.get('job_workflow_ref') or definition}",
        invocation=run,
        event=said.get("event_name", ""),
        repository_id=said.get("repository_id", ""),
        owner_id=said.get("repository_owner_id", ""),
        runner=said.get("runner_environment", ""),
    )


def _gitlab(environ: Mapping[str, str]) -> BuildOrigin:
    """Source: docs.gitlab.com, "Predefined CI/CD variables reference"."""

    def variable(name: str) -> str:
        return environ.get(name, "")

    kind = "tags" if variable("CI_COMMIT_TAG") else "heads"
    server = variable("CI_SERVER_URL")
    return BuildOrigin(
        system="gitlab",
        server=server,
        repository=variable("CI_PROJECT_URL"),
        ref=f"refs/{kind}/{variable('CI_COMMIT_REF_NAME')}",
        revision=variable("CI_COMMIT_SHA"),
        path=variable("CI_CONFIG_PATH") or ".gitlab-ci.yml",
        builder=f"{server}/-/runners/{variable('CI_RUNNER_ID')}",
        invocation=variable("CI_JOB_URL"),
        event=variable("CI_PIPELINE_SOURCE"),
        repository_id=variable("CI_PROJECT_ID"),
    )

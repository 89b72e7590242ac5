"""SLSA provenance from facts: what was built from where, by which definition, in which run.

Source: slsa.dev/provenance/v1; actions.github.io/buildtypes/workflow/v1. Never build arguments, the environment, a user
or a machine's name: what stands in a signed statement stands there for good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.model.attestation import BuildOrigin
    from publisher.model.digest import Digest

GITHUB_TYPE: Final = "https://actions.github.io/buildtypes/workflow/v1"
GITLAB_TYPE: Final = "urn:publish:build:gitlab:1"
BY_HAND_TYPE: Final = "urn:publish:build:by-hand:1"
"""docs/signing.md says what stands in both."""


def compose_provenance(
    origin: BuildOrigin, version: str | None, tool: str, configs: Sequence[Digest]
) -> dict[str, Any]:
    """The predicate. configs: the image configs of every platform, by which an engine knows the image."""
    compose = {"github": _github, "gitlab": _gitlab}.get(origin.system, _by_hand)
    definition, details = compose(origin)
    own = {"version": version, "tool": tool, "configs": [str(config) for config in configs]}
    internal = definition.setdefault("internalParameters", {})
    internal["publish"] = {key: value for key, value in own.items() if value}
    if origin.revision:
        source = f"git+{origin.repository}" if origin.repository else "git"
        uri = f"{source}@{origin.ref}" if origin.ref else source
        definition["resolvedDependencies"] = [{"uri": uri, "digest": {"gitCommit": origin.revision}}]
    return {"buildDefinition": definition, "runDetails": details}


def _github(origin: BuildOrigin) -> tuple[dict[str, Any], dict[str, Any]]:
    workflow = {"ref": origin.path_ref, "repository": origin.repository, "path": origin.path}
    github = {
        "event_name": origin.event,
        "repository_id": origin.repository_id,
        "repository_owner_id": origin.owner_id,
        "runner_environment": origin.runner,
    }
    definition: dict[str, Any] = {
        "buildType": GITHUB_TYPE,
        "externalParameters": {"workflow": workflow},
        "internalParameters": {"github": github},
    }
    return definition, _details(origin)


def _gitlab(origin: BuildOrigin) -> tuple[dict[str, Any], dict[str, Any]]:
    definition: dict[str, Any] = {
        "buildType": GITLAB_TYPE,
        "externalParameters": {"repository": origin.repository, "ref": origin.ref, "path": origin.path},
        "internalParameters": {"gitlab": {"event": origin.event, "project_id": origin.repository_id}},
    }
    return definition, _details(origin)


def _by_hand(origin: BuildOrigin) -> tuple[dict[str, Any], dict[str, Any]]:
    """Elsewhere: what git says, and whether the tree was the commit's."""
    external = {"repository": origin.repository, "ref": origin.ref, "dirty": origin.changed}
    definition: dict[str, Any] = {
        "buildType": BY_HAND_TYPE,
        "externalParameters": {key: value for key, value in external.items() if value},
    }
    return definition, {"builder": {"id": BY_HAND_TYPE}}


def _details(origin: BuildOrigin) -> dict[str, Any]:
    return {"builder": {"id": origin.builder}, "metadata": {"invocationId": origin.invocation}}

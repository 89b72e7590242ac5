"""What a run of GitHub Actions may do, by its event and by whose code it is about.

It stands alone: the Action asks it before it starts publish with any secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from publisher.facts.ci import Payload
from publisher.model.errors import ConfigError
from publisher.model.facts import BRANCH_REF
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

RISKY: Final = frozenset({"pull_request_target", "workflow_run"})
"""The code may be another repository's, and the job has secrets all the same."""
_RELEASING: Final = frozenset({"push", "release", "schedule", "workflow_dispatch"})
_MERGE_QUEUE: Final = f"{BRANCH_REF}gh-readonly-queue/"
_DEPENDABOT: Final = "dependabot[bot]"


class Trust(Value, frozen=True, kw_only=True):
    """may_release: tags may be written. may_sign_in: the job's credentials may be used. reason: why not all may."""

    may_release: bool = False
    may_sign_in: bool = False
    reason: str = ""


def is_fork(environ: Mapping[str, str]) -> bool:
    """Whether a pull request or a workflow_run is about another repository's code; what can't be read is."""
    try:
        payload = Payload.read(environ)
    except ConfigError:
        return True
    if environ.get("GITHUB_EVENT_NAME") == "workflow_run":
        head = payload.text("workflow_run", "head_repository", "full_name")
    else:
        head = payload.text("pull_request", "head", "repo", "full_name")
    return head != environ.get("GITHUB_REPOSITORY")


def read_trust(environ: Mapping[str, str], *, has_secret: bool, pushes: bool, allow_fork: bool) -> Trust:
    """What the run may do. has_secret: a password was given. pushes: pull requests too. allow_fork: a risky one too."""
    event, ref = environ.get("GITHUB_EVENT_NAME", ""), environ.get("GITHUB_REF", "")
    if environ.get("GITHUB_ACTOR") == _DEPENDABOT and not has_secret:
        return Trust(reason="Dependabot's runs have no secret, so it is planned without one")
    if event == "push" and ref.startswith(_MERGE_QUEUE):
        return Trust(reason="a merge queue's branch is not merged yet, so it is planned, without any credential")
    if event in _RELEASING:
        return Trust(may_release=True, may_sign_in=True)
    if event == "pull_request" and not is_fork(environ):
        reason = "" if pushes else "a pull request is planned; with the input 'pull-request: push' it is pushed"
        return Trust(may_release=pushes, may_sign_in=True, reason=reason)
    if event == "pull_request":
        return Trust(reason="a fork's pull request is planned, without any credential")
    if event in RISKY and (allow_fork or not is_fork(environ)):
        return Trust(may_sign_in=True, reason=f"the event {event} publishes nothing, so it is planned")
    name = event or "without a name"
    return Trust(reason=f"the event {name} publishes nothing, so it is planned, without any credential")

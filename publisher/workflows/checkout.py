"""Whether what is checked out is the commit that a release says it is.

It stands alone: a release asks it first, before anything is planned or built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.errors import DirtyTree, Refused
from publisher.model.facts import GitState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from publisher.model.facts import Facts
    from publisher.workflows.session import Session


def check_tree(session: Session, *, allow_dirty: bool, dry_run: bool) -> None:
    """Refuse what is not that commit; in a dry run only say so where it is the runner's affair."""
    facts = session.facts
    if facts.git is GitState.UNSAFE and not allow_dirty:
        raise Refused(facts.git_problem, hint="allow it, or pass --allow-dirty: then nobody looks what is released")
    if session.environ.get("GITHUB_ACTIONS") == "true" and not (allow_dirty or session.sandbox):
        _check_commit(session, dry_run=dry_run)
    if facts.changed and not allow_dirty:
        paths = ", ".join(facts.changed[:3]) + (" …" if len(facts.changed) > 3 else "")  # noqa: PLR2004 - enough to see
        raise DirtyTree(
            f"the working tree has changes that are not committed: {paths}",
            hint="commit or stash them, or pass --allow-dirty",
        )
    if facts.untracked and facts.revision:
        session.progress.warn(f"{facts.untracked} untracked files are not part of the commit that is released")
    elif facts.untracked:
        session.progress.warn("nothing is committed here yet, so what is released names no commit")


def _check_commit(session: Session, *, dry_run: bool) -> None:
    problem = commit_problem(session.facts, session.environ)
    if problem is not None and not dry_run:
        raise problem
    if problem is not None:
        session.progress.warn(f"a release would be refused: {problem.message}")
    elif session.facts.head is None:
        reason = session.facts.git_problem or "there is no commit here"
        commit = session.environ.get("GITHUB_SHA") or "GITHUB_SHA"
        session.progress.warn(f"{reason}, so nothing tells whether what is released is {commit}")


def commit_problem(facts: Facts, environ: Mapping[str, str]) -> Refused | None:
    """What a job releases must be the commit that its event is about: anything else could be anybody's.

    None where it is, and where there is no git to tell it.
    """
    if facts.git in {GitState.UNSAFE, GitState.BROKEN}:
        return Refused(facts.git_problem, hint="or pass --allow-dirty, and nobody looks which commit is released")
    commit = environ.get("GITHUB_SHA", "")
    if facts.head is None or facts.head in {commit, facts.revision}:
        return None
    return Refused(
        f"the commit that is checked out is {facts.head}, and this run is about {commit}",
        reference="GITHUB_SHA",
        hint="check out without ref, or pass --allow-dirty if that commit is meant",
    )

"""What surrounds a release: git, the CI that runs it, the project. Gathered before anything is planned."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from publisher.model.value import Value

if TYPE_CHECKING:
    from datetime import datetime

TAG_REF = "refs/tags/"
BRANCH_REF = "refs/heads/"
PULL_REF = "refs/pull/"


class GitState(StrEnum):
    """How git answered; only READ and EMPTY mean that there is a repository to speak of."""

    READ = "read"
    EMPTY = "empty"
    ABSENT = "absent"
    NOT_INSTALLED = "not-installed"
    UNSAFE = "unsafe"
    BROKEN = "broken"


class Project(Value, frozen=True, kw_only=True):
    """What the source repository says about itself; empty text means unknown."""

    title: str = ""
    description: str = ""
    url: str = ""
    source: str = ""
    licenses: str = ""


class Facts(Value, frozen=True, kw_only=True):
    """Everything that a plan needs to know and may not look up itself.

    event: the CI's name for why it runs ("push", "pull_request", "schedule"), "" outside CI.
    own_pull_request: whether it is a pull request that comes from this same repository.
    ref: what is built, "refs/tags/v1.2.3", "refs/heads/main", "refs/pull/7/merge", or "" for none.
    revision: the commit, 40 (or 64) hex digits. committed: its time. head: the one that is checked out.
    head_tags: git's tags at HEAD. base_ref: the branch that a pull request wants to join.
    changed: tracked files that differ from the commit. untracked: how many files git doesn't know.
    epoch: SOURCE_DATE_EPOCH, where it is set. now: the clock, or the epoch.
    short: how many digits a short commit has.
    git_problem: one sentence of why git told nothing, with what to do; "" where it answered.
    """

    now: datetime
    epoch: datetime | None = None
    event: str = ""
    own_pull_request: bool = False
    ref: str = ""
    revision: str | None = None
    head: str | None = None
    committed: datetime | None = None
    head_tags: tuple[str, ...] = ()
    default_branch: str = ""
    base_ref: str = ""
    changed: tuple[str, ...] = ()
    untracked: int = 0
    project: Project = Project()
    git: GitState = GitState.READ
    git_problem: str = ""
    in_ci: bool = False
    short: int = 7

    @property
    def in_git(self) -> bool:
        """Whether the directory is in a git repository that can be read."""
        return self.git in {GitState.READ, GitState.EMPTY}

    @property
    def is_pull_request(self) -> bool:
        """Whether what is built is a pull request: planned, never pushed."""
        return self.ref.startswith(PULL_REF)

    @property
    def created(self) -> datetime | None:
        """When the image counts as created: SOURCE_DATE_EPOCH, else the commit's time, never the clock."""
        return self.epoch or self.committed

"""What is built: a version, a branch or a pull request, and the commit."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from publisher.model.value import Value

if TYPE_CHECKING:
    from publisher.planning.version import Version


class RefKind(StrEnum):
    """What kind of ref is built; the words are those of a rule's `event`."""

    BRANCH = "branch"
    TAG = "tag"
    PULL = "pr"
    NONE = "none"


_LONG_AGO: Final = datetime.fromtimestamp(0, UTC)


class BuildRef(Value, frozen=True, kw_only=True):
    """What the rules are applied to.

    name: the tag without its version prefix, the branch, or the number of the pull request.
    version: what a tag states, or None. note: one sentence for the user where nothing is built that has a name.
    event, default_branch, base_ref, now, committed: as in Facts. short: the commit's short form.
    """

    kind: RefKind
    name: str = ""
    version: Version | None = None
    revision: str | None = None
    note: str = ""
    event: str = ""
    default_branch: str = ""
    base_ref: str = ""
    now: datetime = _LONG_AGO
    committed: datetime | None = None
    short: str = ""

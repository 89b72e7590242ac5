"""What is built: a version, a branch or a pull request, and the commit."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from publisher.model.errors import NoVersion, UsageError
from publisher.model.facts import BRANCH_REF, PULL_REF, TAG_REF
from publisher.model.value import Value
from publisher.planning.version import Scheme, parse_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.model.facts import Facts
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


class Reading(Value, frozen=True):
    """How a ref is read. prefix: what this image's git tags start with, as `api/`.

    schemes: how versions may be written. free: whether a tag need be no version, as rules take one out of it.
    """

    prefix: str = ""
    schemes: Sequence[Scheme] = (Scheme.SEMVER,)
    free: bool = False


def find_origin(facts: Facts, version: str | None = None, reading: Reading | None = None) -> BuildRef:
    """Tell what is built: `version`, else the CI's ref, else the highest version tag at HEAD, else the branch.

    Raises UsageError for a version that is none, NoVersion where neither git nor CI nor `version` says anything.
    """
    return replace(
        _find(facts, version, reading or Reading()),
        revision=facts.revision,
        event=facts.event,
        default_branch=facts.default_branch,
        base_ref=facts.base_ref,
        now=facts.now,
        committed=facts.committed,
        short=(facts.revision or "")[: facts.short],
    )


def _find(facts: Facts, version: str | None, reading: Reading) -> BuildRef:
    if version is not None:
        return _stated(version, reading)
    if not facts.ref and not facts.in_git:
        raise NoVersion(
            f"nothing says which version this is: {facts.git_problem or 'there is no git repository here'}",
            hint="name it: --version 1.2.3",
        )
    return _of_ref(facts, reading) if facts.in_ci else _of_head(facts, reading)


def _stated(text: str, reading: Reading) -> BuildRef:
    version = parse_version(text, reading.schemes)
    if version is None and not (reading.free and text.strip()):
        pep440 = Scheme.PEP440 in reading.schemes
        raise UsageError(
            f"'{text}' is not a semantic version: expected MAJOR.MINOR.PATCH, as in 1.2.3 or 1.3.0-rc.1"
            + (", or a version of PEP 440, as in 1.3rc1" if pep440 else ""),
            hint="see https://semver.org",
        )
    return BuildRef(kind=RefKind.TAG, name=text, version=version)


def _of_head(facts: Facts, reading: Reading) -> BuildRef:
    """Outside CI a version tag at HEAD says more than the branch that is checked out."""
    stated = [tag.removeprefix(reading.prefix) for tag in facts.head_tags if tag.startswith(reading.prefix)]
    versions = [(version, tag) for tag in stated if (version := parse_version(tag, reading.schemes))]
    if not versions:
        return _of_ref(facts, reading)
    version, tag = max(versions)
    return BuildRef(kind=RefKind.TAG, name=tag, version=version)


def _of_ref(facts: Facts, reading: Reading) -> BuildRef:
    ref = facts.ref
    if ref.startswith(TAG_REF):
        return _of_tag(ref.removeprefix(TAG_REF), reading)
    if ref.startswith(BRANCH_REF):
        return BuildRef(kind=RefKind.BRANCH, name=ref.removeprefix(BRANCH_REF))
    if ref.startswith(PULL_REF):
        return BuildRef(kind=RefKind.PULL, name=ref.removeprefix(PULL_REF).removesuffix("/merge"))
    return BuildRef(kind=RefKind.NONE, note=_why_nothing(facts))


def _of_tag(tag: str, reading: Reading) -> BuildRef:
    if not tag.startswith(reading.prefix):
        note = f"the git tag {tag} doesn't start with {reading.prefix}, so it is no version of this image"
        return BuildRef(kind=RefKind.NONE, note=note)
    name = tag.removeprefix(reading.prefix)
    return BuildRef(kind=RefKind.TAG, name=name, version=parse_version(name, reading.schemes))


def _why_nothing(facts: Facts) -> str:
    if facts.revision is None:
        return "the repository has no commit yet, so there is nothing to name a tag after"
    if facts.ref:
        return f"{facts.ref} is neither a branch, nor a tag, nor a pull request, so it gives no tag"
    return "HEAD is on no branch and no version tag points at it; name the version: --version 1.2.3"

"""What is built: a version, a branch or a pull request, and the commit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from publisher.model.errors import NoVersion, UsageError
from publisher.model.facts import BRANCH_REF, PULL_REF, TAG_REF
from publisher.planning.version import parse_version

if TYPE_CHECKING:
    from publisher.model.facts import Facts
    from publisher.planning.version import Version


class RefKind(StrEnum):
    """What kind of ref is built; the words are those of a rule's `event`."""

    BRANCH = "branch"
    TAG = "tag"
    PULL = "pr"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What the rules are applied to.

    name: the tag without its version prefix, the branch, or the number of the pull request.
    version: what a tag states, or None. note: one sentence for the user where no version was found.
    """

    kind: RefKind
    name: str = ""
    version: Version | None = None
    revision: str | None = None
    note: str = ""


def find_origin(facts: Facts, version: str | None = None, prefix: str = "") -> Origin:
    """Tell what is built: `version`, else the CI's ref, else the highest version tag at HEAD, else the branch.

    prefix: what this image's git tags start with, as `api/`.
    Raises UsageError for a version that is none, NoVersion where neither git nor CI nor `version` says anything.
    """
    if version is not None:
        return _stated(version, facts.revision)
    if not facts.ref and not facts.in_git:
        raise NoVersion(
            f"nothing says which version this is: {facts.git_problem or 'there is no git repository here'}",
            hint="name it: --version 1.2.3",
        )
    return _of_ref(facts, prefix) if facts.in_ci else _of_head(facts, prefix)


def _stated(text: str, revision: str | None) -> Origin:
    version = parse_version(text)
    if version is None:
        raise UsageError(
            f"'{text}' is not a semantic version: expected MAJOR.MINOR.PATCH, as in 1.2.3 or 1.3.0-rc.1",
            hint="see https://semver.org",
        )
    return Origin(kind=RefKind.TAG, name=text, version=version, revision=revision)


def _of_head(facts: Facts, prefix: str) -> Origin:
    """Outside CI a version tag at HEAD says more than the branch that is checked out."""
    stated = [tag.removeprefix(prefix) for tag in facts.head_tags if tag.startswith(prefix)]
    versions = [(version, tag) for tag in stated if (version := parse_version(tag))]
    if not versions:
        return _of_ref(facts, prefix)
    version, tag = max(versions)
    return Origin(kind=RefKind.TAG, name=tag, version=version, revision=facts.revision)


def _of_ref(facts: Facts, prefix: str) -> Origin:
    ref, revision = facts.ref, facts.revision
    if ref.startswith(TAG_REF):
        return _of_tag(ref.removeprefix(TAG_REF), revision, prefix)
    if ref.startswith(BRANCH_REF):
        return Origin(kind=RefKind.BRANCH, name=ref.removeprefix(BRANCH_REF), revision=revision)
    if ref.startswith(PULL_REF):
        return Origin(kind=RefKind.PULL, name=ref.removeprefix(PULL_REF).partition("/")[0], revision=revision)
    return Origin(kind=RefKind.NONE, revision=revision, note=_why_nothing(facts))


def _of_tag(tag: str, revision: str | None, prefix: str) -> Origin:
    if not tag.startswith(prefix):
        note = f"the git tag {tag} doesn't start with {prefix}, so it is no version of this image"
        return Origin(kind=RefKind.NONE, revision=revision, note=note)
    name = tag.removeprefix(prefix)
    version = parse_version(name)
    note = "" if version else f"the git tag {tag} is not a whole semantic version such as v1.2.3, so it gives no tag"
    return Origin(kind=RefKind.TAG, name=name, version=version, revision=revision, note=note)


def _why_nothing(facts: Facts) -> str:
    if facts.revision is None:
        return "the repository has no commit yet, so there is nothing to name a tag after"
    if facts.ref:
        return f"{facts.ref} is neither a branch, nor a tag, nor a pull request, so it gives no tag"
    return "HEAD is on no branch and no version tag points at it; name the version: --version 1.2.3"

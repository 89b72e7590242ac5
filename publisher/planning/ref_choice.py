"""Which ref is built: what the user states, what CI builds, or the version tag at HEAD that a rule reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from publisher.model.errors import NoVersion, UsageError
from publisher.model.facts import BRANCH_REF, PULL_REF, TAG_REF
from publisher.model.value import Value
from publisher.planning.apply import reads_versions, version_in_ref
from publisher.planning.build_ref import BuildRef, RefKind
from publisher.planning.rules import DEFAULT, Ruleset, RuleType
from publisher.planning.version import ANY_SCHEME, Scheme, parse_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from publisher.model.facts import Facts
    from publisher.planning.version import Version

# A word perhaps, then numbers with dots or a date: what people call a version, whatever the rules.
_LOOKS_LIKE: Final = re.compile(
    r"(?P<before>(?:.*?[^0-9.])??)"
    r"(?P<core>[0-9]+(?:\.[0-9]+)+(?:[-+.a-zA-Z][0-9A-Za-z.+-]*)?|[0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2})"
)


class RefReading(Value, frozen=True):
    """How a ref is read. prefix: what this image's git tags start with, as `api/`; rules: what takes the rest.

    others: what the git tags of other images in the same repository start with.
    """

    prefix: str = ""
    ruleset: Ruleset = DEFAULT
    others: tuple[str, ...] = ()

    def takes(self, tag: str) -> bool:
        """Whether a git tag is this image's: no other prefix that it bears is longer."""
        longer = (other for other in self.others if len(other) > len(self.prefix))
        return tag.startswith(self.prefix) and not any(map(tag.startswith, longer))

    def why_not(self, tag: str) -> str:
        """A sentence about a tag that this image doesn't take."""
        if not tag.startswith(self.prefix):
            return f"the git tag {tag} doesn't start with {self.prefix}, so it is no version of this image"
        other = max((other for other in self.others if tag.startswith(other)), key=len)
        return f"the git tag {tag} is of the image whose tags start with {other}, so it is no version of this one"


def released_images(facts: Facts, readings: Mapping[str, RefReading]) -> frozenset[str] | None:
    """Of several images, by name, those that the git tag which is released belongs to; None where none is released.

    CI says that a tag is; elsewhere it is one at HEAD that some image's rules read as a version.
    """
    if facts.in_ci:
        if not facts.ref.startswith(TAG_REF):
            return None
        tag = facts.ref.removeprefix(TAG_REF)
        return frozenset(name for name, reading in readings.items() if reading.takes(tag))
    return frozenset(name for name, reading in readings.items() if _versions_at_head(facts, reading)) or None


def choose_ref(facts: Facts, version: str | None = None, reading: RefReading | None = None) -> BuildRef:
    """Tell what is built: `version`, else CI's ref, else the highest tag at HEAD that a rule reads, else its branch.

    Raises UsageError for a version that is none, NoVersion where neither git nor CI nor `version` says anything.
    """
    return replace(
        _find(facts, version, reading or RefReading()),
        revision=facts.revision,
        event=facts.event,
        default_branch=facts.default_branch,
        base_ref=facts.base_ref,
        now=facts.now,
        committed=facts.committed,
        short=(facts.revision or "")[: facts.short],
    )


def _find(facts: Facts, version: str | None, reading: RefReading) -> BuildRef:
    if version is not None:
        return _stated(version, reading)
    if not facts.ref and not facts.in_git:
        raise NoVersion(
            f"nothing says which version this is: {facts.git_problem or 'there is no git repository here'}",
            hint="name it: --version 1.2.3",
        )
    return _of_ref(facts, reading) if facts.in_ci else _of_head(facts, reading)


def _stated(text: str, reading: RefReading) -> BuildRef:
    version = version_in_ref(reading.ruleset, text)
    takes_any = any(rule.type is RuleType.MATCH or rule.match for rule in reading.ruleset.rules)
    is_free = takes_any or not reads_versions(reading.ruleset)
    if version is None and not (is_free and text.strip()):
        expected = "a semantic version: expected MAJOR.MINOR.PATCH, as in 1.2.3 or 1.3.0-rc.1"
        if Scheme.PEP440 in reading.ruleset.schemes:
            expected += ", or a version of PEP 440, as in 1.3rc1"
        raise UsageError(f"'{text}' is not {expected}", hint=_taker(text) or "see https://semver.org")
    return BuildRef(kind=RefKind.TAG, name=text, version=version)


def _of_head(facts: Facts, reading: RefReading) -> BuildRef:
    """Outside CI a version tag at HEAD says more than the branch that is checked out."""
    if versions := _versions_at_head(facts, reading):
        version, tag = max(versions)
        return BuildRef(kind=RefKind.TAG, name=tag, version=version)
    origin = _of_ref(facts, reading)
    notes = [_not_taken(tag, reading, origin) for tag in facts.head_tags if _LOOKS_LIKE.fullmatch(tag)]
    return replace(origin, note="; ".join(dict.fromkeys(notes))) if notes else origin


def _versions_at_head(facts: Facts, reading: RefReading) -> list[tuple[Version, str]]:
    own = [tag.removeprefix(reading.prefix) for tag in facts.head_tags if reading.takes(tag)]
    return [(version, tag) for tag in own if (version := version_in_ref(reading.ruleset, tag))]


def _not_taken(tag: str, reading: RefReading, origin: BuildRef) -> str:
    instead = f"; {origin.name} is planned instead" if origin.name else ""
    if not reading.takes(tag):
        return reading.why_not(tag).replace(tag, f"{tag} at HEAD", 1) + instead
    taker = _taker(tag.removeprefix(reading.prefix)) or "name the version with --version"
    return f"no rule takes the git tag {tag} at HEAD; {taker}{instead}"


def _taker(text: str) -> str:
    """Which rule to add that takes a text as a version; "" where nobody knows one."""
    match = _LOOKS_LIKE.fullmatch(text)
    if match is None:
        return ""
    before, core = match["before"], match["core"]
    word = before.removesuffix("v")
    if parse_version(core) is not None:
        return f"add type=semver,pattern={{{{version}}}},match={word}v?(.*), which takes it" if word else ""
    if parse_version(core, ANY_SCHEME) is None:
        return ""
    pep440 = ", or type=pep440,pattern={{version}}" if parse_version(core, (Scheme.PEP440,)) and not word else ""
    return f"add type=match,pattern={before}(.*),group=1, which takes it as it is{pep440}"


def _of_ref(facts: Facts, reading: RefReading) -> BuildRef:
    ref = facts.ref
    if ref.startswith(TAG_REF):
        return _of_tag(ref.removeprefix(TAG_REF), reading)
    if ref.startswith(BRANCH_REF):
        return BuildRef(kind=RefKind.BRANCH, name=ref.removeprefix(BRANCH_REF))
    if ref.startswith(PULL_REF):
        return BuildRef(kind=RefKind.PULL, name=ref.removeprefix(PULL_REF).removesuffix("/merge"))
    return BuildRef(kind=RefKind.NONE, note=_why_nothing(facts))


def _of_tag(tag: str, reading: RefReading) -> BuildRef:
    if not reading.takes(tag):
        return BuildRef(kind=RefKind.NONE, note=reading.why_not(tag))
    name = tag.removeprefix(reading.prefix)
    return BuildRef(kind=RefKind.TAG, name=name, version=version_in_ref(reading.ruleset, name))


def _why_nothing(facts: Facts) -> str:
    if facts.revision is None:
        return "the repository has no commit yet, so there is nothing to name a tag after"
    if facts.ref:
        return f"{facts.ref} is neither a branch, nor a tag, nor a pull request, so it gives no tag"
    return "HEAD is on no branch and no version tag points at it; name the version: --version 1.2.3"

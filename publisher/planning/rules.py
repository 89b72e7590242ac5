"""Rules: how a version, a branch or a commit becomes the names of tags."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from publisher.model.errors import BadReference, ConfigError
from publisher.model.plan import Kind
from publisher.model.reference import Tag
from publisher.planning.version import is_exact_name, is_stable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from publisher.planning.origin import Origin
    from publisher.planning.version import Version

LATEST: Final = "latest"
MARKER: Final = "yanked-"
SHORT: Final = 7

_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
_WHOLE: Final = "{{version}}"
_FORBIDDEN = re.compile(r"[^A-Za-z0-9._-]+")

_VALUES: Final[dict[str, Callable[[Version], str]]] = {
    "version": str,
    "major": lambda version: str(version.major),
    "minor": lambda version: str(version.minor),
    "patch": lambda version: str(version.patch),
}


class RuleType(StrEnum):
    """What a rule makes its tag of."""

    SEMVER = "semver"
    REF = "ref"
    SHA = "sha"


_PRIORITY: Final = {RuleType.SEMVER: 900, RuleType.REF: 600, RuleType.SHA: 100}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: its type and its fields.

    pattern: of a semver rule, as in {{major}}.{{minor}}. event: only for refs of this kind ("branch", "tag", "pr").
    since: the lowest major version that gives a tag, for lines that promise nothing before (0.x).
    """

    type: RuleType
    pattern: str = ""
    event: str = ""
    prefix: str = ""
    suffix: str = ""
    since: int = 0

    @property
    def is_exact(self) -> bool:
        """Whether its tags name one whole version."""
        return self.type is RuleType.SEMVER and _WHOLE in self.pattern

    @property
    def is_floating(self) -> bool:
        """Whether its tags follow a line of versions."""
        return self.type is RuleType.SEMVER and not self.is_exact

    def __str__(self) -> str:
        named = (("type", self.type), ("pattern", self.pattern), ("event", self.event))
        affixes = (("prefix", self.prefix), ("suffix", self.suffix))
        return ",".join(f"{key}={value}" for key, value in (*named, *affixes) if value)


@dataclass(frozen=True, slots=True)
class Ruleset:
    """The rules that are in force, the most important first."""

    rules: tuple[Rule, ...]

    @classmethod
    def of(cls, rules: Sequence[Rule]) -> Ruleset:
        """Put rules in the order of their types' priority; equal ones stay as written."""
        return cls(tuple(sorted(rules, key=lambda rule: -_PRIORITY[rule.type])))


DEFAULT: Final = Ruleset.of(
    (
        Rule(type=RuleType.SEMVER, pattern=_WHOLE),
        Rule(type=RuleType.SEMVER, pattern="{{major}}.{{minor}}"),
        Rule(type=RuleType.SEMVER, pattern="{{major}}", since=1),
        Rule(type=RuleType.REF, event="branch"),
        Rule(type=RuleType.REF, event="pr", prefix="pr-"),
        Rule(type=RuleType.SHA, event="branch", prefix="sha-"),
    )
)


def read_rules(rules: Sequence[str] | None, flavor: Sequence[str] | None) -> Ruleset:
    """The rules that configuration or options ask for; None means not given. Raises ConfigError."""
    if rules is None and flavor is None:
        return DEFAULT
    raise ConfigError(
        "the tag rule language is not in this version yet: `rules` and `flavor` of [tags], --rule and --flavor",
        hint="leave them out to get the default tags: 1.2.3, 1.2, 1 and latest for a version, its name for a branch",
    )


@dataclass(frozen=True, slots=True)
class Name:
    """A tag that a rule gave; `rule` is None for `latest`, `version` None where no version made it."""

    tag: Tag
    kind: Kind
    rule: Rule | None = None
    version: Version | None = None


def names(ruleset: Ruleset, origin: Origin) -> tuple[Name, ...]:
    """What the rules make of `origin`, in order, each tag once, `latest` last; raises BadReference for a bad tag."""
    if origin.version is not None:
        return version_names(ruleset, origin.version)
    made = (_ref_name(rule, origin) for rule in ruleset.rules)
    return _each_once([name for name in made if name])


def version_names(ruleset: Ruleset, version: Version) -> tuple[Name, ...]:
    """What the version-typed rules make of a version, as if it were released now."""
    made = [name for rule in ruleset.rules if (name := _version_name(rule, version))]
    if made and is_stable(version):
        made.append(Name(Tag(LATEST), Kind.FLOATING, None, version))
    return _each_once(made)


def _each_once(made: list[Name]) -> tuple[Name, ...]:
    found: dict[Tag, Name] = {}
    for name in made:
        found.setdefault(name.tag, name)
    return tuple(found.values())


def _version_name(rule: Rule, version: Version) -> Name | None:
    if rule.type is not RuleType.SEMVER or version.major < rule.since:
        return None
    # A prerelease gives its whole version whatever the pattern: a line never leads to it.
    whole = rule.is_exact or not is_stable(version)
    text = _filled(rule.pattern if is_stable(version) else _WHOLE, version)
    return Name(_tag(rule, text), Kind.EXACT if whole else Kind.FLOATING, rule, version)


def _filled(pattern: str, version: Version) -> str:
    return _PLACEHOLDER.sub(lambda match: _VALUES[match[1]](version), pattern)


def _ref_name(rule: Rule, origin: Origin) -> Name | None:
    if rule.event != origin.kind:
        return None
    text = (origin.revision or "")[:SHORT] if rule.type is RuleType.SHA else origin.name
    return Name(_tag(rule, text), Kind.REF, rule) if text else None


def _tag(rule: Rule, text: str) -> Tag:
    made = _FORBIDDEN.sub("-", f"{rule.prefix}{text}{rule.suffix}")
    if is_marker(made):
        raise BadReference(
            f"the rule '{rule}' made the tag '{made}', but {MARKER}VERSION is how publish marks a yanked version",
            hint="rename the branch, or give --version",
        )
    try:
        return Tag.parse(made)
    except BadReference as error:
        raise BadReference(f"the rule '{rule}' made no valid tag: {error.message}") from error


def is_marker(tag: str) -> bool:
    """Whether the tag has the form of a yank marker."""
    return tag.startswith(MARKER) and is_exact_name(tag.removeprefix(MARKER))

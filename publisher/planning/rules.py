"""Rules, as docker/metadata-action's users write them: read once, so that a mistake is told before anything is done."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from publisher.model.errors import BadRule
from publisher.model.fields import fields, lines
from publisher.model.value import Value
from publisher.planning.flavor import Flavor, read_flavor
from publisher.planning.version import ANY_SCHEME, Scheme

if TYPE_CHECKING:
    from collections.abc import Sequence

MARKER: Final = "yanked-"

PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_WHOLE: Final = frozenset({"version", "raw"})
_PARTS: Final = frozenset({"major", "minor", "patch"})
# Two numbers of a version that nothing but digits parts.
_JOINED: Final = re.compile(r"\}\}[0-9]*\{\{")
_SLASHED = re.compile(r"/(.+)/([a-z]*)", re.DOTALL)


class RuleType(StrEnum):
    """What a rule makes its tag of."""

    SCHEDULE = "schedule"
    SEMVER = "semver"
    PEP440 = "pep440"
    MATCH = "match"
    EDGE = "edge"
    REF = "ref"
    RAW = "raw"
    SHA = "sha"


_PRIORITY: Final = {
    RuleType.SCHEDULE: 1000.0,
    RuleType.SEMVER: 900.0,
    RuleType.PEP440: 900.0,
    RuleType.MATCH: 800.0,
    RuleType.EDGE: 700.0,
    RuleType.REF: 600.0,
    RuleType.RAW: 200.0,
    RuleType.SHA: 100.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: its type and its fields, None where one isn't written.

    event: "branch", "tag" or "pr" of a ref rule; of a sha rule the only event that it answers to, "" for all.
    long: of a sha rule, the whole commit. group: of a match rule. priority: None is the type's own.
    since: the lowest major version that gives a tag, for lines that promise nothing before (0.x).
    bare: whether it has no prefix or suffix of its own. written: the record as the user wrote it.
    varies: whether its prefix or suffix changes from run to run, as {{date}} does.
    schemes: how a text is read that it takes as it is, the same for all rules of a set: one text is one version.
    """

    type: RuleType
    pattern: str = ""
    event: str = ""
    value: str | None = None
    match: str | None = None
    group: str = "0"
    branch: str = ""
    long: bool = False
    prefix: str | None = None
    suffix: str | None = None
    enable: str = "true"
    priority: float | None = None
    since: int = 0
    bare: bool = True
    varies: bool = False
    schemes: tuple[Scheme, ...] = ANY_SCHEME
    written: str = field(default="", compare=False)

    @property
    def scheme(self) -> Scheme | None:
        """How the versions of this rule are written; None for one that is not about versions."""
        return Scheme(self.type) if self.type in {RuleType.SEMVER, RuleType.PEP440} else None

    @property
    def is_exact(self) -> bool:
        """Whether its tags name one whole version."""
        if self.type is RuleType.REF:
            return self.event == "tag"
        used = set(PLACEHOLDER.findall(self.pattern))
        return self.scheme is not None and (bool(used & _WHOLE) or used >= _PARTS)

    @property
    def is_fixed(self) -> bool:
        """Whether the same version gets the same tag from it in every run."""
        return not self.varies and "{{" not in f"{self.prefix}{self.suffix}"

    @property
    def names_versions(self) -> bool:
        """Whether its tags tell which version they name: all numbers are there, and told apart from what is around."""
        if not self.is_fixed:
            return False
        if self.scheme is None:
            return self.type is RuleType.MATCH or self.is_exact
        used = [name for name in PLACEHOLDER.findall(self.pattern) if name != "prerelease"]
        return (len(used) == 1 and used[0] in _WHOLE) or (
            sorted(used) == sorted(_PARTS) and not _JOINED.search(self.pattern)
        )

    @property
    def keeps_raw(self) -> bool:
        """Whether its tags keep the version as it is written in git, build metadata and all."""
        return self.scheme is None or "raw" in PLACEHOLDER.findall(self.pattern)

    @property
    def is_floating(self) -> bool:
        """Whether its tags follow a line of versions."""
        return self.scheme is not None and not self.is_exact

    def __str__(self) -> str:
        if self.written:
            return self.written
        named = (("type", self.type), ("pattern", self.pattern), ("event", self.event))
        affixes = (("prefix", self.prefix), ("suffix", self.suffix))
        return ",".join(f"{key}={value}" for key, value in (*named, *affixes) if value)


class Ruleset(Value, frozen=True):
    """The rules that are in force, the most important first.

    disabled: rules that give nothing now, whose tags are read all the same.
    claimed: tags that rules give whatever the version is (a branch, a fixed word): they float for nobody.
    """

    rules: tuple[Rule, ...]
    flavor: Flavor = msgspec.field(default_factory=Flavor)
    disabled: tuple[Rule, ...] = ()
    claimed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rules: Sequence[Rule], flavor: Flavor | None = None) -> Ruleset:
        """Put rules in the order of their priority; equal ones stay as written."""
        by_priority = sorted(rules, key=lambda rule: -_priority(rule))
        own_schemes = [rule.scheme for rule in by_priority if rule.scheme]
        schemes = tuple(dict.fromkeys((*own_schemes, *ANY_SCHEME)))
        return cls(tuple(dataclasses.replace(rule, schemes=schemes) for rule in by_priority), flavor or Flavor())

    @property
    def names_versions(self) -> bool:
        """Whether some rule in force makes tags of versions' own."""
        return any(rule.names_versions for rule in self.rules)

    @property
    def schemes(self) -> tuple[Scheme, ...]:
        """How versions are written here: as the rules say, semantic ones where none does."""
        rules = (*self.rules, *self.disabled)
        used = dict.fromkeys(rule.scheme for rule in rules if rule.scheme)
        takes_refs = any(rule.scheme is None and rule.names_versions for rule in rules)
        return tuple(dict.fromkeys((*used, *(ANY_SCHEME if takes_refs else ())))) or (Scheme.SEMVER,)


def _priority(rule: Rule) -> float:
    return _PRIORITY[rule.type] if rule.priority is None else rule.priority


DEFAULT: Final = Ruleset.of(
    (
        Rule(type=RuleType.SEMVER, pattern="{{version}}"),
        Rule(type=RuleType.SEMVER, pattern="{{major}}.{{minor}}"),
        Rule(type=RuleType.SEMVER, pattern="{{major}}", since=1),
        Rule(type=RuleType.REF, event="branch"),
        Rule(type=RuleType.REF, event="pr", prefix="pr-"),
        Rule(type=RuleType.SHA, event="branch", prefix="sha-"),
    )
)


def read_rules(rules: Sequence[str] | None, flavor: Sequence[str] | None) -> Ruleset:
    """The rules that configuration or options ask for; none means the default ones. Raises ConfigError."""
    read = read_flavor(tuple(flavor or ()))
    written = lines(tuple(rules or ()))
    if not written:
        return replace(DEFAULT, flavor=read)
    return Ruleset.of([read_rule(line) for line in written], read)


_COMMON: Final = ("enable", "priority", "prefix", "suffix")
_KEYS: Final = {
    RuleType.SCHEDULE: ("pattern",),
    RuleType.SEMVER: ("pattern", "value", "match"),
    RuleType.PEP440: ("pattern", "value", "match"),
    RuleType.MATCH: ("pattern", "group", "value"),
    RuleType.EDGE: ("branch",),
    RuleType.REF: ("event",),
    RuleType.RAW: ("value",),
    RuleType.SHA: ("format",),
}
_REQUIRED: Final = {
    RuleType.SEMVER: "pattern",
    RuleType.PEP440: "pattern",
    RuleType.MATCH: "pattern",
    RuleType.REF: "event",
    RuleType.RAW: "value",
}
_CHOICES: Final = {"event": ("branch", "tag", "pr"), "format": ("short", "long")}
_EXAMPLES: Final = {
    RuleType.SEMVER: "type=semver,pattern={{version}}",
    RuleType.PEP440: "type=pep440,pattern={{version}}",
    RuleType.MATCH: r"type=match,pattern=v(\d+\.\d+\.\d+),group=1",
    RuleType.REF: "type=ref,event=branch",
    RuleType.RAW: "type=raw,value=nightly",
}


def read_rule(text: str) -> Rule:
    """Read one record; raises ConfigError that names it and what would be right."""
    try:
        given = [(key or "value", value) for key, value in fields(text)]
    except ValueError as error:
        raise bad_rule(text, str(error)) from error
    values = dict(given)
    kind = _type(text, values.pop("type", RuleType.RAW))
    if unknown := [key for key in values if key not in (*_KEYS[kind], *_COMMON)]:
        allowed = ", ".join((*_KEYS[kind], *_COMMON))
        raise bad_rule(text, f"a rule of type {kind} has no '{unknown[0]}'", f"it takes {allowed}")
    if (needed := _REQUIRED.get(kind)) and needed not in values:
        raise bad_rule(text, f"a rule of type {kind} needs '{needed}'", f"for example {_EXAMPLES[kind]}")
    for key, allowed_values in _CHOICES.items():
        if key in values and values[key] not in allowed_values:
            raise bad_rule(text, f"{key} is '{values[key]}'", f"allowed is {', '.join(allowed_values)}")
    return _check(_rule(text, kind, values))


def _type(text: str, name: str) -> RuleType:
    try:
        return RuleType(name)
    except ValueError:
        raise bad_rule(text, f"'{name}' is no type of rule", f"there are {', '.join(RuleType)}") from None


def _rule(text: str, kind: RuleType, values: dict[str, str]) -> Rule:
    own_prefix = {RuleType.SHA: "sha-", RuleType.REF: "pr-" if values.get("event") == "pr" else None}.get(kind)
    return Rule(
        type=kind,
        pattern=values.get("pattern", "nightly" if kind is RuleType.SCHEDULE else ""),
        event=values.get("event", ""),
        value=values.get("value") or ("" if kind is RuleType.RAW else None),
        match=values.get("match") or None,
        group=values.get("group", "0"),
        branch=values.get("branch", ""),
        long=values.get("format") == "long",
        prefix=values.get("prefix", own_prefix),
        suffix=values.get("suffix"),
        enable=values.get("enable", "true"),
        bare=not (values.get("prefix", own_prefix) or values.get("suffix")),
        priority=_number(text, values["priority"]) if "priority" in values else None,
        written=text,
    )


def _number(text: str, value: str) -> float:
    if not re.fullmatch(r"[+-]?\d+(?:\.\d+)?", value):
        raise bad_rule(text, f"priority is '{value}'", "it is a number; higher ones come first")
    return float(value)


def _check(rule: Rule) -> Rule:
    """What can be known to be wrong before there is anything to apply the rule to."""
    if rule.scheme:
        known = [*sorted(_WHOLE), *sorted(_PARTS), "prerelease"]
        for name in PLACEHOLDER.findall(rule.pattern):
            if name not in known:
                raise bad_rule(rule, f"'{{{{{name}}}}}' is no part of a version", f"known are {', '.join(known)}")
        if "{{" in PLACEHOLDER.sub("", rule.pattern) or "}}" in PLACEHOLDER.sub("", rule.pattern):
            raise bad_rule(rule, "the braces of its pattern don't pair up", "as in pattern={{major}}.{{minor}}")
    if rule.match is not None and not compiled(rule, rule.match).groups:
        raise bad_rule(rule, "its match has no group", "the first group is the version, as in match=app-(.*)")
    if rule.type is RuleType.MATCH:
        compiled(rule, rule.pattern)
        if not rule.group.isdecimal():
            raise bad_rule(rule, f"group is '{rule.group}'", "it is a number, 0 for all that matched")
    return rule


def compiled(rule: Rule, pattern: str) -> re.Pattern[str]:
    """A regular expression as JavaScript reads it: /re/flags or bare, unanchored, digits and words in ASCII."""
    slashed = _SLASHED.fullmatch(pattern) if rule.type is RuleType.MATCH else None
    body, letters = (slashed[1], slashed[2]) if slashed else (pattern, "")
    flags = re.ASCII
    for letter in letters:
        if letter not in "dgimsuy":
            raise bad_rule(rule, f"'{letter}' is no flag of a regular expression", "known are i, m, s and g")
        flags |= {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}.get(letter, re.NOFLAG)
    try:
        return re.compile(re.sub(r"\(\?<(?![=!])", "(?P<", body), flags)
    except (re.error, RecursionError, OverflowError) as error:
        raise bad_rule(rule, f"'{body}' is no regular expression: {error}") from error


def matches_all(rule: Rule) -> bool:
    """Whether a match rule's groups are all its matches, one after another (the flag g), as in JavaScript."""
    slashed = _SLASHED.fullmatch(rule.pattern)
    return slashed is not None and "g" in slashed[2]


def bad_rule(rule: Rule | str, reason: str, hint: str | None = None) -> BadRule:
    """An error about one rule, which it names."""
    return BadRule(f"the rule '{rule}' is wrong: {reason}", rule=str(rule), hint=hint)

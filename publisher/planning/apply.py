"""What one rule gives: the text of a tag, before prefix, suffix and forbidden characters are seen to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from publisher.model.plan import Kind
from publisher.model.value import Value
from publisher.planning.build_ref import BuildRef, RefKind
from publisher.planning.expressions import default_branch
from publisher.planning.match_group import match_group
from publisher.planning.rules import PLACEHOLDER, RuleType, compiled, matches_all
from publisher.planning.version import Scheme, is_prerelease_text, is_stable, parse_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from publisher.planning.rules import Rule, Ruleset
    from publisher.planning.version import Version

_RAW: Final = re.compile(r"\{\{\s*raw\s*\}\}")
_NOT_OF: Final = {
    Scheme.SEMVER: (
        "a whole semantic version, as in 1.2.3",
        "type=match,pattern=v(.*),group=1 takes versions of dotted numbers, type=ref,event=tag any tag as it is",
    ),
    Scheme.PEP440: ("a version of PEP 440", "type=ref,event=tag takes any tag as it is"),
}


class RuleResult(Value, frozen=True):
    """What a rule gave. latest: whether `latest` goes with it, where the flavor leaves that open.

    note: what the user should know; then `text` may be empty.
    """

    text: str
    kind: Kind = Kind.REF
    version: Version | None = None
    latest: bool = False
    note: str = ""


def apply_rule(rule: Rule, origin: BuildRef) -> Iterator[RuleResult]:
    """Apply a bound rule to what is built: at most one text, notes beside it."""
    return _APPLIERS[rule.type](rule, origin)


def version_in_ref(ruleset: Ruleset, tag: str) -> Version | None:
    """The version that some rule reads in a git tag, or None; the highest where rules read several."""
    origin = BuildRef(kind=RefKind.TAG, name=tag)
    results = (result for rule in _version_readers(ruleset) for result in apply_rule(rule, origin))
    return max((result.version for result in results if result.version), default=None)


def reads_versions(ruleset: Ruleset) -> bool:
    """Whether some rule looks for a version in a git tag; else its text may be any."""
    return any(_version_readers(ruleset))


def _version_readers(ruleset: Ruleset) -> Iterator[Rule]:
    for rule in ruleset.rules:
        reads_tag = rule.scheme or rule.type is RuleType.MATCH or (rule.type is RuleType.REF and rule.event == "tag")
        if reads_tag and rule.value is None and rule.enable != "false":
            yield rule


def apply_rule_to_version(rule: Rule, version: Version) -> RuleResult | None:
    """Apply a rule to a version as if it were released.

    A rule that is about no version gives a text without one, where it would give any: it may decide about `latest`.
    """
    if rule.scheme:
        own = version if version.scheme is rule.scheme else parse_version(version.raw, (rule.scheme,))
        return _filled(rule, own, version.raw) if own and own.major >= rule.since else None
    if rule.type is RuleType.MATCH:
        return _match_of_version(rule, version)
    if rule.type is RuleType.REF and rule.event == "tag":
        return RuleResult(version.raw, Kind.EXACT, version, latest=not version.is_prerelease)
    return RuleResult("x") if rule.type in {RuleType.RAW, RuleType.SHA} and not rule.event else None


def _match_of_version(rule: Rule, version: Version) -> RuleResult | None:
    group, text = match_group(rule), version.raw
    part = group.give(text)
    if part is None:
        return None
    if part.removeprefix(group.word).removeprefix("v") == text:
        return RuleResult(part, Kind.EXACT, version, latest=not version.is_prerelease)
    if not version.is_prerelease and group.floats(part):
        return RuleResult(part, Kind.FLOATING, version, latest=True)
    return None


def _ref_text(rule: Rule, origin: BuildRef) -> str | None:
    """What a rule about versions looks at."""
    if rule.value is not None:
        return rule.value
    return origin.name if origin.kind is RefKind.TAG else None


def _version(rule: Rule, origin: BuildRef) -> Iterator[RuleResult]:
    text = _ref_text(rule, origin)
    if text is None or rule.scheme is None:
        return
    if rule.match is not None:
        found = compiled(rule, rule.match).search(text)
        if found is None or found[1] is None:
            yield RuleResult("", note=f"'{text}' doesn't match '{rule.match}' of the rule '{rule}'; it is taken whole")
        else:
            text = found[1]
    text = text.replace("/", "-")
    version = parse_version(text, (rule.scheme,))
    if version is None:
        what, other = _NOT_OF[rule.scheme]
        yield RuleResult("", note=f"'{text}' is not {what}, so rules of type {rule.type} give no tag; {other}")
    elif version.major >= rule.since:
        yield _filled(rule, version, text)


def _filled(rule: Rule, version: Version, raw: str) -> RuleResult:
    stable = is_stable(version)
    if not stable:
        # A prerelease gives its whole version whatever the pattern: a line never leads to it.
        text = raw if _RAW.fullmatch(rule.pattern) else version.text
    else:
        text = PLACEHOLDER.sub(lambda match: raw if match[1] == "raw" else _PARTS[match[1]](version), rule.pattern)
    kind = Kind.EXACT if rule.is_exact or not stable else Kind.FLOATING
    drops = kind is Kind.EXACT and rule.scheme is Scheme.SEMVER and not _keeps_build(rule, stable=stable)
    return RuleResult(text, kind, version.without_build() if drops else version, latest=stable)


def _keeps_build(rule: Rule, *, stable: bool) -> bool:
    """Whether the tag holds the version as git has it, build metadata and all."""
    return rule.keeps_raw if stable else _RAW.fullmatch(rule.pattern) is not None


_PARTS: Final[dict[str, Callable[[Version], str]]] = {
    "version": lambda version: version.text,
    "major": lambda version: str(version.major),
    "minor": lambda version: str(version.minor),
    "patch": lambda version: str(version.patch),
    "prerelease": lambda version: "",  # noqa: ARG005 - only stable versions are taken apart
}


def _match(rule: Rule, origin: BuildRef) -> Iterator[RuleResult]:
    text = _ref_text(rule, origin)
    if text is not None:
        yield from _matched(rule, text)


def _matched(rule: Rule, text: str) -> Iterator[RuleResult]:
    pattern = compiled(rule, rule.pattern)
    found = pattern.search(text)
    if found is None:
        yield RuleResult("", note=f"'{text}' doesn't match the rule '{rule}', which gives no tag")
        return
    parts = [(one[0], one.start()) for one in pattern.finditer(text)] if matches_all(rule) else _groups(found)
    group = int(rule.group)
    part, start = parts[group] if group < len(parts) else (None, -1)
    if part is None:
        yield RuleResult("", note=f"there is no group {group} in '{text}' by the rule '{rule}', which gives no tag")
        return
    kind, version = match_group(rule).classify(part, text, start, rule.schemes)
    latest = not is_prerelease_text(text) and not is_prerelease_text(part) and not (version and version.is_prerelease)
    yield RuleResult(part, kind, version, latest=latest)


def _groups(match: re.Match[str]) -> list[tuple[str | None, int]]:
    return [(match[number], match.start(number)) for number in range(len(match.groups()) + 1)]


def _ref(rule: Rule, origin: BuildRef) -> Iterator[RuleResult]:
    if rule.event != origin.kind:
        return
    if origin.kind is not RefKind.TAG:
        yield RuleResult(origin.name)
        return
    version = parse_version(origin.name, rule.schemes)
    kind = Kind.REF if version is None else Kind.EXACT
    yield RuleResult(origin.name, kind, version, latest=not is_prerelease_text(origin.name))


def _edge(rule: Rule, origin: BuildRef) -> Iterator[RuleResult]:
    if origin.kind is not RefKind.BRANCH:
        return
    branch = rule.branch or default_branch(origin)
    if not branch:
        yield RuleResult(
            "", note=f"the default branch is unknown, so the rule '{rule}' gives no tag; write branch=NAME"
        )
    elif branch == origin.name:
        yield RuleResult("edge")


def _schedule(rule: Rule, origin: BuildRef) -> Iterator[RuleResult]:
    if "schedule" in origin.event:
        yield RuleResult(rule.pattern)


def _raw(rule: Rule, _origin: BuildRef) -> Iterator[RuleResult]:
    yield RuleResult(rule.value or "")


def _sha(rule: Rule, origin: BuildRef) -> Iterator[RuleResult]:
    if origin.revision and rule.event in {"", origin.kind}:
        yield RuleResult(origin.revision if rule.long else origin.short)


_APPLIERS: Final[dict[RuleType, Callable[[Rule, BuildRef], Iterator[RuleResult]]]] = {
    RuleType.SCHEDULE: _schedule,
    RuleType.SEMVER: _version,
    RuleType.PEP440: _version,
    RuleType.MATCH: _match,
    RuleType.EDGE: _edge,
    RuleType.REF: _ref,
    RuleType.RAW: _raw,
    RuleType.SHA: _sha,
}

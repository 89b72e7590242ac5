"""What one rule gives: the text of a tag, before prefix, suffix and forbidden characters are seen to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from publisher.model.plan import Kind
from publisher.model.value import Value
from publisher.planning.build_ref import RefKind
from publisher.planning.expressions import default_branch
from publisher.planning.rules import PLACEHOLDER, RuleType, compiled, matches_all
from publisher.planning.version import Scheme, is_prerelease_text, is_stable, parse_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from publisher.planning.build_ref import BuildRef
    from publisher.planning.rules import Rule
    from publisher.planning.version import Version

_RAW: Final = re.compile(r"\{\{\s*raw\s*\}\}")
_ANY: Final = (Scheme.SEMVER, Scheme.PEP440)


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


def apply_rule_to_version(rule: Rule, version: Version, styles: Iterable[tuple[str, str]]) -> RuleResult | None:
    """Apply a rule to a version as if it were released; styles: how refs are written around versions.

    A rule that is about no version gives a text without one, where it would give any: it may decide about `latest`.
    """
    if rule.scheme:
        return _filled(rule, version, str(version)) if version.major >= rule.since else None
    if rule.type is RuleType.MATCH:
        texts = (f"{before}{version}{after}" for before, after in styles)
        found = (one for text in texts for one in _matched(rule, text) if one.version == version)
        return next(found, None)
    if rule.type is RuleType.REF and rule.event == "tag":
        before, after = next(iter(styles))
        return RuleResult(f"{before}{version}{after}", Kind.EXACT, version, is_stable(version))
    return RuleResult("x") if rule.type in {RuleType.RAW, RuleType.SHA} and not rule.event else None


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
        what = "a whole semantic version, as in 1.2.3" if rule.scheme is Scheme.SEMVER else "a version of PEP 440"
        yield RuleResult("", note=f"'{text}' is not {what}, so rules of type {rule.type} give no tag")
    elif version.major >= rule.since:
        yield _filled(rule, version, text)


def _filled(rule: Rule, version: Version, raw: str) -> RuleResult:
    stable = is_stable(version)
    if not stable:
        # A prerelease gives its whole version whatever the pattern: a line never leads to it.
        text = raw if _RAW.fullmatch(rule.pattern) else str(version)
    else:
        text = PLACEHOLDER.sub(lambda match: raw if match[1] == "raw" else _PARTS[match[1]](version), rule.pattern)
    exact = rule.is_exact or not stable
    return RuleResult(text, Kind.EXACT if exact else Kind.FLOATING, version, latest=stable)


_PARTS: Final[dict[str, Callable[[Version], str]]] = {
    "version": str,
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
    groups = [one[0] for one in pattern.finditer(text)] if matches_all(rule) else [found[0], *found.groups()]
    group = int(rule.group)
    made = groups[group] if group < len(groups) else None
    if made is None:
        yield RuleResult("", note=f"there is no group {group} in '{text}' by the rule '{rule}', which gives no tag")
        return
    kind, version = _kind_of_part(made, text)
    yield RuleResult(made, kind, version, latest=not is_prerelease_text(text) and not is_prerelease_text(made))


def _kind_of_part(part: str, text: str) -> tuple[Kind, Version | None]:
    """A whole version is exact; leading numbers of a stable one follow its line; anything else is just a word."""
    whole = parse_version(text, _ANY)
    found = parse_version(part)
    if found and (whole is None or whole == found):
        return Kind.EXACT, found
    numbers = parse_version(part, (Scheme.PEP440,))
    if whole is None or numbers is None:
        return Kind.REF, None
    if whole == numbers:
        return Kind.EXACT, numbers
    follows = is_stable(whole) and re.fullmatch(r"[0-9]+(?:\.[0-9]+)*", part) is not None
    length = part.count(".") + 1
    if follows and numbers.numbers[:length] == whole.numbers[:length]:
        return Kind.FLOATING, whole
    return Kind.REF, None


def _ref(rule: Rule, origin: BuildRef) -> Iterator[RuleResult]:
    if rule.event != origin.kind:
        return
    if origin.kind is not RefKind.TAG:
        yield RuleResult(origin.name)
        return
    kind = Kind.REF if origin.version is None else Kind.EXACT
    yield RuleResult(origin.name, kind, origin.version, latest=not is_prerelease_text(origin.name))


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

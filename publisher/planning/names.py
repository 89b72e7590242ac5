"""The names that rules make: of what is built now, and of any version, as if it were released."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from publisher.model.errors import BadReference
from publisher.model.plan import Kind
from publisher.model.reference import Tag
from publisher.model.value import Value
from publisher.planning.apply import RuleResult, apply_rule, apply_rule_to_version
from publisher.planning.build_ref import RefKind
from publisher.planning.expressions import BadExpression, expand, expand_dates
from publisher.planning.flavor import Latest
from publisher.planning.rules import MARKER, RuleType, bad_rule, is_marker
from publisher.planning.version import is_stable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.planning.build_ref import BuildRef
    from publisher.planning.rules import Rule, Ruleset
    from publisher.planning.version import Version

_FORBIDDEN: Final = re.compile(r"[^A-Za-z0-9._-]+")
# These follow no version, so what they give stays a ref tag even where a version would give the same name.
_FIXED: Final = frozenset({RuleType.SCHEDULE, RuleType.EDGE, RuleType.RAW, RuleType.SHA, RuleType.REF})


class Name(Value, frozen=True):
    """A tag that a rule gave; `rule` is None for `latest`, `version` None where no version made it."""

    tag: Tag
    kind: Kind
    rule: Rule | None = None
    version: Version | None = None


class Naming(Value, frozen=True):
    """All names, in order, each once, and what the user should know of them."""

    names: tuple[Name, ...] = ()
    warnings: tuple[str, ...] = ()


def bind(ruleset: Ruleset, origin: BuildRef) -> Ruleset:
    """Put in the values of expressions, leave out what is not enabled; raises ConfigError that names the rule."""
    bound = [rule for one in ruleset.rules if (rule := _bind(one, ruleset, origin))]
    flavor = replace(
        ruleset.flavor,
        prefix=_flavored(ruleset.flavor.prefix, origin),
        suffix=_flavored(ruleset.flavor.suffix, origin),
    )
    claimed = {
        _sanitized(rule, result.text)
        for rule in bound
        if rule.type in _FIXED
        for result in apply_rule(rule, origin)
        if result.kind is Kind.REF and result.text
    }
    styles = (*_style(origin), *ruleset.styles)
    return replace(ruleset, rules=tuple(bound), flavor=flavor, styles=styles, claimed=frozenset(claimed))


def _flavored(text: str, origin: BuildRef) -> str:
    try:
        return expand(text, origin)
    except BadExpression as error:
        raise bad_rule(f"flavor {text}", str(error)) from error


def _bind(rule: Rule, ruleset: Ruleset, origin: BuildRef) -> Rule | None:
    prefix = ruleset.flavor.prefix if rule.prefix is None else rule.prefix
    suffix = ruleset.flavor.suffix if rule.suffix is None else rule.suffix
    try:
        enable = expand(rule.enable, origin)
        bound = dataclasses.replace(
            rule,
            prefix=expand(prefix, origin),
            suffix=expand(suffix, origin),
            value=None if rule.value is None else expand(rule.value, origin),
            pattern=expand_dates(rule.pattern, origin) if rule.type is RuleType.SCHEDULE else rule.pattern,
            written=str(rule),
        )
    except BadExpression as error:
        raise bad_rule(rule, str(error)) from error
    if enable not in {"true", "false"}:
        raise bad_rule(
            rule, f"enable is '{enable}'", "it is true or false, or an expression such as {{is_default_branch}}"
        )
    return bound if enable == "true" else None


def _style(origin: BuildRef) -> tuple[tuple[str, str], ...]:
    """What stands around the version in the ref that is built."""
    if origin.kind is not RefKind.TAG or origin.version is None:
        return ()
    before, found, after = origin.name.partition(str(origin.version))
    return ((before, after),) if found else ()


def names(ruleset: Ruleset, origin: BuildRef) -> Naming:
    """What the bound rules make of `origin`; `latest` comes last. Raises BadReference for a bad tag, ConfigError."""
    if origin.kind is RefKind.NONE and not origin.revision:
        return Naming()
    given = [(rule, one) for rule in ruleset.rules for one in apply_rule(rule, origin)]
    notes = [one.note for _, one in given if one.note]
    made = _made(ruleset, given)
    found, mixed = _each_once(made)
    return Naming(found, tuple(dict.fromkeys([*notes, *mixed, *_doubts(ruleset, found)])))


def version_names(ruleset: Ruleset, version: Version) -> tuple[Name, ...]:
    """What the version-typed rules make of a version, as if it were released now; no name that is claimed."""
    given = [(rule, one) for rule in ruleset.rules if (one := apply_rule_to_version(rule, version, ruleset.styles))]
    if not any(one.version for _, one in given):
        return ()
    found, _ = _each_once([name for name in _made(ruleset, given) if name.version])
    return tuple(name for name in found if name.tag not in ruleset.claimed) if ruleset.claimed else found


def _made(ruleset: Ruleset, given: Iterable[tuple[Rule, RuleResult]]) -> list[Name]:
    """The names, and `latest` as the flavor or the first of them decides."""
    made: list[Name] = []
    latest = ruleset.flavor.latest is Latest.TRUE
    version: Version | None = None
    for rule, one in given:
        if one.note or (rule.bare and not one.text):
            continue
        text = _sanitized(rule, one.text)
        if not made and ruleset.flavor.latest is Latest.AUTO:
            latest = one.latest
        made.append(Name(_tag(rule, text), one.kind, rule, one.version))
        version = version or one.version
    if made and latest:
        made.append(Name(_latest(ruleset), Kind.FLOATING, None, version))
    return made


def _latest(ruleset: Ruleset) -> Tag:
    return Tag.parse(_FORBIDDEN.sub("-", ruleset.flavor.latest_name))


def _each_once(made: list[Name]) -> tuple[tuple[Name, ...], list[str]]:
    """Each tag once, where it stands first; one that two kinds of rules make is a ref tag."""
    found: dict[Tag, Name] = {}
    mixed: list[str] = []
    for name in made:
        first = found.setdefault(name.tag, name)
        if first.kind is not name.kind:
            found[name.tag] = replace(first, kind=Kind.REF, version=None)
            mixed.append(
                f"{name.tag} is made by two kinds of rules, {_who(first)} and {_who(name)}; "
                "it is written as asked, with no check that it only moves forward"
            )
    return tuple(found.values()), mixed


def _who(name: Name) -> str:
    return f"'{name.rule}'" if name.rule else "the flavor's latest"


def _doubts(ruleset: Ruleset, found: tuple[Name, ...]) -> list[str]:
    """What the rules allow but the user may not have meant."""
    doubts = []
    floating = [name for name in found if name.kind is Kind.FLOATING and name.version]
    if floating and not any(rule.is_exact for rule in ruleset.rules) and Kind.EXACT not in {one.kind for one in found}:
        doubts.append(
            f"{floating[0].tag} follows a version, but no rule makes that version's own tag: nothing shows which "
            "versions are published, so nothing is held back; add type=semver,pattern={{version}}"
        )
    doubts += [
        f"{name.tag} would point to {name.version}, which is no stable version, as latest=true asks"
        for name in floating
        if name.version and not is_stable(name.version)
    ]
    return doubts


def _sanitized(rule: Rule, text: str) -> str:
    return _FORBIDDEN.sub("-", f"{rule.prefix or ''}{text}{rule.suffix or ''}")


def _tag(rule: Rule, made: str) -> Tag:
    if is_marker(made):
        raise BadReference(
            f"the rule '{rule}' made the tag '{made}', but {MARKER}VERSION is how publish marks a yanked version",
            hint="rename the branch, or give --version",
        )
    try:
        return Tag.parse(made)
    except BadReference as error:
        raise BadReference(f"the rule '{rule}' made no valid tag: {error.message}") from error

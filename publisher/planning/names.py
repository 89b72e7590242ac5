"""The names that rules make: of what is built now, and of any version, as if it were released."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from publisher.model.errors import BadReference, BadRule
from publisher.model.plan import Kind
from publisher.model.reference import Tag
from publisher.model.value import Value
from publisher.planning.apply import RuleResult, apply_rule, apply_rule_to_version
from publisher.planning.build_ref import RefKind
from publisher.planning.expressions import BadExpression, expand, expand_dates
from publisher.planning.flavor import Latest
from publisher.planning.rules import MARKER, RuleType, bad_rule
from publisher.planning.tag_reader import FORBIDDEN, tag_reader
from publisher.planning.version import is_stable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from publisher.planning.build_ref import BuildRef
    from publisher.planning.rules import Rule, Ruleset
    from publisher.planning.tag_reader import TagReader
    from publisher.planning.version import Version

# These follow no version, so what they give stays a ref tag even where a version would give the same name.
_FIXED: Final = frozenset({RuleType.SCHEDULE, RuleType.EDGE, RuleType.RAW, RuleType.SHA, RuleType.REF})


# A label may hold the + that a tag can't; whoever reads the tag back learns from it what the dash stands for.
_UNLABELLED: Final = re.compile(r"[^A-Za-z0-9._+-]+")


class Name(Value, frozen=True):
    """A tag that a rule gave; `rule` is None for `latest`, `version` None where no version made it.

    label: the tag as the image's label states it, the + of build metadata kept.
    clash: why an exact name can't be written, in a sentence: it reads back as something else. "" where it can.
    """

    tag: Tag
    kind: Kind
    rule: Rule | None = None
    version: Version | None = None
    label: str = ""
    clash: str = ""


class Naming(Value, frozen=True):
    """All names, in order, each once, and what the user should know of them."""

    names: tuple[Name, ...] = ()
    warnings: tuple[str, ...] = ()


def bind(ruleset: Ruleset, origin: BuildRef) -> Ruleset:
    """Put in the values of expressions, set aside what is not enabled; raises ConfigError that names the rule."""
    bound = [(_bind(rule, ruleset, origin), _is_enabled(rule, origin)) for rule in ruleset.rules]
    enabled = tuple(rule for rule, is_enabled in bound if is_enabled)
    flavor = replace(
        ruleset.flavor,
        prefix=_flavored(ruleset.flavor.prefix, origin),
        suffix=_flavored(ruleset.flavor.suffix, origin),
    )
    claimed = {
        _sanitized(rule, result.text)
        for rule in enabled
        if rule.type in _FIXED
        for result in apply_rule(rule, origin)
        if result.kind is Kind.REF and result.text
    }
    disabled = tuple(rule for rule, is_enabled in bound if not is_enabled)
    return replace(ruleset, rules=enabled, disabled=disabled, flavor=flavor, claimed=frozenset(claimed))


def _flavored(text: str, origin: BuildRef) -> str:
    try:
        return expand(text, origin)
    except BadExpression as error:
        raise BadRule(f"the flavor '{text}' is wrong: {error}", rule=text) from error


def _bind(rule: Rule, ruleset: Ruleset, origin: BuildRef) -> Rule:
    prefix = ruleset.flavor.prefix if rule.prefix is None else rule.prefix
    suffix = ruleset.flavor.suffix if rule.suffix is None else rule.suffix
    try:
        return dataclasses.replace(
            rule,
            prefix=expand(prefix, origin),
            suffix=expand(suffix, origin),
            value=None if rule.value is None else expand(rule.value, origin),
            pattern=expand_dates(rule.pattern, origin) if rule.type is RuleType.SCHEDULE else rule.pattern,
            varies="{{" in f"{prefix}{suffix}",
            written=str(rule),
        )
    except BadExpression as error:
        raise bad_rule(rule, str(error)) from error


def _is_enabled(rule: Rule, origin: BuildRef) -> bool:
    try:
        enable = expand(rule.enable, origin)
    except BadExpression as error:
        raise bad_rule(rule, str(error)) from error
    if enable not in {"true", "false"}:
        raise bad_rule(
            rule, f"enable is '{enable}'", "it is true or false, or an expression such as {{is_default_branch}}"
        )
    return enable == "true"


def names(ruleset: Ruleset, origin: BuildRef) -> Naming:
    """What the bound rules make of `origin`; `latest` comes last. Raises BadReference for a bad tag, ConfigError."""
    if origin.kind is RefKind.NONE and not origin.revision:
        return Naming()
    results = [(rule, result) for rule in ruleset.rules for result in apply_rule(rule, origin)]
    notes = [result.note for _, result in results if result.note]
    unique, mixed = _each_once(_following(_read_back(ruleset, _named(ruleset, results))))
    return Naming(unique, tuple(dict.fromkeys([*notes, *mixed, *_doubts(ruleset, unique)])))


def version_names(ruleset: Ruleset, version: Version) -> tuple[Name, ...]:
    """What the version-typed rules make of a version, as if it were released now; no name that is claimed."""
    results = [(rule, result) for rule in ruleset.rules if (result := apply_rule_to_version(rule, version))]
    if not any(result.version for _, result in results):
        return ()
    reader = tag_reader(ruleset)
    named = [name for name in _following(_named(ruleset, results)) if name.version]
    unique, _ = _each_once([_floated(reader, name) if name.kind is Kind.EXACT else name for name in named])
    return tuple(name for name in unique if name.tag not in ruleset.claimed) if ruleset.claimed else unique


def _named(ruleset: Ruleset, results: Iterable[tuple[Rule, RuleResult]]) -> list[Name]:
    """The names, and `latest` as the flavor or the first of them decides."""
    named: list[Name] = []
    latest = ruleset.flavor.latest is Latest.TRUE
    for rule, result in results:
        if result.note or (rule.bare and not result.text):
            continue
        if not named and ruleset.flavor.latest is Latest.AUTO:
            latest = result.latest
        tag = _tag(ruleset, rule, _sanitized(rule, result.text))
        named.append(Name(tag, result.kind, rule, result.version, _label(rule, result.text)))
    if named and latest:
        version = next((name.version for name in named if name.version), None)
        named.append(Name(_latest(ruleset), Kind.FLOATING, None, version, str(_latest(ruleset))))
    return named


def _following(named: list[Name]) -> list[Name]:
    """Each floating name with the version that it follows: as an exact tag tells it, where there is one."""
    exact = [name for name in named if name.version and name.kind is Kind.EXACT and _tells(name)]
    exact = [name for name in exact if not name.clash] or exact
    return [replace(name, version=_followed(name, exact)) if name.kind is Kind.FLOATING else name for name in named]


def _tells(name: Name) -> bool:
    """Whether the tag tells which version it names: a prerelease is written whole, whatever the pattern."""
    if name.rule is None:
        return False
    is_whole = name.rule.scheme is not None and name.version is not None and not is_stable(name.version)
    return name.rule.names_versions or (name.rule.is_fixed and is_whole)


def _followed(name: Name, exact: Sequence[Name]) -> Version | None:
    """The version that a floating tag follows, with build metadata only if an exact tag keeps it."""
    if name.version is None:
        return None
    plain = name.version.without_build()
    same = [other.version for other in exact if other.version and other.version.without_build() == plain]
    # Rules of two types may count one text differently; the exact tag's way is what will be read back.
    of_ref = [other.version for other in exact if other.version and _of_ref(name) and _of_ref(other)]
    return max(same or of_ref, default=plain)


def _of_ref(name: Name) -> bool:
    return name.rule is None or name.rule.value is None


def _latest(ruleset: Ruleset) -> Tag:
    return Tag.parse(FORBIDDEN.sub("-", ruleset.flavor.latest_name))


def _read_back(ruleset: Ruleset, named: Iterable[Name]) -> list[Name]:
    """Hold each exact name against what it will read back as, whatever is released then."""
    return [_held_to_version(ruleset, name) if name.kind is Kind.EXACT else name for name in named]


def _held_to_version(ruleset: Ruleset, name: Name) -> Name:
    tag = str(name.tag)
    if not _tells(name):
        return replace(name, version=None)
    reader = tag_reader(ruleset)
    readings = reader.readings(tag)
    for reading in readings:
        # As it reads back: what is written as 1.2.3 for 1.2.3.0 will be 1.2.3 to every later look.
        if name.version and reading.says(name.version):
            return _floated(reader, replace(name, version=reading.version))
    if not readings:
        return replace(name, version=None)
    return replace(name, clash=f"{tag} is the tag of version {readings[0].version}, and this is {name.version}")


def _floated(reader: TagReader, name: Name) -> Name:
    """A whole version's name that is also a line's, as PEP 440's 1.2 beside 1.2.3, floats."""
    return replace(name, kind=Kind.FLOATING) if reader.floats(str(name.tag)) else name


def _each_once(made: list[Name]) -> tuple[tuple[Name, ...], list[str]]:
    """Each tag once, where it stands first; a line's name floats, and one that a ref rule makes too is a ref tag."""
    found: dict[Tag, Name] = {}
    mixed: list[str] = []
    for name in made:
        first = found.setdefault(name.tag, name)
        if {first.kind, name.kind} == {Kind.EXACT, Kind.FLOATING}:
            found[name.tag] = replace(first, kind=Kind.FLOATING)
        elif first.kind is not name.kind:
            found[name.tag] = replace(first, kind=Kind.REF, version=None)
            mixed.append(
                f"{name.tag} is made by two kinds of rules, {_who(first)} and {_who(name)}; "
                "it is written as asked, with no check that it only moves forward"
            )
    return tuple(found.values()), mixed


def _who(name: Name) -> str:
    return f"'{name.rule}'" if name.rule else "the flavor's latest"


def _doubts(ruleset: Ruleset, named: tuple[Name, ...]) -> Iterator[str]:
    """What the rules allow but the user may not have meant."""
    yield from (f"{name.clash}, by the rule '{name.rule}'" for name in named if name.clash)
    yield from (_unreadable(name) for name in named if name.kind is Kind.EXACT and name.version is None)
    yield from _two_versions(named)
    floating = [name for name in named if name.kind is Kind.FLOATING and name.version]
    if (
        floating
        and not any(rule.is_exact and rule.names_versions for rule in ruleset.rules)
        and not _own(ruleset, named)
    ):
        yield (
            f"{floating[0].tag} follows a version, but no rule makes that version's own tag: nothing shows which "
            "versions are published, so nothing is held back; add type=semver,pattern={{version}}"
        )
    for name in floating:
        if name.rule is None and name.version and not is_stable(name.version):
            yield f"{name.tag} would point to {name.version}, which is no stable version, as latest=true asks"


def _two_versions(named: Iterable[Name]) -> Iterator[str]:
    """That rules of two types count one text differently, so that it is released as two versions."""
    exact = [name for name in named if name.kind is Kind.EXACT and name.version and not name.clash and _of_ref(name)]
    counted = {name.version.without_build(): name for name in reversed(exact) if name.version}
    if len(counted) > 1:
        said = " and ".join(f"{name.version} by the rule '{name.rule}'" for name in reversed(counted.values()))
        yield f"what is built is two versions, {said}; name one type, or a tag that both count alike"


def _own(ruleset: Ruleset, named: Iterable[Name]) -> bool:
    """Whether some name tells its version back, as it was written: 1.1, the line of 1.1.0, doesn't."""
    reader = tag_reader(ruleset)
    own = [name for name in named if name.rule and name.rule.names_versions]
    readings_by_version = ((name.version, reader.readings(str(name.tag))) for name in own if name.version)
    return any(reading.version.raw == version.raw for version, readings in readings_by_version for reading in readings)


def _unreadable(name: Name) -> str:
    return (
        f"the rule '{name.rule}' writes {name.tag}, which doesn't tell its version back, so it publishes none; "
        "no floating tag is held back by it: add type=semver,pattern={{version}}"
    )


def _sanitized(rule: Rule, text: str) -> str:
    return FORBIDDEN.sub("-", f"{rule.prefix or ''}{text}{rule.suffix or ''}")


def _label(rule: Rule, text: str) -> str:
    return _UNLABELLED.sub("-", f"{rule.prefix or ''}{text}{rule.suffix or ''}")


def _tag(ruleset: Ruleset, rule: Rule, made: str) -> Tag:
    if made.startswith(MARKER) and tag_reader(ruleset).is_marker(made):
        raise BadReference(
            f"the rule '{rule}' made the tag '{made}', but {MARKER}VERSION is how publish marks a yanked version",
            hint="rename the branch, or give --version",
        )
    try:
        return Tag.parse(made)
    except BadReference as error:
        raise BadReference(f"the rule '{rule}' made no valid tag: {error.message}") from error

"""Tags that the rules may give an image, now or in another run.

It stands alone: a plan asks what is written now, this what could ever be.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from publisher.model.plan import Kind
from publisher.planning.flavor import Latest
from publisher.planning.names import names
from publisher.planning.rules import MARKER, RuleType
from publisher.planning.tag_reader import FORBIDDEN, affixes, tag_reader

if TYPE_CHECKING:
    from publisher.planning.build_ref import BuildRef
    from publisher.planning.names import Naming
    from publisher.planning.rules import Rule, Ruleset

_FALLBACK: Final = re.compile(r"sha(?:256|512)-[0-9a-f]+(?:\..+)?")
"""Where referrers are kept by registries without an API for them."""


def is_reserved(ruleset: Ruleset, tag: str) -> bool:
    """Whether `tag` is one that the rules write, whatever version is released, or that publish itself writes.

    A branch may have any name: of those only the ones of this run are known.
    """
    if tag in ruleset.claimed or tag.startswith(MARKER) or _FALLBACK.fullmatch(tag):
        return True
    reader = tag_reader(ruleset)
    if reader.readings(tag) or reader.floats(tag):
        return True
    shapes = (_shape(rule, ruleset) for rule in (*ruleset.rules, *ruleset.disabled))
    return any(re.fullmatch(shape, tag) for shape in shapes if shape)


def pull_request_names(ruleset: Ruleset, origin: BuildRef) -> Naming:
    """What a pull request may write: tags of `ref,event=pr` and `sha`, but none that a version's rule could make.

    Its code is not the project's yet: nobody who follows a version, a branch or a word gets it.
    """
    everything = names(ruleset, origin)
    rules = tuple(rule for rule in ruleset.rules if _is_of_pull_request(rule))
    own = names(replace(ruleset, rules=rules, flavor=replace(ruleset.flavor, latest=Latest.FALSE)), origin)
    own_names = tuple(name for name in own.names if not _is_of_versions(ruleset, str(name.tag)))
    own_tags = {name.tag for name in own_names}
    others = [str(name.tag) for name in everything.names if name.tag not in own_tags]
    warning = f"a pull request writes the tags of ref,event=pr and sha only; left out: {', '.join(others)}"
    return replace(own, names=own_names, warnings=(*own.warnings, *((warning,) if others else ())))


def _is_of_pull_request(rule: Rule) -> bool:
    return rule.type is RuleType.SHA or (rule.type is RuleType.REF and rule.event == "pr")


def _is_of_versions(ruleset: Ruleset, tag: str) -> bool:
    """Whether an exact or a floating tag is called so, by the rules or by what people call tags."""
    return tag_reader(ruleset).kind_of(tag) is not Kind.REF or tag == FORBIDDEN.sub("-", ruleset.flavor.latest_name)


def _shape(rule: Rule, ruleset: Ruleset) -> str:
    """What a rule that follows no version gives in other runs; "" where that can be anything."""
    middle = ""
    if rule.type is RuleType.SHA:
        middle = "[0-9a-f]{7,64}"
    elif rule.type is RuleType.REF and rule.event == "pr":
        middle = "[0-9]+"
    elif rule.type is RuleType.RAW:
        middle = re.escape(FORBIDDEN.sub("-", rule.value or ""))
    elif rule.type is RuleType.SCHEDULE:
        middle = re.escape(FORBIDDEN.sub("-", rule.pattern))
    elif rule.type is RuleType.EDGE:
        middle = "edge"
    prefix, suffix = map(re.escape, affixes(rule, ruleset))
    return f"{prefix}{middle}{suffix}" if middle else ""

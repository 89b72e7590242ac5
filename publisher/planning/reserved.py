"""Tags that the rules may give an image, now or in another run.

It stands alone: a plan asks what is written now, this what could ever be.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from publisher.planning.rules import MARKER, RuleType
from publisher.planning.tag_reader import FORBIDDEN, affixes, tag_reader

if TYPE_CHECKING:
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

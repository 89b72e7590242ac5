"""Tags that the rules may give an image, now or in another run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from publisher.planning.lines import exact_tags, shapes
from publisher.planning.rules import MARKER, RuleType

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
    if exact_tags(ruleset, [tag]) or shapes(ruleset).fullmatch(tag):
        return True
    return any(re.fullmatch(shape, tag) for rule in ruleset.rules if (shape := _shape(rule)))


def _shape(rule: Rule) -> str:
    """What a rule that follows no version gives in other runs; "" where that can be anything."""
    middle = ""
    if rule.type is RuleType.SHA:
        middle = "[0-9a-f]{7,64}"
    elif rule.type is RuleType.REF and rule.event == "pr":
        middle = "[0-9]+"
    elif rule.type is RuleType.RAW:
        middle = re.escape(rule.value or "")
    elif rule.type in {RuleType.SCHEDULE, RuleType.EDGE}:
        middle = re.escape(rule.pattern or rule.branch or "edge")
    return f"{re.escape(rule.prefix or '')}{middle}{re.escape(rule.suffix or '')}" if middle else ""

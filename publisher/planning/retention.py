"""Which tags of a repository go: a pure function of what is there and the [retention] policy."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from publisher.model.digest import Digest
from publisher.model.errors import BadReference
from publisher.model.value import Value
from publisher.planning.lines import Published, published_versions, shapes
from publisher.planning.rules import is_marker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from publisher.model.settings import RetentionSettings
    from publisher.planning.rules import Ruleset

# How signatures and other referrers are tagged where a registry has no API for them.
_REFERRER: Final = re.compile(r"(sha256|sha512)-([0-9a-f]{64,128})(?:\..*)?")


class Stored(Value, frozen=True):
    """One tag as a registry holds it. entries: what its index lists. pushed: when, None where nobody knows."""

    tag: str
    digest: Digest
    entries: frozenset[Digest] = frozenset()
    pushed: datetime | None = None


class RetentionDecision(Value, frozen=True):
    """Whether a tag stays, and why."""

    stored: Stored
    kept: bool
    reason: str


def decide_retention(
    ruleset: Ruleset, policy: RetentionSettings, found: Sequence[Stored], now: datetime
) -> tuple[RetentionDecision, ...]:
    """What becomes of each tag, in the order given.

    A tag stays if it floats, marks a yanked version, is one of the newest versions, fits `keep`, or is young; with a
    floating tag stays all that holds the same content; with an index what it lists; with content its signatures.
    Without `max-age-days` no age keeps a tag; an age that nobody knows counts as young.
    """
    shape = shapes(ruleset)
    floating = {one.digest: one.tag for one in found if shape.fullmatch(one.tag)}
    reasons = {one.tag: reason for one in found if (reason := _own_reason(shape, policy, one, now))}
    reasons |= _newest(ruleset, policy.keep_last, found) | reasons
    reasons |= {one.tag: f"{floating[one.digest]} points to it" for one in found if one.digest in floating} | reasons
    while more := dict(_drawn(found, reasons)):
        reasons |= more
    return tuple(RetentionDecision(one, one.tag in reasons, reasons.get(one.tag, "nothing keeps it")) for one in found)


def _own_reason(floating: re.Pattern[str], policy: RetentionSettings, one: Stored, now: datetime) -> str:
    if is_marker(one.tag):
        return "marks a yanked version"
    if floating.fullmatch(one.tag):
        return "a floating tag"
    if fitting := next((pattern for pattern in policy.keep if re.fullmatch(pattern, one.tag)), None):
        return f"fits keep '{fitting}'"
    return _young(policy.max_age_days, one.pushed, now)


def _young(days: int | None, pushed: datetime | None, now: datetime) -> str:
    if days is None:
        return ""
    if pushed is None:
        return "its age is not known"
    return f"younger than {days} days" if now - pushed < timedelta(days=days) else ""


def _newest(ruleset: Ruleset, count: int, found: Sequence[Stored]) -> dict[str, str]:
    state = Published(frozenset(one.tag for one in found), {one.tag: one.digest for one in found})
    versions = sorted(published_versions(ruleset, state).items(), reverse=True)
    said = "the newest version" if count == 1 else f"one of the newest {count} versions"
    return {tag: said for _version, held in versions[:count] for tag in held.tags}


def _drawn(found: Sequence[Stored], reasons: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What stays because of something that stays; a marker keeps only itself."""
    staying = [one for one in found if one.tag in reasons and not is_marker(one.tag)]
    listed = {entry: one.tag for one in staying for entry in one.entries}
    held = {one.digest: one.tag for one in staying}
    known = {digest for one in found for digest in (one.digest, *one.entries)}
    for one in found:
        subject = _subject(one.tag)
        if one.tag in reasons:
            continue
        if one.digest in listed:
            yield one.tag, f"{listed[one.digest]} lists it"
        elif subject and (holder := held.get(subject) or listed.get(subject)):
            yield one.tag, f"belongs to {holder}"
        elif subject and subject not in known:
            yield one.tag, "belongs to content that no tag names"


def _subject(tag: str) -> Digest | None:
    """What a signature or another referrer is about, as its tag says."""
    match = _REFERRER.fullmatch(tag)
    try:
        return Digest.parse(f"{match[1]}:{match[2]}") if match else None
    except BadReference:
        return None

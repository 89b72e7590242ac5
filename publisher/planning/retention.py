"""Which tags of a repository go: a pure function of what is there and the [retention] policy."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from publisher.model.digest import Digest
from publisher.model.errors import BadReference
from publisher.model.value import Value
from publisher.planning.lines import Published, published_versions
from publisher.planning.tag_reader import tag_reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from publisher.model.settings import RetentionSettings
    from publisher.planning.rules import Ruleset
    from publisher.planning.tag_reader import TagReader

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
    ruleset: Ruleset, policy: RetentionSettings, stored: Sequence[Stored], now: datetime
) -> tuple[RetentionDecision, ...]:
    """What becomes of each tag, in the order given.

    A tag stays if it floats, marks a yanked version, is one of the newest versions, fits `keep`, or is young; with a
    floating tag stays all that holds the same content; with an index what it lists; with content its signatures.
    Without `max-age-days` no age keeps a tag; an age that nobody knows counts as young.
    """
    reader = tag_reader(ruleset)
    floating = {each.digest: each.tag for each in stored if reader.floats(each.tag)}
    newest = _newest(ruleset, policy.keep_last, stored)
    reasons: dict[str, str] = {}
    for each in stored:
        pointed = f"{floating[each.digest]} points to it" if each.digest in floating else ""
        # The first reason that there is, is told.
        if reason := _own_reason(reader, policy, each, now) or newest.get(each.tag) or pointed:
            reasons[each.tag] = reason
    while more := dict(_drawn(reader, stored, reasons)):
        reasons |= more
    return tuple(
        RetentionDecision(each, each.tag in reasons, reasons.get(each.tag, "nothing keeps it")) for each in stored
    )


def _own_reason(reader: TagReader, policy: RetentionSettings, stored: Stored, now: datetime) -> str:
    if reader.is_marker(stored.tag):
        return "marks a yanked version"
    if reader.floats(stored.tag):
        return "a floating tag"
    if fitting := next((pattern for pattern in policy.keep if re.fullmatch(pattern, stored.tag)), None):
        return f"fits keep '{fitting}'"
    return _young(policy.max_age_days, stored.pushed, now)


def _young(days: int | None, pushed: datetime | None, now: datetime) -> str:
    if days is None:
        return ""
    if pushed is None:
        return "its age is not known"
    return f"younger than {days} days" if now - pushed < timedelta(days=days) else ""


def _newest(ruleset: Ruleset, count: int, stored: Sequence[Stored]) -> dict[str, str]:
    state = Published(frozenset(each.tag for each in stored), {each.tag: each.digest for each in stored})
    versions = sorted(published_versions(ruleset, state).items(), reverse=True)
    reason = "the newest version" if count == 1 else f"one of the newest {count} versions"
    return {tag: reason for _version, published in versions[:count] for tag in published.tags}


def _drawn(reader: TagReader, stored: Sequence[Stored], reasons: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What stays because of something that stays; a marker keeps only itself."""
    staying = [each for each in stored if each.tag in reasons and not reader.is_marker(each.tag)]
    listed = {entry: each.tag for each in staying for entry in each.entries}
    holders = {each.digest: each.tag for each in staying}
    known = {digest for each in stored for digest in (each.digest, *each.entries)}
    for each in stored:
        subject = _subject(each.tag)
        if each.tag in reasons:
            continue
        if each.digest in listed:
            yield each.tag, f"{listed[each.digest]} lists it"
        elif subject and (holder := holders.get(subject) or listed.get(subject)):
            yield each.tag, f"belongs to {holder}"
        elif subject and subject not in known:
            yield each.tag, "belongs to content that no tag names"


def _subject(tag: str) -> Digest | None:
    """What a signature or another referrer is about, as its tag says."""
    match = _REFERRER.fullmatch(tag)
    try:
        return Digest.parse(f"{match[1]}:{match[2]}") if match else None
    except BadReference:
        return None

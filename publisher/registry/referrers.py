"""What refers to content: read by the referrers API or by the tag that stands in for it, and kept in that tag.

Source: distribution-spec, "Listing referrers", "Pushing manifests with subject" and "Referrers tag schema".
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from publisher.http.pages import PageTrail
from publisher.model import media
from publisher.model.errors import Unreachable, VerificationFailed
from publisher.model.manifest import Descriptor, Index, Manifest, compose_index, parse_manifest
from publisher.model.reference import Tag
from publisher.model.value import Value
from publisher.registry.answers import ErrorResponse
from publisher.registry.pages import pages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.http.message import Response
    from publisher.model.digest import Digest
    from publisher.model.manifest import Content
    from publisher.registry.repository import RemoteRepository

MOST_REFERRERS: Final = 1_000
"""To one subject."""
_MERGES: Final = 8
_SHORTEST_WAIT: Final = 0.4
_LONGEST_WAIT: Final = 2.0
_CONTENDED_WAIT: Final = 1.0
"""Where others have written to the list, the slowest of them may still be between its look and its write."""
_API_DELAYS: Final = (0.2, 0.5, 1.0, 2.0, 4.0)
_OK: Final = 200
_NOT_FOUND: Final = 404


class ReferrerList(Value, frozen=True):
    """What refers to one digest. by_api: whether the registry keeps this list by itself."""

    entries: tuple[Descriptor, ...]
    by_api: bool

    def lacks(self, entries: Sequence[Descriptor]) -> tuple[Descriptor, ...]:
        """Those of `entries` that it doesn't hold as they are."""
        return tuple(entry for entry in entries if entry not in self.entries)


def fallback_tag(subject: Digest) -> Tag:
    """The tag that lists what refers to `subject` where there is no API for it."""
    return Tag(f"{subject.algorithm}-{subject.hex}"[:128])


def referrer_entry(content: Content) -> Descriptor:
    """How a list speaks of an artifact: by the artifact's own words.

    Some tools write lists without types and annotations, or with wrong ones, and others then find nothing.
    """
    config = content.config.media_type if isinstance(content, Manifest) else ""
    return Descriptor(
        content.media_type,
        content.digest,
        len(content.content),
        annotations=dict(content.annotations),
        artifact_type=content.artifact_type or config,
    )


def read_referrers(remote: RemoteRepository, subject: Digest) -> ReferrerList:
    """What refers to `subject`: by the API, else by the tag that stands in for it."""
    if remote.lists_referrers is False:
        return ReferrerList(_tagged(remote, subject), by_api=False)
    trail = PageTrail(f"the list of what refers to {subject}", remote.repository.at(subject))
    entries: list[Descriptor] = []

    def fetch(url: str) -> Response:
        return remote.request("GET", url, headers={"Accept": media.OCI_INDEX})

    for page in pages(remote.url(f"referrers/{subject}"), fetch, trail):
        if page.status != _OK:
            # Of a repository that doesn't exist yet, registries with the API say this too.
            is_final = page.status == _NOT_FOUND and "NAME_UNKNOWN" not in ErrorResponse.read(page).codes
            remote.lists_referrers = False if is_final else None
            return ReferrerList(_tagged(remote, subject), by_api=False)
        content = parse_manifest(page.content, media.OCI_INDEX)
        listed = content.manifests if isinstance(content, Index) else ()
        trail.count(len(listed))
        entries.extend(listed)
        _check_count(remote, subject, entries)
    return ReferrerList(_each_once(entries), by_api=True)


def _check_count(remote: RemoteRepository, subject: Digest, entries: Sequence[Descriptor]) -> None:
    if len(entries) > MOST_REFERRERS:
        message = f"more than {MOST_REFERRERS:,} artifacts refer to {subject} in {remote.repository}"
        raise VerificationFailed(message, reference=remote.repository.at(subject))


def _each_once(entries: Sequence[Descriptor]) -> tuple[Descriptor, ...]:
    """Of several entries for one digest the first."""
    by_digest: dict[Digest, Descriptor] = {}
    for entry in entries:
        by_digest.setdefault(entry.digest, entry)
    return tuple(by_digest.values())


def _tagged(remote: RemoteRepository, subject: Digest) -> tuple[Descriptor, ...]:
    content = remote.find(fallback_tag(subject))
    return content.manifests if isinstance(content, Index) else ()


def list_referrers(remote: RemoteRepository, subject: Digest, artifacts: Sequence[Content]) -> bool:
    """Let artifacts that are there be found by their subject; returns whether the registry lists them by itself.

    Elsewhere the tag that stands in for the API is read, merged and written. No registry has compare-and-swap: whoever
    read before us and writes after us takes our entries out again. So the list counts only once two looks, further
    apart than a write takes, show the same. Those of one machine take turns. Raises Unreachable where it can't be kept.
    """
    entries = [referrer_entry(artifact) for artifact in artifacts]
    listing = read_referrers(remote, subject)
    if listing.by_api:
        _await_api(remote, subject, entries, listing)
    elif listing.lacks(entries):
        with remote.take_turn(fallback_tag(subject)):
            # Read again: whoever had the turn in between has written.
            _merge(remote, subject, entries, _tagged(remote, subject))
    return listing.by_api


def _await_api(remote: RemoteRepository, subject: Digest, entries: Sequence[Descriptor], listing: ReferrerList) -> None:
    """Lists may lag behind what was written."""
    there = {entry.digest for entry in listing.entries}
    for seconds in _API_DELAYS:
        if all(entry.digest in there for entry in entries):
            return
        remote.retry_policy.sleep(seconds)
        there = {entry.digest for entry in read_referrers(remote, subject).entries}
    if not all(entry.digest in there for entry in entries):
        raise _not_kept(remote, subject)


def _merge(
    remote: RemoteRepository, subject: Digest, entries: Sequence[Descriptor], current: Sequence[Descriptor]
) -> None:
    """current: what the list has just been seen to hold."""
    policy = remote.retry_policy
    own = {entry.digest for entry in entries}
    for attempt in range(_MERGES):
        began = policy.clock()
        current = _tagged(remote, subject) if attempt else current
        others = [entry for entry in current if entry.digest not in own]
        index = compose_index((*others, *entries))
        remote.put(index, fallback_tag(subject))
        # Others' writes take about as long as ours did.
        window = min(max(_SHORTEST_WAIT, 4 * (policy.clock() - began)), _LONGEST_WAIT)
        if attempt or others:
            window = max(window, _CONTENDED_WAIT)
        if _is_kept(remote, subject, index, entries, window):
            return
        policy.sleep(random.uniform(0, window * 2**attempt / 2))
    raise _not_kept(remote, subject)


def _is_kept(
    remote: RemoteRepository, subject: Digest, index: Index, entries: Sequence[Descriptor], window: float
) -> bool:
    """Whether the list holds the entries, and nobody else is at it."""
    before = index.manifests
    for _look in range(_MERGES):
        remote.retry_policy.sleep(window * random.uniform(1, 1.5))
        current = _tagged(remote, subject)
        if current == before or ReferrerList(current, by_api=False).lacks(entries):
            return current == before
        before, window = current, max(window, _CONTENDED_WAIT)
    return True


def _not_kept(remote: RemoteRepository, subject: Digest) -> Unreachable:
    tag = f"{remote.repository}:{fallback_tag(subject)}"
    return Unreachable(
        f"the list of what refers to {subject} in {remote.repository} doesn't keep what is written to it",
        reference=tag,
        hint="others write to it at the same time: run the same command again, it finishes what is left",
    )

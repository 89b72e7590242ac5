"""What refers to content: read by the referrers API or by the tag that stands in for it, and kept in that tag.

Source: distribution-spec, "Listing referrers", "Pushing manifests with subject" and "Referrers tag schema".
"""

from __future__ import annotations

import random
from contextlib import contextmanager
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
    from collections.abc import Callable, Iterator, Sequence

    from publisher.http.message import Response
    from publisher.model.digest import Digest
    from publisher.model.manifest import Content
    from publisher.registry.repository import RemoteRepository

MOST_REFERRERS: Final = 1_000
"""To one subject."""
_MERGES: Final = 8
_SHORTEST_WAIT: Final = 0.25
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

    def names(self, entries: Sequence[Descriptor]) -> bool:
        """Whether it holds artifacts, whatever it says of them."""
        return {entry.digest for entry in entries} <= {entry.digest for entry in self.entries}

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
        return _tagged(remote.find(fallback_tag(subject)))
    trail = PageTrail(f"the list of what refers to {subject}", remote.repository.at(subject))
    entries: list[Descriptor] = []

    def fetch(url: str) -> Response:
        return remote.request("GET", url, headers={"Accept": media.OCI_INDEX})

    for page in pages(remote.url(f"referrers/{subject}"), fetch, trail):
        if page.status != _OK:
            # Of a repository that doesn't exist yet, registries with the API say this too.
            is_final = page.status == _NOT_FOUND and "NAME_UNKNOWN" not in ErrorResponse.read(page).codes
            remote.lists_referrers = False if is_final else None
            return _tagged(remote.find(fallback_tag(subject)))
        content = parse_manifest(page.content, media.OCI_INDEX)
        manifests = content.manifests if isinstance(content, Index) else ()
        trail.count(len(manifests))
        entries.extend(manifests)
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


def _tagged(content: Content | None) -> ReferrerList:
    return ReferrerList(content.manifests if isinstance(content, Index) else (), by_api=False)


def list_referrers(remote: RemoteRepository, subject: Digest, artifacts: Sequence[Content]) -> bool:
    """Let artifacts that are there be found by their subject; returns whether the registry lists them by itself."""
    with listed_referrers(remote, subject, artifacts) as listing:
        return listing.by_api


@contextmanager
def listed_referrers(remote: RemoteRepository, subject: Digest, artifacts: Sequence[Content]) -> Iterator[ReferrerList]:
    """Let artifacts that are there be found by their subject: the list as it was read back, and at the end once more.

    Elsewhere than with the API the tag that stands in for it is read, merged and written. No registry has
    compare-and-swap: whoever read before us and writes after us takes our entries out again. So runs on one machine
    take turns, and for all others the list counts only once two looks, further apart than a write takes, show the same.
    What is done inside costs no time of its own: it would be waited for anyway. Raises Unreachable where the list can't
    be kept.
    """
    entries = [referrer_entry(artifact) for artifact in artifacts]
    listing = read_referrers(remote, subject) if remote.lists_referrers is not False else None
    if listing and listing.by_api:
        yield _await_api(remote, subject, entries, listing)
        return
    tag = fallback_tag(subject)
    with merged_tag(remote, tag, lambda current: _with_entries(current, entries)) as content:
        yield _tagged(content)


def _with_entries(current: Content | None, entries: Sequence[Descriptor]) -> Index | None:
    """A list with entries; None where they are in it as they are."""
    listing = _tagged(current)
    own = {entry.digest for entry in entries}
    others = [entry for entry in listing.entries if entry.digest not in own]
    return compose_index((*others, *entries)) if listing.lacks(entries) else None


def _await_api(
    remote: RemoteRepository, subject: Digest, entries: Sequence[Descriptor], listing: ReferrerList
) -> ReferrerList:
    """Lists may lag behind what was written."""
    for seconds in _API_DELAYS:
        if listing.names(entries):
            return listing
        remote.retry_policy.sleep(seconds)
        listing = read_referrers(remote, subject)
    if not listing.names(entries):
        raise _not_kept(f"{remote.repository}@{subject}")
    return listing


@contextmanager
def merged_tag(
    remote: RemoteRepository, tag: Tag, merge: Callable[[Content | None], Content | None]
) -> Iterator[Content | None]:
    """Write a tag that several writers add to: what it holds as read back, and at the end once more.

    merge: what the tag is to hold instead, with all that it holds now; None where nothing is missing.
    """
    writer = _TagMerger(remote, tag, merge)
    yield writer.write()
    writer.settle()


class _TagMerger:
    """Reads, merges and writes one tag until it holds what it should."""

    def __init__(self, remote: RemoteRepository, tag: Tag, merge: Callable[[Content | None], Content | None]) -> None:
        self._remote, self._tag, self._merge = remote, tag, merge
        self._policy = remote.retry_policy
        self._current: Content | None = None
        self._seen, self._window = 0.0, 0.0

    def write(self) -> Content | None:
        """Read, merge, write and read back."""
        with self._remote.list_lock(str(self._tag)):
            began = self._policy.clock()
            before = self._read()
            merged = self._merge(before)
            if merged is None:
                return before
            self._remote.put(merged, self._tag)
            # Others' writes take about as long as ours did.
            shortest = _CONTENDED_WAIT if before else _SHORTEST_WAIT
            self._window = min(max(shortest, 4 * (self._policy.clock() - began)), _LONGEST_WAIT)
            return self._read()

    def settle(self) -> None:
        """Look again once whoever read before our write has written too, and merge anew what got lost."""
        if not self._window:
            return
        for attempt in range(1, _MERGES + 1):
            if self._is_kept():
                return
            if attempt < _MERGES:
                self._policy.sleep(random.uniform(0, self._window * 2**attempt / 4))
                self.write()
                self._window = max(self._window, _CONTENDED_WAIT)
        raise _not_kept(f"{self._remote.repository}:{self._tag}")

    def _is_kept(self) -> bool:
        """Whether it holds what it should, and nobody else is at it."""
        for _look in range(_MERGES):
            before, wait = self._current, self._window * random.uniform(1, 1.5)
            self._policy.sleep(max(wait - (self._policy.clock() - self._seen), 0))
            current = self._read()
            if self._merge(current) is not None:
                return False
            if current == before:
                return True
            self._window = max(self._window, _CONTENDED_WAIT)
        return True

    def _read(self) -> Content | None:
        self._current = self._remote.find(self._tag)
        self._seen = self._policy.clock()
        return self._current


def _not_kept(tag: str) -> Unreachable:
    return Unreachable(
        f"{tag}, the list of what belongs to an image, doesn't keep what is written to it",
        reference=tag,
        hint="others write to it at the same time: run the same command again, it finishes what is left",
    )

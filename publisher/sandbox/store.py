"""What the sandbox holds: repositories with their blobs, manifests, tags and uploads."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from publisher.model.digest import Digest
from publisher.model.errors import BadReference, UsageError
from publisher.model.manifest import Index, parse_manifest
from publisher.sandbox.tag_history import Details, History, stamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.model.manifest import Content
    from publisher.sandbox.blob_store import BlobBackend, PartialBlob


_MOST_UPLOADS: Final = 200
_IDLE_SECONDS: Final = 60.0
"""After which an upload may be forgotten for another."""


class TooManyUploads(Exception):
    """No more can be begun until others end."""


@dataclass
class UploadSession:
    """An upload under way. `turn`: one request at a time. touched: when it was last asked for."""

    name: str
    blob: PartialBlob
    touched: float = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def size(self) -> int:
        """How many bytes have come."""
        return self.blob.size


class RepositoryRecord(msgspec.Struct, frozen=True):
    """A repository as it is saved: tags to digests, manifests to media types, blobs."""

    name: str
    tags: dict[str, str]
    manifests: dict[str, str]
    blobs: list[str]
    details: Details = Details()


@dataclass
class RepositoryContent:
    """What one repository has. Content is shared: the blob store keeps what several hold once."""

    tags: dict[str, History] = field(default_factory=lambda: defaultdict(History))
    manifests: dict[Digest, str] = field(default_factory=dict)
    blobs: set[Digest] = field(default_factory=set)
    details: Details = field(default_factory=lambda: Details(registered=stamp()))
    put_times: dict[Digest, float] = field(default_factory=dict)


class Store:
    """Repositories over a blob store. Its methods may be called from any thread; some wait for the disk.

    lag: seconds until a change of a tag is seen by resolve(); list_lag: by tags(), if that is longer. collect: seconds
    after which a manifest that no tag leads to is gone. clock: seconds, never going back.
    Raises UsageError where the blob store's records aren't a sandbox's.
    """

    def __init__(
        self,
        blob_store: BlobBackend,
        *,
        lag: float = 0,
        list_lag: float = 0,
        collect: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.blob_store = blob_store
        self._collect = collect
        self.lock = threading.RLock()
        self._lag, self._list_lag, self._clock = lag, max(lag, list_lag), clock
        self._sessions: dict[str, UploadSession] = {}
        self._repositories: dict[str, RepositoryContent] = defaultdict(RepositoryContent)
        for raw in blob_store.records():
            self._load(raw)

    def _load(self, raw: bytes) -> None:
        try:
            record = msgspec.json.decode(raw, type=RepositoryRecord)
            repository = self._repositories[record.name]
            repository.tags.update({tag: History(Digest.parse(text)) for tag, text in record.tags.items()})
            repository.manifests = {Digest.parse(text): kind for text, kind in record.manifests.items()}
            repository.blobs = {Digest.parse(text) for text in record.blobs}
            repository.details = record.details
        except (msgspec.MsgspecError, BadReference) as error:
            raise UsageError(f"the folder holds a record that no sandbox wrote: {error}") from error

    def _save(self, name: str) -> None:
        repository = self._repositories[name]
        tags = self.state()[name]
        manifests = {str(digest): kind for digest, kind in repository.manifests.items()}
        blobs = sorted(map(str, repository.blobs))
        self.blob_store.save(
            name, msgspec.json.encode(RepositoryRecord(name, tags, manifests, blobs, repository.details))
        )

    def state(self) -> dict[str, dict[str, str]]:
        """Every repository's tags and their digests, as they are (however reads lag)."""
        with self.lock:
            return {
                name: {tag: str(moves.latest) for tag, moves in sorted(repository.tags.items()) if moves.latest}
                for name, repository in sorted(self._repositories.items())
            }

    def knows(self, name: str) -> bool:
        """Whether anything was ever put there."""
        return name in self._repositories

    def details(self, name: str) -> Details:
        """What Docker Hub's page of a repository says."""
        with self.lock:
            return self._repositories[name].details if self.knows(name) else Details()

    def describe(self, name: str, details: Details) -> None:
        """Change that page; a repository that isn't there comes to be."""
        with self.lock:
            self._repositories[name].details = details
            self._save(name)

    # Tags.

    def tags(self, name: str) -> list[str]:
        """The tags that can be seen, sorted by their bytes."""
        with self.lock:
            histories = self._repositories[name].tags if self.knows(name) else {}
            return sorted(tag for tag, moves in histories.items() if moves.digest_at(self._clock() - self._list_lag))

    def resolve(self, name: str, target: str | Digest) -> Digest | None:
        """The digest of the manifest that a tag or a digest names, if it can be seen."""
        with self.lock:
            if not self.knows(name):
                return None
            self._sweep(name)
            repository = self._repositories[name]
            moves = repository.tags.get(target) if isinstance(target, str) else None
            digest = (
                (moves.digest_at(self._clock() - self._lag) if moves else None) if isinstance(target, str) else target
            )
            return digest if digest in repository.manifests else None

    def had_tags(self, name: str) -> bool:
        """Whether there is, or ever was, a tag: before, registries know no list of a repository."""
        with self.lock:
            return self.knows(name) and bool(self._repositories[name].tags)

    def latest(self, name: str, tag: str) -> Digest | None:
        """What a tag names, seen or not."""
        with self.lock:
            moves = self._repositories[name].tags.get(tag) if self.knows(name) else None
            return moves.latest if moves else None

    # Manifests.

    def manifest(self, name: str, digest: Digest) -> Content:
        """A manifest that is there."""
        with self.lock:
            kind = self._repositories[name].manifests[digest]
        return parse_manifest(self.blob_store.read(digest, 0, self.blob_store.size(digest)), kind)

    def holds_manifest(self, digest: Digest) -> bool:
        """Whether any repository has the manifest."""
        with self.lock:
            return any(digest in repository.manifests for repository in self._repositories.values())

    def missing(self, name: str, content: Content) -> str | None:
        """What a manifest needs and the repository lacks."""
        with self.lock:
            self._sweep(name)
            repository = self._repositories[name] if self.knows(name) else RepositoryContent()
            if isinstance(content, Index):
                lacking = [entry.digest for entry in content.manifests if entry.digest not in repository.manifests]
            else:
                lacking = [blob.digest for blob in content.blobs if blob.digest not in repository.blobs]
        return str(lacking[0]) if lacking else None

    def put_manifest(self, name: str, content: Content, tags: list[str], digest: Digest | None = None) -> None:
        """Keep a manifest under `digest`, its sha256 if none is given, and point tags at it."""
        digest = digest or content.digest
        blob = self.blob_store.begin()
        blob.append(content.content)
        with self.lock:
            self.blob_store.keep(blob, digest)
            repository = self._repositories[name]
            repository.manifests[digest] = content.media_type
            repository.put_times[digest] = self._clock()
            for tag in tags:
                self._move(name, tag, digest)
            times = repository.details.pushed | dict.fromkeys(tags, stamp())
            repository.details = msgspec.structs.replace(repository.details, pushed=times)
            self._save(name)

    def _move(self, name: str, tag: str, digest: Digest | None) -> None:
        self._repositories[name].tags[tag].move(self._clock(), digest, lag=self._list_lag)

    def delete(self, name: str, target: str | Digest) -> None:
        """Delete a tag, or a manifest with all its tags."""
        with self.lock:
            tags = self._repositories[name].tags
            if isinstance(target, Digest):
                self._repositories[name].manifests.pop(target, None)
            for tag in [tag for tag, moves in tags.items() if target in {tag, moves.latest}]:
                self._move(name, tag, None)
            self._save(name)

    def _sweep(self, name: str) -> None:
        """Collect what no tag leads to, as registries do in the background."""
        if self._collect is None or not self.knows(name):
            return
        repository, now = self._repositories[name], self._clock()
        contents = {digest: self.manifest(name, digest) for digest in repository.manifests}
        reachable = set[Digest]()
        roots = {moves.latest for moves in repository.tags.values() if moves.latest}
        while roots:
            reachable |= roots
            roots = {digest for content in contents.values() for digest in _leads_to(content, reachable)} - reachable
        for digest in contents.keys() - reachable:
            if now - repository.put_times.setdefault(digest, now) > self._collect:
                del repository.manifests[digest]

    def referrers(self, name: str, digest: Digest, kind: str | None) -> list[dict[str, Any]]:
        """Descriptors of the manifests whose subject is `digest`; with `kind` those of that artifact type."""
        with self.lock:
            digests = tuple(self._repositories[name].manifests) if self.knows(name) else ()
        contents = (self.manifest(name, entry) for entry in digests)
        pointing = [content for content in contents if content.subject and content.subject.digest == digest]
        return [_entry(content) for content in pointing if kind in {None, _artifact_type(content)}]

    # Blobs.

    def has_blob(self, name: str, digest: Digest) -> bool:
        """Whether the repository holds the blob."""
        with self.lock:
            return self.knows(name) and digest in self._repositories[name].blobs

    def add_blob(self, name: str, digest: Digest) -> None:
        """The blob, which is in the blob store, is part of the repository from now on."""
        with self.lock:
            self._repositories[name].blobs.add(digest)
            self._save(name)

    def drop_blob(self, name: str, digest: Digest) -> None:
        """The blob is no longer part of the repository."""
        with self.lock:
            self._repositories[name].blobs.discard(digest)
            self._save(name)

    # Uploads.

    def begin(self, name: str) -> str:
        """A new upload's id; raises TooManyUploads."""
        upload = secrets.token_urlsafe(16)
        with self.lock:
            self._make_room()
            self._sessions[upload] = UploadSession(name, self.blob_store.begin(), self._clock())
        return upload

    def _make_room(self) -> None:
        """Forget the upload that nobody has asked for longest, where there are many; each takes a file."""
        if len(self._sessions) < _MOST_UPLOADS:
            return
        oldest = min(self._sessions, key=lambda upload: self._sessions[upload].touched)
        if self._sessions[oldest].touched > self._clock() - _IDLE_SECONDS or self._sessions[oldest].turn.locked():
            raise TooManyUploads(f"{_MOST_UPLOADS} uploads are under way")
        self.cancel(oldest)

    def session(self, name: str, upload: str) -> UploadSession | None:
        """An upload of that repository."""
        session = self._sessions.get(upload)
        if session is None or session.name != name:
            return None
        session.touched = self._clock()
        return session

    def finish(self, upload: str, digest: Digest) -> bool:
        """Put an upload in place; False where its bytes don't have that digest. It is over in both cases."""
        with self.lock:
            session = self._sessions.pop(upload)
        if not session.blob.matches(digest):
            session.blob.discard()
            return False
        self.blob_store.keep(session.blob, digest)
        self.add_blob(session.name, digest)
        return True

    def cancel(self, upload: str) -> None:
        """Forget an upload."""
        with self.lock:
            session = self._sessions.pop(upload, None)
        if session:
            session.blob.discard()

    def close(self) -> None:
        """Forget uploads, and let go of the blob store."""
        for upload in tuple(self._sessions):
            self.cancel(upload)
        self.blob_store.close()


def _leads_to(content: Content, reachable: set[Digest]) -> set[Digest]:
    """What is kept because of a manifest: an index keeps its entries, and a subject what refers to it."""
    subject = {content.digest} if content.subject and content.subject.digest in reachable else set()
    entries = content.manifests if isinstance(content, Index) and content.digest in reachable else ()
    return subject | {entry.digest for entry in entries}


def _artifact_type(content: Content) -> str:
    return content.artifact_type or ("" if isinstance(content, Index) else content.config.media_type)


def _entry(content: Content) -> dict[str, Any]:
    """Source: distribution-spec, "Listing referrers": annotations are the manifest's own."""
    entry = content.descriptor.document()
    if kind := _artifact_type(content):
        entry["artifactType"] = kind
    if content.annotations:
        entry["annotations"] = content.annotations
    return entry

"""What the sandbox holds: blobs in files, manifests and tags beside them."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from publisher.model.digest import Digest
from publisher.model.manifest import Index, parse_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.model.manifest import Content


@dataclass
class Session:
    """An upload under way: a file that grows."""

    path: Path
    size: int = 0
    hasher: Any = field(default_factory=hashlib.sha256)

    def append(self, piece: bytes) -> None:
        """Take more bytes."""
        with self.path.open("ab") as file:
            file.write(piece)
        self.hasher.update(piece)
        self.size += len(piece)


class Store:
    """A folder with `blobs/ALGORITHM/HEX`, `repositories/NAME.json` and `uploads/`; it survives a restart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sessions: dict[str, Session] = {}
        self._tags: dict[str, dict[str, str]] = defaultdict(dict)
        self._manifests: dict[str, dict[str, str]] = defaultdict(dict)
        self._blobs: dict[str, set[str]] = defaultdict(set)
        self._lock = threading.RLock()
        for name in ("blobs/sha256", "blobs/sha512", "repositories", "uploads"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for path in (folder / "repositories").glob("*.json"):
            self._load(json.loads(path.read_text()))

    def _load(self, document: dict[str, Any]) -> None:
        name = document["name"]
        self._tags[name] = document["tags"]
        self._manifests[name] = document["manifests"]
        self._blobs[name] = set(document["blobs"])

    def _save(self, name: str) -> None:
        document = {
            "name": name,
            "tags": self._tags[name],
            "manifests": self._manifests[name],
            "blobs": sorted(self._blobs[name]),
        }
        path = self.folder / "repositories" / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"
        beside = path.with_suffix(f".{secrets.token_hex(4)}")
        beside.write_text(json.dumps(document))
        beside.replace(path)

    def path(self, digest: Digest) -> Path:
        """Where content lies."""
        return self.folder / "blobs" / digest.algorithm / digest.hex

    def state(self) -> dict[str, dict[str, str]]:
        """Every repository's tags and their digests."""
        with self._lock:
            return {name: dict(sorted(tags.items())) for name, tags in sorted(self._tags.items())}

    def knows(self, name: str) -> bool:
        """Whether anything was ever put there."""
        return bool(self._manifests.get(name) or self._blobs.get(name))

    def tags(self, name: str) -> list[str]:
        """The tags of a repository, sorted."""
        return sorted(self._tags.get(name, {}))

    def has_blob(self, name: str, digest: Digest) -> bool:
        """Whether the repository holds the blob."""
        return str(digest) in self._blobs.get(name, ())

    def add_blob(self, name: str, digest: Digest) -> None:
        """The blob is part of the repository from now on."""
        with self._lock:
            self._blobs[name].add(str(digest))
            self._save(name)

    def drop_blob(self, name: str, digest: Digest) -> None:
        """The blob is no longer part of the repository."""
        with self._lock:
            self._blobs[name].discard(str(digest))
            self._save(name)

    def begin(self) -> str:
        """A new upload's id."""
        upload = secrets.token_urlsafe(16)
        self.sessions[upload] = Session(self.folder / "uploads" / upload)
        self.sessions[upload].path.touch()
        return upload

    def finish(self, name: str, upload: str, digest: Digest) -> bool:
        """Put an upload in place; False where its bytes don't have that digest."""
        session = self.sessions.pop(upload)
        whole = session.hasher.hexdigest() if digest.algorithm == "sha256" else _hash_file(session.path, digest)
        if whole != digest.hex:
            session.path.unlink()
            return False
        os.replace(session.path, self.path(digest))  # noqa: PTH105 - Path.replace is the same call
        self.add_blob(name, digest)
        return True

    def cancel(self, upload: str) -> None:
        """Forget an upload."""
        self.sessions.pop(upload).path.unlink()

    def resolve(self, name: str, reference: str) -> Digest | None:
        """The digest that a tag or a digest names, if it is there."""
        digest = self._tags.get(name, {}).get(reference, reference)
        return Digest.parse(digest) if digest in self._manifests.get(name, {}) else None

    def manifest(self, name: str, digest: Digest) -> Content:
        """A manifest that is there."""
        return parse_manifest(self.path(digest).read_bytes(), self._manifests[name][str(digest)])

    def missing(self, name: str, content: Content) -> str | None:
        """What a manifest needs and the repository lacks."""
        if isinstance(content, Index):
            needed = [str(entry.digest) for entry in content.manifests]
            return next((digest for digest in needed if digest not in self._manifests.get(name, {})), None)
        needed = [str(blob.digest) for blob in content.blobs]
        return next((digest for digest in needed if digest not in self._blobs.get(name, ())), None)

    def put_manifest(self, name: str, content: Content, tags: list[str]) -> None:
        """Keep a manifest and point tags at it."""
        with self._lock:
            self.path(content.digest).write_bytes(content.content)
            self._manifests[name][str(content.digest)] = content.media_type
            for tag in tags:
                self._tags[name][tag] = str(content.digest)
            self._save(name)

    def delete(self, name: str, reference: str) -> None:
        """Delete a tag, or a manifest with all its tags."""
        with self._lock:
            if self._tags[name].pop(reference, None) is None:
                self._manifests[name].pop(reference, None)
                self._tags[name] = {tag: held for tag, held in self._tags[name].items() if held != reference}
            self._save(name)

    def referrers(self, name: str, digest: Digest, kind: str | None) -> list[dict[str, Any]]:
        """The manifests whose subject is `digest`."""
        found = []
        for held in tuple(self._manifests.get(name, {})):
            content = self.manifest(name, Digest.parse(held))
            if content.subject is None or content.subject.digest != digest:
                continue
            artifact = content.artifact_type or ("" if isinstance(content, Index) else content.config.media_type)
            if kind in {None, artifact}:
                entry = content.descriptor.document() | {"artifactType": artifact}
                found.append(entry | ({"annotations": content.annotations} if content.annotations else {}))
        return found


def _hash_file(path: Path, digest: Digest) -> str:
    hasher = digest.hasher()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            hasher.update(piece)
    return hasher.hexdigest()

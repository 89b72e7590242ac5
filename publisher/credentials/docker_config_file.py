"""docker's config.json, changed for one registry only; everything else stays as it was."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from publisher.credentials.docker_config import key_of
from publisher.model.errors import BrokenCredential

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

HELPER: Final = "publish"


class DockerConfigFile:
    """The file under a lock, so that two writers don't lose each other's change. write: whole or not at all."""

    def __init__(self, path: Path, write: Callable[[Path, bytes], None]) -> None:
        # What is replaced is the file itself, not a link to it.
        self.path = path.resolve()
        self._write = write

    def use_helper(self, target: str) -> None:
        """Let docker ask `docker-credential-publish` for this registry; a plain entry of it goes."""
        with self._editing() as document:
            _table(document, "credHelpers")[key_of(target)] = HELPER
            _table(document, "auths")[key_of(target)] = {}

    def store(self, target: str, username: str, secret: str) -> None:
        """Write user and secret as docker does without a helper: base64, which hides nothing."""
        with self._editing() as document:
            if document.get("credsStore") or key_of(target) in _table(document, "credHelpers"):
                raise BrokenCredential(
                    f"{self.path} names a credential helper for {target}, so docker would not read an entry there",
                    hint="use 'docker login', or leave out --store docker",
                )
            auth = base64.b64encode(f"{username}:{secret}".encode()).decode()
            _table(document, "auths")[key_of(target)] = {"auth": auth}

    def forget_helper(self, target: str) -> bool:
        """Let docker ask us for this registry no more; False if it didn't."""
        key = key_of(target)
        if not self.path.exists():
            return False
        with self._editing() as document:
            helpers = _table(document, "credHelpers")
            if helpers.get(key) != HELPER:
                return False
            del helpers[key]
            # The empty entry that makes docker ask goes with it.
            if not _table(document, "auths").get(key):
                _table(document, "auths").pop(key, None)
            return True

    def forget(self, target: str, username: str | None = None) -> bool:
        """Take out a plain entry, of that user's only if one is named; False if there was none."""
        key = key_of(target)
        if not self.path.exists():
            return False
        with self._editing() as document:
            auths = _table(document, "auths")
            if key not in auths or username not in {None, _user(auths[key])}:
                return False
            del auths[key]
            return True

    @contextmanager
    def _editing(self) -> Iterator[dict[str, Any]]:
        """The document, written back when the block ends without an error."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.path.parent / ".config.json.publish-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            text = self.path.read_text() if self.path.exists() else ""
            before, document = self._read(text), self._read(text)
            yield document
            for name in ("credHelpers", "auths"):
                if not document.get(name):
                    document.pop(name, None)
            if document != before:
                self._save(text, document)
        except UnicodeDecodeError as error:
            raise BrokenCredential(
                f"{self.path} is not UTF-8", reference=self.path, hint="save it as UTF-8 without a byte order mark"
            ) from error
        except OSError as error:
            raise BrokenCredential(f"{self.path} can't be changed: {error.strerror}", reference=self.path) from error
        finally:
            os.close(lock)

    def _read(self, text: str) -> dict[str, Any]:
        try:
            document = json.loads(text) if text.strip() else {}
            document = {} if document is None else document
        except (ValueError, RecursionError) as error:
            raise BrokenCredential(f"{self.path} is not JSON: {error}", reference=self.path) from error
        if not isinstance(document, dict):
            raise BrokenCredential(f"{self.path} is not a JSON object", reference=self.path)
        return document

    def _save(self, text: str, document: Mapping[str, Any]) -> None:
        mode = self.path.stat().st_mode & 0o777 if text else 0o600
        content = json.dumps(document, indent=_indent(text), ensure_ascii=False)
        self._write(self.path, content.encode() + (b"\n" if text.endswith("\n") else b""))
        # Rights are kept, but nobody else learns what may be a secret.
        self.path.chmod(mode & 0o700 if "auth" in content else mode)


def _user(entry: object) -> str:
    auth = entry.get("auth") if isinstance(entry, dict) else None
    return base64.b64decode(auth).partition(b":")[0].decode(errors="replace") if isinstance(auth, str) else ""


def _indent(text: str) -> str | int:
    """What a line of the first level starts with; docker's own is a tab."""
    indent = re.search(r"\n([ \t]+)\S", text)
    return indent[1] if indent else "\t"


def _table(document: dict[str, Any], name: str) -> dict[str, Any]:
    table = document.setdefault(name, {})
    if not isinstance(table, dict):
        raise BrokenCredential(f"'{name}' in docker's config.json is not an object", hint="repair the file")
    return table

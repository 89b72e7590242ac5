"""What an image was built from the last time, and which change since made the cache end where it ended."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from publisher.engine.dockerfile import read_dockerfile
from publisher.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from publisher.engine.builder import BuildRequest, BuildStep

_NAMED: Final = 3


class FileStamp(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A file as it was: its size in bytes, its time in nanoseconds, its mode, the hash of its content."""

    size: int
    modified: int
    mode: int
    hash: str


class BuildInputs(msgspec.Struct, frozen=True, kw_only=True, tag_field="form", tag="ingredients/1"):
    """All that a build was made from; of arguments only hashes, since they may be secrets."""

    dockerfile: str
    files: dict[str, FileStamp]
    args: dict[str, str]
    labels: dict[str, str]


def snapshot(request: BuildRequest, files: Iterable[str], before: BuildInputs | None) -> BuildInputs:
    """What a build is made from now; a file that looks as it did `before` isn't read again."""
    known = before.files if before else {}
    marks = {path: mark for path in files if (mark := _mark(request.context / path, known.get(path)))}
    return BuildInputs(
        dockerfile=(request.context / request.dockerfile).read_text(errors="replace"),
        files=marks,
        args={key: _hash(value.encode()) for key, value in request.args.items()},
        labels=dict(request.labels),
    )


def _mark(path: Path, known: FileStamp | None) -> FileStamp | None:
    """None for what is no file, or can't be read: the builder will say so."""
    try:
        if path.is_symlink():
            return FileStamp(size=0, modified=0, mode=0, hash=_hash(bytes(path.readlink())))
        if not path.is_file():
            return None
        state = path.stat()
        if known and (known.size, known.modified) == (state.st_size, state.st_mtime_ns):
            content = known.hash
        else:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        return FileStamp(size=state.st_size, modified=state.st_mtime_ns, mode=state.st_mode, hash=content)
    except OSError:
        return None


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def first_miss(steps: Iterable[BuildStep], before: BuildInputs | None, now: BuildInputs) -> str:
    """Where the cache was left, and which earlier change did it; "" where all came from it, or nothing could."""
    made = [step for step in steps if not step.instruction.upper().startswith(("FROM", "ARG"))]
    missed = next((step for step in made if not step.cached), None)
    if missed is None or (before is None and missed is made[0]):
        return ""
    why = "; ".join(_reasons(missed, before, now)) if before else _guess(missed)
    where = f"step {missed.number}, {printable(missed.instruction[:80])}"
    return f"the cache ends at {where}: {why}; all after it is made anew"


def _guess(step: BuildStep) -> str:
    if step.instruction.upper().startswith(("COPY", "ADD")):
        return "the files that it copies have changed"
    return "the instruction, an argument or the labels have changed"


def _reasons(step: BuildStep, before: BuildInputs, now: BuildInputs) -> Iterator[str]:
    """What is different from the last build, and bears on the step."""
    instruction = read_dockerfile(step.instruction)[0]
    found = False
    if changed := [path for path in _changed(before.files, now.files) if instruction.takes(path)]:
        found = True
        yield _listed(_told(path, before, now) for path in changed)
    if instruction.word == "LABEL" and (keys := _changed(before.labels, now.labels)):
        found = True
        yield f"the labels have changed ({_listed(keys)})"
    if instruction.word in {"RUN", "ENV", "WORKDIR"} and (keys := _changed(before.args, now.args)):
        found = True
        yield f"the argument {keys[0]} has changed" if len(keys) == 1 else f"the arguments {_listed(keys)} have changed"
    if not found and before.dockerfile != now.dockerfile:
        found = True
        yield "the Dockerfile has changed"
    if not found:
        yield "the image that it builds on is another one, or the engine no longer has the step"


def _changed(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    return sorted(key for key in before.keys() | now.keys() if _content(before.get(key)) != _content(now.get(key)))


def _content(value: object) -> object:
    """What docker's cache looks at: a file that was only touched is the same."""
    return (value.hash, value.mode) if isinstance(value, FileStamp) else value


def _told(path: str, before: BuildInputs, now: BuildInputs) -> str:
    if path not in before.files:
        return f"{path} is new"
    return f"{path} has changed" if path in now.files else f"{path} is gone"


def _listed(texts: Iterable[str]) -> str:
    found = list(texts)
    shown = ", ".join(map(printable, found[:_NAMED]))
    return shown if len(found) <= _NAMED else f"{shown} and {len(found) - _NAMED} more"

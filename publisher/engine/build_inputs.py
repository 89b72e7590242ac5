"""What an image was built from the last time, and which change since made the cache end where it ended."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, Final

import msgspec

from publisher.engine.dockerfile import read_dockerfile
from publisher.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from publisher.engine.builder import BuildRequest, BuildStep
    from publisher.engine.dockerfile import Instruction

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


def snapshot(request: BuildRequest, files: Iterable[str], previous: BuildInputs | None) -> BuildInputs:
    """What a build is made from now; a file that looks as it did in `previous` isn't read again."""
    previous_files = previous.files if previous else {}
    context = str(request.context)
    stamps = {path: stamp for path in files if (stamp := _stamp(f"{context}/{path}", previous_files.get(path)))}
    return BuildInputs(
        dockerfile=(request.context / request.dockerfile).read_text(errors="replace"),
        files=stamps,
        args={key: _hash(value.encode()) for key, value in request.args.items()},
        labels=dict(request.labels),
    )


def _stamp(path: str, previous: FileStamp | None) -> FileStamp | None:
    """None for what is no file, or can't be read: the builder will say so. A context may have very many."""
    try:
        state = os.lstat(path)
        if stat.S_ISLNK(state.st_mode):
            return FileStamp(size=0, modified=0, mode=0, hash=_hash(os.fsencode(os.readlink(path))))  # noqa: PTH115 - a Path for each file takes its time
        if not stat.S_ISREG(state.st_mode):
            return None
        if previous and (previous.size, previous.modified) == (state.st_size, state.st_mtime_ns):
            content = previous.hash
        else:
            with open(path, "rb") as file:  # noqa: PTH123 - as above
                content = hashlib.file_digest(file, "sha256").hexdigest()
        return FileStamp(size=state.st_size, modified=state.st_mtime_ns, mode=state.st_mode, hash=content)
    except OSError:
        return None


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def first_miss(steps: Iterable[BuildStep], previous: BuildInputs | None, now: BuildInputs) -> str:
    """Where the cache was left, and which earlier change did it; "" where all came from it, or nothing could."""
    executable = [step for step in steps if not step.instruction.upper().startswith(("FROM", "ARG"))]
    miss = next((step for step in executable if not step.cached), None)
    if miss is None or (previous is None and miss is executable[0]):
        return ""
    why = "; ".join(_reasons(miss, previous, now)) if previous else _guess(miss)
    where = f"step {miss.number}, {printable(miss.instruction[:80])}"
    return f"the cache ends at {where}: {why}; all after it is made anew"


def _guess(step: BuildStep) -> str:
    if step.instruction.upper().startswith(("COPY", "ADD")):
        return "the files that it copies have changed"
    return "the instruction, an argument or the labels have changed"


def _reads(instruction: Instruction, path: str) -> bool:
    """Whether a file of the context goes into a step; a RUN that mounts the context may read any."""
    mounts = instruction.word == "RUN" and "--mount=" in instruction.rest and "type=bind" in instruction.rest
    return mounts or instruction.takes(path)


def _reasons(step: BuildStep, previous: BuildInputs, now: BuildInputs) -> Iterator[str]:
    """What is different from the last build, and bears on the step."""
    instruction = read_dockerfile(step.instruction)[0]
    has_reason = False
    if paths := [path for path in _changed_keys(previous.files, now.files) if _reads(instruction, path)]:
        has_reason = True
        yield _enumerate(_describe_change(path, previous, now) for path in paths)
    if instruction.word == "LABEL" and (keys := _changed_keys(previous.labels, now.labels)):
        has_reason = True
        yield f"the labels have changed ({_enumerate(keys)})"
    if instruction.word in {"RUN", "ENV", "WORKDIR"} and (keys := _changed_keys(previous.args, now.args)):
        has_reason = True
        yield (
            f"the argument {keys[0]} has changed"
            if len(keys) == 1
            else f"the arguments {_enumerate(keys)} have changed"
        )
    if not has_reason and previous.dockerfile != now.dockerfile:
        has_reason = True
        yield "the Dockerfile has changed"
    if not has_reason:
        yield "the image that it builds on is another one, or the engine no longer has the step"


def _changed_keys(previous: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    return sorted(key for key in previous.keys() | now.keys() if _content(previous.get(key)) != _content(now.get(key)))


def _content(value: object) -> object:
    """What docker's cache looks at: a file that was only touched is the same."""
    return (value.hash, value.mode) if isinstance(value, FileStamp) else value


def _describe_change(path: str, previous: BuildInputs, now: BuildInputs) -> str:
    if path not in previous.files:
        return f"{path} is new"
    return f"{path} has changed" if path in now.files else f"{path} is gone"


def _enumerate(texts: Iterable[str]) -> str:
    items = list(texts)
    text = ", ".join(map(printable, items[:_NAMED]))
    return text if len(items) <= _NAMED else f"{text} and {len(items) - _NAMED} more"

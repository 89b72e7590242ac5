"""What BuildKit says while it builds (`--progress=rawjson`), put together into steps."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from publisher.engine.builder import BuildStep
from publisher.model.errors import (
    BuildFailed,
    Denied,
    DiskFull,
    EngineUnavailable,
    PublishError,
    QuotaUsedUp,
    Unreachable,
    UsageError,
)
from publisher.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# A name such as [2/3] COPY, [stage-1 2/3] COPY or [linux/arm64 first 2/3] COPY.
_STEP: Final = re.compile(r"\[(?:(?P<stage>[^\]]+) )?(?P<number>\d+)/(?P<total>\d+)\] (?P<instruction>.+)", re.DOTALL)
_FINAL_WORDS: Final = re.compile(r"(?:ERROR|error): (?:failed to solve: )?(.+)", re.DOTALL)
_RANDOM: Final = re.compile(r"failed to calculate checksum of ref \S+: ")
_SHOWN: Final = 20
_LONGEST_LOG: Final = 1 << 20


class UnsupportedByDriver(UsageError):
    """The builder's driver has no way to what is asked of it."""


class LostSnapshot(BuildFailed):
    """The engine has thrown away what the new image stands on, while it was put there: the build is done."""


_DRIVER_HINT: Final = (
    "turn on the engine's containerd store, or make another builder, 'docker buildx create --name big --driver "
    "docker-container', and pass --builder big"
)
_NEW_BUILDX: Final = "install buildx 0.13 or a newer one; 'docker buildx version' shows which there is"
# The first words of a step, as buildx before 0.13 writes them whatever it is asked for.
_PLAIN: Final = re.compile(r"#\d+ \S")
_NETWORK: Final = (
    r"dial tcp|context deadline exceeded|no such host|i/o timeout|connection re(?:fused|set)|TLS handshake|EOF$"
)
# What ends a build that isn't the Dockerfile's fault, in the order in which it is looked for.
_CAUSES: Final[tuple[tuple[re.Pattern[str], type[PublishError], str | None], ...]] = (
    (re.compile(r"not supported for the docker driver|exporting manifest lists"), UnsupportedByDriver, _DRIVER_HINT),
    (re.compile(r"parent snapshot \S+ does not exist"), LostSnapshot, "build again: all steps come from the cache"),
    (re.compile(r"invalid progress (?:mode|value)"), UsageError, _NEW_BUILDX),
    (re.compile(r'no builder "[^"]*" found'), UsageError, "'docker buildx ls' shows which there are"),
    (re.compile(r"no space left on device|disk quota exceeded"), DiskFull, "see 'docker system df'"),
    (re.compile(r"toomanyrequests|429 Too Many Requests"), QuotaUsedUp, None),
    (re.compile(r"denied|unauthorized|401|403 Forbidden|authorization failed"), Denied, "see 'publish whoami'"),
    (re.compile(r"Cannot connect to the Docker daemon"), EngineUnavailable, "start Docker, or set DOCKER_HOST"),
    (re.compile(_NETWORK), Unreachable, None),
)


class _Vertex(msgspec.Struct):
    digest: str
    name: str = ""
    inputs: tuple[str, ...] = ()
    cached: bool = False
    started: datetime | None = None
    completed: datetime | None = None
    error: str = ""


class _Log(msgspec.Struct):
    vertex: str
    data: bytes = b""


class _Warning(msgspec.Struct):
    short: bytes = b""


class _News(msgspec.Struct):
    """One piece of news."""

    vertexes: tuple[_Vertex, ...] = ()
    logs: tuple[_Log, ...] = ()
    warnings: tuple[_Warning, ...] = ()


class _Step:
    """One instruction while it is worked on."""

    def __init__(self, name: re.Match[str]) -> None:
        self.stage = printable(name["stage"] or "")
        self.number, self.total = int(name["number"]), int(name["total"])
        self.instruction = name["instruction"].strip()
        self.cached = self.is_shown = False
        self.completed: datetime | None = None
        self.seconds = 0.0

    def learn(self, vertex: _Vertex) -> None:
        """A vertex is worked on several times: to find its key, then to make it."""
        self.cached = self.cached or vertex.cached
        if vertex.started and vertex.completed and vertex.completed != self.completed:
            self.seconds += (vertex.completed - vertex.started).total_seconds()
        self.completed = vertex.completed

    def step(self, *, cached: bool) -> BuildStep:
        return BuildStep(
            number=self.number,
            instruction=self.instruction,
            cached=cached,
            seconds=round(self.seconds, 2),
            stage=self.stage,
        )


class BuildProgress:
    """Reads the builder's lines; `show` gets one for each step that is done."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._steps: dict[str, _Step] = {}
        self._inputs: dict[str, tuple[str, ...]] = {}
        self._logs: dict[str, bytes] = {}
        self._failed: _Vertex | None = None
        self.warnings: list[str] = []
        self.texts: list[str] = []
        """Lines that are no JSON: what the builder itself has to say."""

    @property
    def steps(self) -> tuple[BuildStep, ...]:
        """All that were worked on, each behind those that it stands on."""
        done = [digest for digest, step in self._steps.items() if step.completed]
        return tuple(
            self._steps[digest].step(cached=self._is_cached(digest)) for digest in sorted(done, key=self._depth)
        )

    def _depth(self, digest: str) -> int:
        """How many vertices it stands on, at most one upon the other."""
        depth, level = 0, {digest}
        while level := {each for one in level for each in self._inputs.get(one, ())}:
            depth += 1
        return depth

    def _is_cached(self, digest: str) -> bool:
        """Trifles are made anew without need: where all that stands on one is cached, the same came of it."""
        dependants = [step for one, step in self._steps.items() if digest in self._inputs.get(one, ())]
        return self._steps[digest].cached or (bool(dependants) and all(step.cached for step in dependants))

    def read(self, lines: Iterable[str]) -> None:
        """Read all lines to their end; raises UsageError, at once, for a buildx that knows no JSON."""
        for text in _documents(lines):
            document = _decode(text)
            if document is None:
                if not self._inputs and _PLAIN.match(text):
                    raise UsageError("this buildx is too old: it doesn't tell its steps as JSON", hint=_NEW_BUILDX)
                self.texts += [printable(line) for line in text.splitlines() if line.strip()]
                continue
            self._take(document)
        self._show_done()

    def _take(self, document: _News) -> None:
        working = {vertex.digest for vertex in document.vertexes if vertex.completed is None}
        self._show_done(but=working)
        for vertex in document.vertexes:
            self._see(vertex)
        for log in document.logs:
            self._logs[log.vertex] = (self._logs.get(log.vertex, b"") + log.data)[-_LONGEST_LOG:]
        self.warnings += [printable(warning.short.decode(errors="replace")) for warning in document.warnings]

    def _see(self, vertex: _Vertex) -> None:
        self._inputs[vertex.digest] = vertex.inputs or self._inputs.get(vertex.digest, ())
        if vertex.error and (self._failed is None or "canceled" in self._failed.error):
            self._failed = vertex
        step = self._steps.get(vertex.digest)
        if step is None and (name := _STEP.fullmatch(vertex.name)):
            step = self._steps[vertex.digest] = _Step(name)
        if step is not None:
            step.learn(vertex)

    def _show_done(self, but: Iterable[str] = ()) -> None:
        """A step that is taken up again at once wasn't done."""
        news = [one for one, step in self._steps.items() if step.completed and not step.is_shown and one not in but]
        for step in map(self._steps.__getitem__, sorted(news, key=self._depth)):
            step.is_shown = True
            self._show(step.step(cached=step.cached).line(step.total))

    def failure(self) -> PublishError:
        """Why the builder ended with an error; shows its last lines."""
        words = next((found[1] for text in reversed(self.texts) if (found := _FINAL_WORDS.match(text))), "")
        failed = self._failed
        step = self._steps.get(failed.digest) if failed else None
        for line in self._last_lines(failed):
            self._show(f"  {line}")
        if failed and step:
            stage = f" of {step.stage}" if step.stage else ""
            said = _RANDOM.sub("", failed.error)
            return BuildFailed(f"the build failed at step {step.number}{stage} ({step.instruction}): {said}")
        text = words or (failed.error if failed else "") or (self.texts[-1] if self.texts else "it doesn't say why")
        for pattern, kind, hint in _CAUSES:
            if pattern.search(text):
                return kind(f"the build failed: {text}", hint=hint)
        return BuildFailed(f"the build failed: {text}")

    def _last_lines(self, failed: _Vertex | None) -> list[str]:
        """Of the step that failed; else what the builder shows of the Dockerfile."""
        said = self._logs.get(failed.digest, b"").decode(errors="replace").splitlines() if failed else []
        lines = [printable(line) for line in said] or [text for text in self.texts if not _FINAL_WORDS.match(text)]
        return lines[-_SHOWN:]


def _documents(lines: Iterable[str]) -> Iterator[str]:
    """The JSON documents, on one line or on many (buildx 0.13 indents them), and other lines as they are."""
    parts: list[str] = []
    for line in lines:
        if parts or line.rstrip() == "{":
            parts.append(line)
            if line.rstrip() == "}":
                yield "".join(parts)
                parts = []
        else:
            yield line
    if parts:
        yield "".join(parts)


def _decode(text: str) -> _News | None:
    if not text.startswith("{"):
        return None
    try:
        return msgspec.json.decode(text, type=_News)
    except (msgspec.MsgspecError, RecursionError):
        return None

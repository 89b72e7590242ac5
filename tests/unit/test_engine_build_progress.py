"""What BuildKit says while it builds."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from publisher.engine.build_progress import BuildProgress, LostSnapshot, UnsupportedByDriver
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


def vertex(digest: str, name: str, *inputs: str, start: int | None = None, end: int | None = None, **more: Any) -> Any:
    """A vertex, its times in tenths of a second."""
    times = {key: f"2026-01-02T03:04:{at / 10:012.9f}Z" for key, at in (("started", start), ("completed", end)) if at}
    return {"digest": digest, "name": name, "inputs": list(inputs), **times, **more}


def log(digest: str, text: str) -> Any:
    """What a step prints."""
    return {"vertex": digest, "stream": 1, "data": base64.b64encode(text.encode()).decode()}


# A base, a stage that is cached, a folder that is made anew without need, and two steps on top of all.
NEWS = [
    {"vertexes": [
        vertex("e", "[stage-1 3/3] RUN make <x>", "d"), vertex("d", "[stage-1 2/3] COPY --from=tools /x /x", "c", "b"),
        vertex("c", "[stage-1 1/3] WORKDIR /app"), vertex("b", "[tools 2/2] RUN true", "a"),
        vertex("a", "[tools 1/2] COPY x /x", "ctx"), vertex("ctx", "[internal] load build context"),
    ]},
    {"vertexes": [vertex("c", "[stage-1 1/3] WORKDIR /app", start=1, end=2)]},
    {"vertexes": [vertex("c", "[stage-1 1/3] WORKDIR /app", start=3)]},
    {"statuses": [{"id": "transferring", "vertex": "ctx", "current": 3}]},
    {"vertexes": [vertex("c", "[stage-1 1/3] WORKDIR /app", start=3, end=4)]},
    {"vertexes": [
        vertex("d", "[stage-1 2/3] COPY --from=tools /x /x", "c", "b", start=5, end=6, cached=True),
        vertex("b", "[tools 2/2] RUN true", "a", start=5, end=6, cached=True),
        vertex("a", "[tools 1/2] COPY x /x", "ctx", start=5, end=6, cached=True),
    ]},
    {"logs": [log("e", "some\n"), log("e", "words\n")], "warnings": [{"short": base64.b64encode(b"old!").decode()}]},
    {"vertexes": [vertex("e", "[stage-1 3/3] RUN make <x>", "d", start=10, end=25)]},
]  # fmt: skip
FORMS = {"lines": None, "indented": 2}


@pytest.mark.parametrize("indent", FORMS.values(), ids=FORMS)
def test_steps(indent: int | None) -> None:
    """Each is told once, behind those that it stands on, in the form of every buildx."""
    told: list[str] = []
    progress = BuildProgress(told.append)
    progress.read(f"{line}\n" for one in NEWS for line in json.dumps(one, indent=indent).splitlines())
    assert told == [
        "build    stage-1 1/3 WORKDIR /app (0.2 s)",
        "build    tools 1/2 COPY x /x (cached)",
        "build    tools 2/2 RUN true (cached)",
        "build    stage-1 2/3 COPY --from=tools /x /x (cached)",
        "build    stage-1 3/3 RUN make <x> (1.5 s)",
    ]
    assert [(step.stage, step.number, step.cached) for step in progress.steps] == [
        ("stage-1", 1, True),  # what stands on it is cached, so that the same came of it
        ("tools", 1, True),
        ("tools", 2, True),
        ("stage-1", 2, True),
        ("stage-1", 3, False),
    ]
    assert progress.warnings == ["old!"]


def test_a_step_that_fails() -> None:
    """Its place and its last lines; not those that were cancelled because of it."""
    told: list[str] = []
    progress = BuildProgress(told.append)
    failed = vertex("e", "[stage-1 3/3] RUN make", "d", start=10, end=25, error="exit code: 3")
    other = vertex("x", "[other 1/9] RUN sleep", start=10, end=25, error="context canceled")
    news = [{"vertexes": [other]}, {"logs": [log("e", "".join(f"{n}\n" for n in range(50)))]}, {"vertexes": [failed]}]
    progress.read([*(json.dumps(one) + "\n" for one in news), "ERROR: failed to solve: exit code: 3\n"])
    error = progress.failure()
    assert isinstance(error, BuildFailed)
    assert error.message == "the build failed at step 3 of stage-1 (RUN make): exit code: 3"
    assert told[-20:] == [f"  {n}" for n in range(30, 50)]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("failed to solve: dockerfile parse error on line 2: unknown instruction: NOPE", BuildFailed),
        ("OCI exporter is not supported for the docker driver.", UnsupportedByDriver),
        ("docker exporter does not currently support exporting manifest lists", UnsupportedByDriver),
        ("failed to prepare extraction snapshot x: parent snapshot sha256:a does not exist: not found", LostSnapshot),
        ('no builder "absent" found', UsageError),
        ("invalid progress mode rawjson", UsageError),
        ("failed to solve: h.example/x: pull access denied, repository does not exist", Denied),
        ("failed to solve: h.example/x: unexpected status: 401 Unauthorized", Denied),
        ("failed to solve: node: toomanyrequests: You have reached your pull rate limit", QuotaUsedUp),
        ("failed to solve: x: dial tcp 127.0.0.1:1: connect: connection refused", Unreachable),
        ("failed to solve: write /x: no space left on device", DiskFull),
        ("Cannot connect to the Docker daemon at unix:///nope. Is the docker daemon running?", EngineUnavailable),
        ("context deadline exceeded", Unreachable),
    ],
)
def test_what_is_not_the_dockerfiles_fault(words: str, kind: type[PublishError]) -> None:
    """It has the exit code of its cause."""
    progress = BuildProgress(lambda _: None)
    progress.read([f"ERROR: {words}\n"])
    error = progress.failure()
    assert type(error) is kind
    assert words.removeprefix("failed to solve: ").rstrip(".") in error.message


def test_a_buildx_that_knows_no_json() -> None:
    """It is refused with its first step, and not when it has built in vain."""
    lines = iter(['#0 building with "default" instance using docker driver\n', "#1 [internal] load\n", "later\n"])
    with pytest.raises(UsageError, match="too old") as caught:
        BuildProgress(lambda _: None).read(lines)
    assert "0.13" in str(caught.value.hint)
    assert "later\n" in list(lines)


def test_what_is_no_news() -> None:
    """Lines of other programs, broken JSON and documents of another shape are words."""
    progress = BuildProgress(lambda _: None)
    progress.read(["WARN: x\n", "{\n", '  "vertexes": 3\n', "}\n", "{broken\n", "{\n", '"vertexes": [\n'])
    assert progress.steps == ()
    assert isinstance(progress.failure(), BuildFailed)

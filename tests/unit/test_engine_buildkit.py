"""What a Dockerfile needs of its builder."""

from __future__ import annotations

import pytest

from publisher.engine.buildkit import buildkit_features, named_images, unused_arguments

FEATURES = {
    "RUN <<EOT\necho hi\nEOT": "line 2: a heredoc of RUN",
    "COPY <<EOF /x\nhi\nEOF": "line 2: a heredoc of COPY",
    "RUN --mount=type=cache,target=/x true": "line 2: RUN --mount",
    "RUN --mount=type=secret,id=x --network=none true": "line 2: RUN --network",
    "COPY --link x /x": "line 2: COPY --link",
    "COPY --chmod=755 x /x": "line 2: COPY --chmod",
    "COPY --parents x /x": "line 2: COPY --parents",
    "COPY --exclude=*.md . /x": "line 2: COPY --exclude",
    "ADD --checksum=sha256:ab https://example.org/x /x": "line 2: ADD --checksum",
    "ADD --keep-git-dir=true https://example.org/x.git /x": "line 2: ADD --keep-git-dir",
    "ADD https://example.org/x.git#main /x": "line 2: ADD of a git repository",
    "FROM --platform=$BUILDPLATFORM scratch AS x": "line 2: $BUILDPLATFORM",
    "FROM --platform=${BUILDPLATFORM} scratch AS x": "line 2: $BUILDPLATFORM",
    "ARG TARGETARCH": "line 2: $TARGETARCH",
    "RUN echo $TARGETOS": "line 2: $TARGETOS",
    "COPY \\\n  --chmod=755 \\\n  x /x": "line 2: COPY --chmod",
}
CLASSIC = (
    "COPY --from=other --chown=1:1 x /x",
    "FROM --platform=linux/amd64 scratch",
    "HEALTHCHECK --interval=1s CMD true",
    "RUN echo '<<EOT'",
    'RUN ["echo", "--mount=x"]',
    "RUN echo --mount=type=cache",
    "ADD https://example.org/x.tar /x",
    "ARG TARGETARCH=amd64\nRUN echo $TARGETARCH",
    "# syntax=docker/dockerfile:1",
)


@pytest.mark.parametrize(("instruction", "feature"), FEATURES.items(), ids=list(FEATURES))
def test_features(instruction: str, feature: str) -> None:
    """What only BuildKit understands is named with its line."""
    assert feature in buildkit_features(f"FROM scratch\n{instruction}\n", {})


@pytest.mark.parametrize("instruction", CLASSIC)
def test_what_every_builder_understands(instruction: str) -> None:
    """The classic builder's own options, and what only looks like another's; a comment behind instructions is one."""
    assert not buildkit_features(f"FROM scratch\n{instruction}\n", {})


def test_a_value_that_is_given_needs_nobody_to_make_it() -> None:
    """An automatic argument that the build states is an ordinary one."""
    assert not buildkit_features("FROM scratch\nARG TARGETARCH\nRUN echo $TARGETARCH\n", {"TARGETARCH": "arm64"})


@pytest.mark.parametrize(
    "text", ["# syntax=docker/dockerfile:1\nFROM x\n", "#escape=`\n# Syntax = docker/dockerfile:1\n"]
)
def test_syntax(text: str) -> None:
    """Another frontend is asked for in the comments before all else."""
    assert "line 1: # syntax=docker/dockerfile:1" in buildkit_features(text, {})
    assert "docker/dockerfile:1" in named_images(text, {})


@pytest.mark.parametrize(
    ("text", "args", "images"),
    [
        ("FROM scratch", {}, ()),
        ("FROM a.example/b:1 AS base\nFROM base\nCOPY --from=base x /\nCOPY --from=0 x /", {}, ("a.example/b:1",)),
        ("FROM --platform=linux/amd64 a", {}, ("a",)),
        (
            "FROM a\nCOPY --from=b.example/c x /\nRUN --mount=type=bind,from=d,target=/x true",
            {},
            ("a", "b.example/c", "d"),
        ),
        ("ARG BASE=a\nFROM $BASE", {}, ("a",)),
        ("ARG BASE=a\nFROM ${BASE}", {"BASE": "b"}, ("b",)),
        ("ARG BASE\nFROM ${BASE:-a}", {}, ("a",)),
        ('ARG HOST="h.example" TAG=1\nARG BASE=$HOST/x\nFROM $BASE:$TAG', {}, ("h.example/x:1",)),
        ("ARG V\nFROM a${V:+-slim}", {"V": "1"}, ("a-slim",)),
        ("ARG BASE\nFROM $BASE", {}, ()),
        ("FROM a\nARG BASE=b\nFROM $BASE", {}, ("a",)),
    ],
)
def test_named_images(text: str, args: dict[str, str], images: tuple[str, ...]) -> None:
    """Stages, numbers and `scratch` are no images; what can't be told is left out."""
    assert named_images(text, args) == images


def test_unused_arguments() -> None:
    """What no ARG names is told; builders know some by themselves."""
    args = ("A", "B", "C", "HTTP_PROXY", "no_proxy", "SOURCE_DATE_EPOCH", "BUILDKIT_INLINE_CACHE")
    assert unused_arguments("ARG A=1 B\nFROM scratch\n", args) == ("C",)

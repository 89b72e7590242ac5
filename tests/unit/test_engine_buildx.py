"""How buildx is asked, and which builder it would take."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from publisher.engine.build_progress import LostSnapshot
from publisher.engine.builder import BuildRequest
from publisher.engine.buildx import BuildOutput, Buildx, is_engine_builder
from publisher.model.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("output", "attributes"),
    [
        (BuildOutput(), "type=docker"),
        (BuildOutput(nameless=True), "type=image,oci-mediatypes=true"),
    ],
    ids=["named", "nameless"],
)
def test_outputs_of_the_engine(output: BuildOutput, attributes: str) -> None:
    """Without a name an image has the media types that a layout of it would have."""
    assert output.attributes(reproducible=False) == attributes


@pytest.mark.parametrize(
    ("environ", "current", "is_engine"),
    [
        ({}, None, True),
        ({}, {"Key": "unix:///run/docker.sock", "Name": ""}, True),
        ({}, {"Key": "unix:///run/docker.sock", "Name": "default"}, True),
        ({}, {"Key": "unix:///run/docker.sock", "Name": "big"}, False),
        ({"BUILDX_BUILDER": "big"}, None, False),
        ({"BUILDX_BUILDER": "default"}, {"Name": "big"}, True),
        ({}, "no JSON object", False),
    ],
    ids=["none", "reset", "default", "chosen", "variable", "variable-first", "broken"],
)
@pytest.mark.parametrize("place", ["BUILDX_CONFIG", "DOCKER_CONFIG", "HOME"])
def test_which_builder_builds(
    place: str, environ: dict[str, str], current: object, is_engine: bool, tmp_path: Path
) -> None:
    """The engine's own, unless `docker buildx use` or a variable has chosen another."""
    folder = tmp_path / {"BUILDX_CONFIG": "", "DOCKER_CONFIG": "buildx", "HOME": ".docker/buildx"}[place]
    folder.mkdir(parents=True, exist_ok=True)
    if current:
        (folder / "current").write_text(json.dumps(current))
    assert is_engine_builder({"HOME": "/nowhere", place: str(tmp_path), **environ}) is is_engine


@pytest.mark.parametrize(
    "old",
    [
        "echo '#1 [internal] load build definition'; exec sleep 60",
        "echo 'ERROR: invalid progress mode rawjson'; exit 1",
    ],
    ids=["text", "refusal"],
)
def test_an_old_buildx(old: str, tmp_path: Path) -> None:
    """It is refused as soon as it shows, with what to install."""
    request = BuildRequest(context=tmp_path, dockerfile="Dockerfile", names=("x",), args={}, labels={})
    with pytest.raises(UsageError) as caught:
        program(tmp_path, old).build(request, BuildOutput(), {"PATH": "/usr/bin:/bin"}, lambda _: None)
    assert "0.13" in str(caught.value.hint)


@pytest.mark.parametrize("cache", [True, False])
def test_a_snapshot_that_was_collected_too_early(cache: bool, tmp_path: Path) -> None:
    """The engine may lose what a new image stands on: it is asked once more, and the steps are the first run's."""
    vertex = {"digest": "sha256:a", "name": "[1/1] COPY page /", "started": "2026-01-01T00:00:00Z"}
    vertex |= {"completed": "2026-01-01T00:00:02Z"}
    first, second = (json.dumps({"vertexes": [{**vertex, "cached": cached}]}) for cached in (False, True))
    lost = "ERROR: failed to prepare extraction snapshot x: parent snapshot sha256:b does not exist: not found"
    script = f"if mkdir {tmp_path}/once; then echo '{first}'; echo '{lost}'; exit 1; fi\n"
    script += f"case \"$*\" in *--no-cache*) exit 7; esac; echo '{second}'"
    request = BuildRequest(context=tmp_path, dockerfile="Dockerfile", names=("x",), args={}, labels={}, cache=cache)
    told: list[str] = []
    result = program(tmp_path, script).build(request, BuildOutput(), {"PATH": "/usr/bin:/bin"}, told.append)
    assert [(step.cached, step.seconds) for step in result.steps] == [(False, 2.0)]
    assert len([line for line in told if "COPY" in line]) == 1
    with pytest.raises(LostSnapshot):
        program(tmp_path, f"echo '{lost}'; exit 1").build(
            request, BuildOutput(), {"PATH": "/usr/bin:/bin"}, told.append
        )


def program(folder: Path, script: str) -> Buildx:
    """A buildx that does no more than the script."""
    file = folder / "docker-buildx"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return Buildx(str(file))

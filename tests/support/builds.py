"""What tests of builds share: Dockerfiles of today, a buildx that tells what it was told, layouts."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import socket
import tarfile
import threading
import urllib.request
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.parts import PARTS
from tests.support.registry import SECRET, USER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.engine import EngineProcess
    from tests.support.registry import RegistryProcess

CONTAINERD = pytest.mark.parametrize("engine", ["containerd"], indirect=True)

# What the classic builder refuses late or leaves out in silence: the instructions, and what /out holds then.
BUILDS: Final = {
    "run-heredoc": ("RUN <<EOT\necho hi > /out\nEOT", "hi"),
    "copy-heredoc": ("COPY <<EOF /out\nhi\nEOF", "hi"),
    "cache-mount": ("RUN --mount=type=cache,target=/kept echo hi > /out", "hi"),
    "chmod": ("COPY --chmod=755 page /page\nRUN /bin/busybox stat -c %a /page > /out", "755"),
    "link": ("COPY --link page /out", "one"),
    "platform": (
        (
            "FROM --platform=$BUILDPLATFORM scratch AS x\nCOPY page /page\nFROM scratch\nCOPY busybox /bin/busybox\n"
            "COPY --from=x /page /out"
        ),
        "one",
    ),
    "automatic-argument": ("ARG TARGETARCH\nRUN echo $TARGETARCH > /out", "amd64"),
}

_RECORDER: Final = """#!/bin/sh
printf '%s\\n' "$@" > {folder}/words
env > {folder}/environ
echo "$DOCKER_CONFIG" > {folder}/folder
cp "$DOCKER_CONFIG/config.json" {folder}/config.json
stat -c %a "$DOCKER_CONFIG/config.json" "$DOCKER_CONFIG" > {folder}/mode
exec {real} "$@"
"""


def record_buildx(home: Path, folder: Path) -> Path:
    """Put a script before the real plugin that writes down what it gets: words, environ, docker's configuration."""
    folder.mkdir()
    (home / "docker" / "cli-plugins").mkdir(parents=True, exist_ok=True)
    plugin = home / "docker" / "cli-plugins" / "docker-buildx"
    real = os.path.realpath(plugin if plugin.exists() else PARTS / "plugins" / "docker-buildx")
    plugin.unlink(missing_ok=True)
    plugin.write_text(_RECORDER.format(folder=folder, real=real))
    plugin.chmod(0o755)
    return folder


def read_blob(layout: Path, digest: str) -> Any:
    """A JSON blob of a layout."""
    return json.loads((layout / "blobs" / digest.replace(":", "/")).read_bytes())


def index_of(layout: Path) -> Any:
    """The layout's index.json."""
    return json.loads((layout / "index.json").read_bytes())


def manifest_of(layout: Path) -> Any:
    """The manifest of its only image, of the first platform."""
    root = read_blob(layout, index_of(layout)["manifests"][0]["digest"])
    return read_blob(layout, root["manifests"][0]["digest"]) if "manifests" in root else root


def files_of(layout: Path) -> dict[str, str]:
    """The small files of its only image."""
    files: dict[str, str] = {}
    for layer in manifest_of(layout)["layers"]:
        content = gzip.decompress((layout / "blobs" / layer["digest"].replace(":", "/")).read_bytes())
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            small = (member for member in archive if member.isfile() and member.size < 4096)
            files |= {member.name: file.read().decode() for member in small if (file := archive.extractfile(member))}
    return files


def registry_manifest(registry: RegistryProcess, name: str, tag: str) -> Any:
    """What a tag holds."""
    kinds = ("application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json")
    request = urllib.request.Request(f"{registry.url}/v2/{name}/manifests/{tag}", headers={"Accept": ", ".join(kinds)})
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def login(registry: RegistryProcess) -> dict[str, str]:
    """An entry of docker's configuration for a registry that wants a password."""
    assert registry.host
    return {"auth": base64.b64encode(f"{USER}:{SECRET}".encode()).decode()}


@contextmanager
def serve_buildkit(engine: EngineProcess, path: Path) -> Iterator[str]:
    """The BuildKit within an engine as a BuildKit of its own, as buildx's driver `remote` wants one; its address."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=_accept, args=(listener, engine.host.removeprefix("unix://")), daemon=True).start()
        try:
            yield f"unix://{path}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, engine: str) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.socket(socket.AF_UNIX)
        server.connect(engine)
        server.sendall(b"POST /grpc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        while b"\r\n\r\n" not in (head := server.recv(4096, socket.MSG_PEEK)):
            pass
        server.recv(head.index(b"\r\n\r\n") + 4)
        for one, other in ((client, server), (server, client)):
            threading.Thread(target=_copy, args=(one, other), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with source, suppress(OSError):
        while piece := source.recv(1 << 16):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)

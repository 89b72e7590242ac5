"""The connection to a container engine."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.tls import TLSConfig

from publisher.engine.events import read_pull, read_push
from publisher.engine.stream import ExportStream
from publisher.model.digest import Digest
from publisher.model.errors import DiskFull, EngineUnavailable, PublishError, SourceNotFound, Unreachable
from publisher.model.manifest import Platform

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from publisher.model.credential import Credential

_DEFAULT = "unix:///var/run/docker.sock"
_IDLE_SECONDS = 600  # an export's first byte comes after most of its time


@dataclass(frozen=True, slots=True)
class EngineImage:
    """An image as the engine knows it.

    config: the config's digest, which is the image id in the classic store; None in a containerd store.
    """

    id: str
    config: Digest | None
    diff_ids: tuple[Digest, ...]
    repo_digests: tuple[str, ...]
    labels: Mapping[str, str]
    platform: Platform
    size: int


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull brought: the image's id, and "none", "manifest" or "layers"."""

    id: str
    downloaded: str


class Engine:
    """A container engine that answers; make one by `connect`."""

    def __init__(self, api: docker.APIClient, address: str) -> None:
        self._api = api
        self.address = address

    @classmethod
    def connect(cls, environ: Mapping[str, str]) -> Self:
        """Find the engine as docker's own CLI does; raises EngineUnavailable with the reason."""
        address, tls = _address(environ)
        try:
            api = docker.APIClient(base_url=address, version="auto", timeout=_IDLE_SECONDS, tls=tls or False)
        except (DockerException, requests.RequestException, OSError) as error:
            raise _unavailable(address, error) from error
        return cls(api, address)

    @property
    def loopback_is_ours(self) -> bool:
        """Whether 127.0.0.1 is the same to the engine as to this process."""
        return self.address.startswith("unix:") and "Docker Desktop" not in self.about().get("OperatingSystem", "")

    def about(self) -> dict[str, Any]:
        """The engine's own description."""
        return self._api.info()

    @property
    def version(self) -> str:
        """The engine's version."""
        return str(self._api.version()["Version"])

    def inspect(self, name: str) -> EngineImage | None:
        """Look an image up by name or id; None if it isn't there."""
        try:
            found = self._api.inspect_image(name)  # type: ignore[no-untyped-call]  # the stubs lack it
        except (ImageNotFound, NotFound):
            return None
        except APIError as error:
            raise _refused(error, name) from error
        classic = "Descriptor" not in found or found["Descriptor"] is None
        return EngineImage(
            found["Id"],
            Digest.parse(found["Id"]) if classic else None,
            tuple(Digest.parse(text) for text in found["RootFS"].get("Layers") or ()),
            tuple(found.get("RepoDigests") or ()),
            (found.get("Config") or {}).get("Labels") or {},
            Platform(found.get("Os") or "", found.get("Architecture") or "", found.get("Variant") or ""),
            int(found.get("Size") or 0),
        )

    def need(self, name: str) -> EngineImage:
        """As `inspect`; absent is a SourceNotFound that names what is like it."""
        if found := self.inspect(name):
            return found
        from difflib import get_close_matches

        tags = [tag for image in self._api.images() for tag in image.get("RepoTags") or ()]
        near = get_close_matches(name if ":" in name else f"{name}:latest", tags, n=1)
        hint = f"did you mean {near[0]}?" if near else "'docker image ls' shows what there is"
        raise SourceNotFound(f"the engine has no image '{name}'", reference=f"docker-daemon:{name}", hint=hint)

    @contextmanager
    def open_export(self, name: str) -> Iterator[BinaryIO]:
        """The image as `docker save` writes it, as a stream; layers come first, their config after them."""
        try:
            response = self._api._get(self._api._url("/images/{0}/get", name), stream=True)  # type: ignore[attr-defined]  # noqa: SLF001 - get_image's chunks go through a generator at half the speed
            self._api._raise_for_status(response)  # type: ignore[attr-defined]  # noqa: SLF001 - its twin
        except APIError as error:
            raise _refused(error, name) from error
        with response:
            yield cast("BinaryIO", ExportStream(response))

    def push(self, image: str, remote: str, tag: str) -> Digest:
        """Push `image` as `remote:tag` without credentials (to a relay of ours); returns the manifest's digest."""
        self._api.tag(image, remote, tag, force=True)
        try:
            lines = self._api.push(remote, tag=tag, stream=True, decode=False, auth_config={})
            return read_push(lines, f"{remote}:{tag}")
        except APIError as error:
            raise _refused(error, f"{remote}:{tag}") from error
        finally:
            self._api.remove_image(f"{remote}:{tag}", noprune=True)

    def pull(self, reference: str, credential: Credential | None) -> Pulled:
        """Pull `repository@digest`; the name that the pull leaves is removed unless it was there before."""
        before = self.inspect(reference)
        downloaded = self._pull(reference, credential)
        found = self.inspect(reference)
        if found is None:
            raise Unreachable(f"the engine pulled {reference} and doesn't have it", reference=reference)
        if before is None:
            self._api.remove_image(reference, noprune=False)
        return Pulled(found.id, downloaded)

    def pull_tag(self, reference: str, credential: Credential | None) -> None:
        """Pull a tag, so that the engine's copy under it is the registry's."""
        self._pull(reference, credential)

    def _pull(self, reference: str, credential: Credential | None) -> str:
        # An empty dict keeps docker-py from looking into docker's configuration itself.
        auth = {"username": credential.username, "password": credential.secret} if credential else {}
        repository, _, digest = reference.partition("@")
        name, _, tag = repository.rpartition(":") if not digest else (repository, "", digest)
        try:
            lines = self._api.pull(name, tag=tag, stream=True, decode=False, auth_config=auth)
            return read_pull(lines, reference)
        except APIError as error:
            raise _refused(error, reference) from error

    def close(self) -> None:
        """Close the connections."""
        self._api.close()


def _refused(error: APIError, name: str) -> PublishError:
    text = str(error.explanation or error)
    if "no space left" in text:
        return DiskFull(f"the engine has no room left: {text}", reference=name, hint="see 'docker system df'")
    if error.status_code == 404:  # noqa: PLR2004 - absent
        return SourceNotFound(f"the engine has no '{name}'", reference=name)
    return Unreachable(f"the engine refused: {text}", reference=name)


def _unavailable(address: str, error: Exception) -> EngineUnavailable:
    text = repr(error)
    if "PermissionError" in text or "Permission denied" in text:
        return EngineUnavailable(
            f"this user may not use the engine at {address}",
            hint="join the group docker ('sudo usermod -aG docker $USER') or use another DOCKER_HOST",
        )
    if "FileNotFoundError" in text or "No such file" in text:
        return EngineUnavailable(f"there is no engine at {address}", hint="start Docker, or set DOCKER_HOST")
    if "refused" in text:
        return EngineUnavailable(f"the engine at {address} refuses connections", hint="is Docker running?")
    return EngineUnavailable(f"the engine at {address} does not answer: {error}", hint="see 'docker version'")


def _address(environ: Mapping[str, str]) -> tuple[str, TLSConfig | None]:
    """DOCKER_HOST, then DOCKER_CONTEXT or the current context, then the default socket."""
    if host := environ.get("DOCKER_HOST"):
        return host, _tls(environ)
    folder = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or Path.home()) / ".docker")
    name = environ.get("DOCKER_CONTEXT") or _current_context(folder)
    if name and name != "default":
        return _context(folder, name), None
    return _DEFAULT, None


def _tls(environ: Mapping[str, str]) -> TLSConfig | None:
    if not environ.get("DOCKER_TLS_VERIFY"):
        return None
    folder = Path(environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    pair = (str(folder / "cert.pem"), str(folder / "key.pem"))
    return TLSConfig(client_cert=pair, ca_cert=str(folder / "ca.pem"), verify=True)


def _current_context(folder: Path) -> str:
    try:
        found = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError):
        return ""
    return str(found.get("currentContext") or "") if isinstance(found, dict) else ""


def _context(folder: Path, name: str) -> str:
    """The address of one of docker's contexts, which are kept under the hash of their names."""
    place = folder / "contexts" / "meta" / Digest.of(name.encode()).hex / "meta.json"
    try:
        return str(json.loads(place.read_text())["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineUnavailable(f"docker has no context '{name}'", hint="see 'docker context ls'") from error

"""The connection to a container engine."""

from __future__ import annotations

import io
import os
import socket
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self
from urllib.parse import quote

import docker
import requests
from docker.auth import encode_header
from docker.errors import DockerException, InvalidConfigFile, NotFound, create_api_error_from_http_exception
from docker.tls import TLSConfig

from publisher.engine.address import Address
from publisher.engine.errors import BREAKS, translated_errors, unavailable
from publisher.engine.events import ExportStream, pieces, read_pull, read_push
from publisher.engine.image import EngineImage, PullResult
from publisher.model.errors import ConfigError, PublishError, SourceNotFound, Unreachable, UsageError
from publisher.model.manifest import Platform
from publisher.model.printable import printable
from publisher.model.reference import Reference
from publisher.model.value import Value
from publisher.threads import run_to_end

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from publisher.model.credential import Credential
    from publisher.model.digest import Digest

_GREETING_SECONDS: Final = 30
_IDLE_SECONDS: Final = 600
_EXPORT_SECONDS: Final = 3600
"""An export's first byte comes after most of its time."""
_BUFFER: Final = 1 << 20
_MISREAD: Final = (InvalidConfigFile, ValueError, TypeError, AttributeError)
_FIRST_WITH_ZSTD: Final = 23
_CONTAINERD: Final = "io.containerd.snapshotter.v1"


class _BeforePull(Value, frozen=True):
    """What the engine had before a pull: whether the name, and which images."""

    reference: str
    has_name: bool
    images: frozenset[str]

    def needs_name(self, image: EngineImage) -> bool:
        """Whether an image that had no name keeps the one of the pull: without any the engine would delete it."""
        return image.id in self.images and len(image.references) <= 1


class Engine:
    """A container engine that answers; make one by `connect`."""

    def __init__(self, api: docker.APIClient, address: Address) -> None:
        self._api = api
        self._where = address

    @classmethod
    def connect(cls, environ: Mapping[str, str]) -> Self:
        """Find the engine as docker's own CLI does; raises EngineUnavailable with the reason, ConfigError."""
        address = Address.find(environ)
        try:
            api = docker.APIClient(address.url, version="auto", timeout=_GREETING_SECONDS, tls=_tls(address))
        except _MISREAD as error:
            # docker-py reads the credentials in docker's configuration, though they are never used here.
            raise ConfigError(f"docker's config.json is broken: {error}", hint="repair its 'auths'") from error
        except (DockerException, *BREAKS) as error:
            raise unavailable(address, error) from error
        api.timeout = _IDLE_SECONDS
        return cls(api, address)

    @property
    def api(self) -> docker.APIClient:
        """docker-py's own client, for what runs containers and builds."""
        return self._api

    @property
    def address(self) -> str:
        """Where it is, as in unix:///var/run/docker.sock."""
        return self._where.url

    def about(self) -> dict[str, Any]:
        """The engine's own description of itself, asked for once."""
        return self._about

    @cached_property
    def _about(self) -> dict[str, Any]:
        with translated_errors(self.address):
            about: dict[str, Any] = self._api.info()
        return about

    @cached_property
    def _versions(self) -> dict[str, Any]:
        with translated_errors(self.address):
            versions: dict[str, Any] = self._api.version()
        return versions

    @property
    def version(self) -> str:
        """The engine's version."""
        return str(self._versions["Version"])

    @property
    def platform(self) -> Platform:
        """What its own builder makes images for."""
        return Platform(str(self._versions.get("Os")), str(self._versions.get("Arch")))

    @property
    def reads_zstd(self) -> bool:
        """Whether it can pull layers that are compressed with zstd: Docker can since 23, podman always could."""
        major = self.version.partition(".")[0]
        return self.is_podman or (major.isdigit() and int(major) >= _FIRST_WITH_ZSTD)

    @property
    def api_version(self) -> str:
        """The version of its API, as in 1.41."""
        return str(self._api.api_version)

    @property
    def is_near(self) -> bool:
        """Whether it is behind a socket of this machine."""
        return self.address.startswith("unix:")

    @cached_property
    def is_podman(self) -> bool:
        """Whether it is podman that answers, in docker's words."""
        parts = self._versions.get("Components") or ()
        return any("podman" in str(part.get("Name")).lower() for part in parts)

    def podman_health(self, container: str) -> bool:
        """Run the image's HEALTHCHECK now: podman itself runs it only where systemd's timers do."""
        with translated_errors(container):
            url = f"{self._api.base_url}/v4.0.0/libpod/containers/{container}/healthcheck"
            answer = self._api.get(url, timeout=_GREETING_SECONDS)
            _raise_refusal(answer)
            return bool(answer.json().get("Status") == "healthy")

    def podman_healthcheck(self, image: str) -> bool:
        """Whether an image has a HEALTHCHECK: in docker's words podman never says so."""
        with translated_errors(image):
            answer = self._api.get(f"{self._api.base_url}/v4.0.0/libpod/images/{image}/json", timeout=_GREETING_SECONDS)
            _raise_refusal(answer)
            return bool(answer.json().get("Healthcheck"))

    @property
    def loopback_is_ours(self) -> bool:
        """Whether 127.0.0.1 is the same to the engine as to this process.

        It isn't for an engine elsewhere, in a virtual machine (Docker Desktop and its kin), in a network namespace of
        its own (rootless), or when this process runs in a container that was given the socket.
        """
        about = self.about()
        rootless = any("name=rootless" in str(option) for option in about.get("SecurityOptions") or ())
        machine = (os.uname().release, socket.gethostname())
        return self.is_near and not rootless and (about.get("KernelVersion"), about.get("Name")) == machine

    def inspect(self, name: str) -> EngineImage | None:
        """Look an image up by name or id; None if it isn't there."""
        with translated_errors(name):
            try:
                document = self._api.inspect_image(name)  # type: ignore[no-untyped-call]  # the stubs lack it
            except NotFound:
                return None
        return EngineImage.read(document, classic=not (document.get("Descriptor") or self.has_containerd_store))

    @property
    def has_containerd_store(self) -> bool:
        """Whether containerd keeps its images; engines before 28 don't say it with the image."""
        return any(_CONTAINERD in pair for pair in self.about().get("DriverStatus") or ())

    def need(self, name: str) -> EngineImage:
        """As `inspect`; absent is a SourceNotFound that names what is like it."""
        if image := self.inspect(name):
            return image
        with translated_errors(name):
            tags = [tag for other in self._api.images() for tag in other.get("RepoTags") or ()]
        near = get_close_matches(name if ":" in name else f"{name}:latest", tags, n=1)
        hint = f"did you mean {printable(near[0])}?" if near else "'docker image ls' shows what there is"
        raise SourceNotFound(f"the engine has no image '{name}'", reference=f"docker-daemon:{name}", hint=hint)

    @contextmanager
    def open_export(self, name: str) -> Iterator[BinaryIO]:
        """The image as `docker save` writes it, as a stream; layers come first, their config after them."""
        with self._request("GET", f"/images/{name}/get", name, timeout=_EXPORT_SECONDS) as response:
            stream = ExportStream(pieces(response, name), name)
            with io.BufferedReader(stream, _BUFFER) as export:
                yield export

    def push(self, image: str, remote: str, tag: str) -> Digest:
        """Push `image` as `remote:tag` without credentials (to a relay of ours); returns the manifest's digest.

        The name is made for it, and removed however this ends; raises UsageError for an image without any other.
        """
        if not self.need(image).references:
            raise UsageError(
                f"the image {image} has no name, and the engine would delete it after the push",
                reference=f"docker-daemon:{image}",
                hint=f"name it, docker tag {image} NAME, or push it with --via direct",
            )
        return self.push_named(image, remote, tag)

    def push_named(self, image: str, remote: str, tag: str) -> Digest:
        """As `push`, of an image that is known to have another name."""
        name = f"{remote}:{tag}"
        with translated_errors(image):
            self._api.tag(image, remote, tag, force=True)
        try:
            with self._request("POST", f"/images/{remote}/push", name, {"tag": tag}, _auth_header(None)) as response:
                return read_push(pieces(response, name), name)
        finally:
            self._forget(name)

    @contextmanager
    def temporary_name(self, image: str, repository: str, tag: str) -> Iterator[None]:
        """Keep an image without a name until the block ends."""
        with translated_errors(image):
            self._api.tag(image, repository, tag, force=True)
        try:
            yield
        finally:
            run_to_end(partial(self._forget, f"{repository}:{tag}"))

    def nameless(self) -> tuple[int, int]:
        """How many images have no name any more, and their bytes, layers that they share with others included."""
        with translated_errors(self.address):
            images = self._api.images(filters={"dangling": True})
        return len(images), sum(int(image.get("Size") or 0) for image in images)

    def pull(self, reference: str, credential: Credential | None, platform: Platform | None = None) -> PullResult:
        """Pull `repository@digest`; the name that the pull leaves is removed unless it was there before.

        platform: which of its images; None for the engine's own.
        """
        with self.temporary_pull(reference, credential, platform) as pulled:
            return pulled

    @contextmanager
    def temporary_pull(
        self, reference: str, credential: Credential | None, platform: Platform | None = None
    ) -> Iterator[PullResult]:
        """As `pull`, with the name held until the block ends."""
        before = _BeforePull(reference, self._is_named(reference), self._ids())
        try:
            downloaded = self.pull_tag(reference, credential, platform)
            image = self.inspect(reference)
            if image is None:
                raise Unreachable("the engine pulled it and doesn't have it", reference=reference)
            yield PullResult(image.id, downloaded)
        finally:
            if not before.has_name:
                run_to_end(partial(self._remove_name, before))

    def _is_named(self, reference: str) -> bool:
        """Whether it is a name in the engine; podman finds an image by its digest under any name."""
        if not self.is_podman:
            return self.inspect(reference) is not None
        with translated_errors(reference):
            names = {name for image in self._api.images() for name in image.get("Names") or ()}
        return str(Reference.parse(reference)) in names

    def _remove_name(self, before: _BeforePull) -> None:
        """Take away the name that a pull left."""
        with suppress(PublishError):
            image = self.inspect(before.reference)
            if image and not before.needs_name(image):
                self._forget(before.reference)

    def _ids(self) -> frozenset[str]:
        with translated_errors(self.address):
            return frozenset(self._api.images(quiet=True, all=True))

    def pull_tag(self, reference: str, credential: Credential | None, platform: Platform | None = None) -> str:
        """Pull a tag, so that the engine's copy under it is the registry's; "none", "manifest" or "layers" came."""
        parameters = {"fromImage": reference} if "@" in reference else _split(reference)
        parameters |= {"platform": str(platform)} if platform else {}
        with self._request("POST", "/images/create", reference, parameters, _auth_header(credential)) as response:
            return read_pull(pieces(response, reference), reference)

    def _forget(self, name: str) -> None:
        """Take a name away; where that fails, what was done with it is done all the same."""
        with suppress(PublishError), translated_errors(name):
            self._api.remove_image(name, noprune=True)

    @contextmanager
    def _request(
        self,
        method: str,
        path: str,
        reference: str,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: int = _IDLE_SECONDS,
    ) -> Iterator[requests.Response]:
        """Send a request whose answer is read as it comes: docker-py's own readers lose breaks, or time."""
        url = f"{self._api.base_url}/v{self._api.api_version}{quote(path, safe='/:@')}"
        with translated_errors(reference):
            response = self._api.request(method, url, params=parameters, headers=headers, stream=True, timeout=timeout)
        with response:
            with translated_errors(reference):
                _raise_refusal(response)
            yield response

    def close(self) -> None:
        """Close the connections."""
        self._api.close()


def _raise_refusal(response: requests.Response) -> None:
    try:
        response.raise_for_status()
    except requests.HTTPError as error:
        create_api_error_from_http_exception(error)


def _auth_header(credential: Credential | None) -> dict[str, str]:
    """The credential for the registry; without the header podman would look into files of its own."""
    if credential is None:
        fields: dict[str, str] = {}
    elif credential.is_identity_token:
        fields = {"identitytoken": credential.secret}
    elif credential.is_registry_token:
        fields = {"registrytoken": credential.secret}
    else:
        fields = {"username": credential.username, "password": credential.secret}
    return {"X-Registry-Auth": encode_header(fields).decode()}


def _split(reference: str) -> dict[str, str]:
    name, _, tag = reference.rpartition(":")
    return {"fromImage": name, "tag": tag}


def _tls(address: Address) -> TLSConfig | bool:
    files = address.certificates
    if files is None:
        return False
    return TLSConfig(client_cert=(str(files.cert), str(files.key)), ca_cert=str(files.ca), verify=files.verify)

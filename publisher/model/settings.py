"""The configuration, typed; publisher.facts.configuration reads it from a file."""

from __future__ import annotations

from typing import Annotated

import msgspec

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Table(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """A table of the configuration file: keys in kebab-case, unknown ones are errors."""


class TagSettings(Table, frozen=True, kw_only=True):
    """`[tags]`: the rules; None means the default rules."""

    rules: tuple[str, ...] | None = None
    flavor: tuple[str, ...] | None = None
    record: bool = False


class BuildSettings(Table, frozen=True, kw_only=True):
    """`[build]`: paths are relative to the file; what has no type of its own is spelled as buildx spells it."""

    context: str = "."
    dockerfile: str = "Dockerfile"
    args: dict[str, str] = {}
    target: str | None = None
    platforms: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    ssh: str | tuple[str, ...] = ()
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    contexts: tuple[str, ...] | dict[str, str] = ()
    provenance: bool | str | None = None
    sbom: bool | str | None = None
    builder: str | None = None
    network: str | None = None
    shm_size: str | None = None
    ulimits: tuple[str, ...] = ()

    @property
    def context_values(self) -> tuple[str, ...]:
        """`contexts` as NAME=VALUE, however they are written."""
        if isinstance(self.contexts, dict):
            return tuple(f"{name}={value}" for name, value in self.contexts.items())
        return self.contexts


class SignSettings(Table, frozen=True, kw_only=True):
    """`[sign]`: having this table signs every release. `by`: "ci", a key file, or env://NAME.

    sbom: a file, or "syft" or "trivy". legacy: cosign's older form too. verify: who must have signed. trust and
    signing_config: files of a private Sigstore, instead of the public one.
    """

    by: str = "ci"
    sbom: str | None = None
    legacy: bool = False
    verify: tuple[str, ...] = ()
    trust: str | None = None
    signing_config: str | None = None


class HttpCheck(Table, frozen=True, kw_only=True):
    """`http` of `[smoke]`: a request to the running container."""

    path: str = "/"
    status: int = 200
    contains: str | None = None
    port: Port | None = None


class SmokeSettings(Table, frozen=True, kw_only=True):
    """`[smoke]`: how the image is run, and what it must do. `timeout` is in seconds, for all of it."""

    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    env: dict[str, str] = {}
    env_file: str | None = None
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    user: str | None = None
    workdir: str | None = None
    network: str | None = None
    memory: str | None = None
    cpus: float | None = None
    read_only: bool = False
    http: HttpCheck | tuple[HttpCheck, ...] | None = None
    tcp: str | tuple[str, ...] | None = None
    healthcheck: bool = False
    exit_code: int | None = None
    output: str | None = None
    exec: tuple[tuple[str, ...], ...] = ()
    persist: tuple[str, ...] = ()
    timeout: Annotated[float, msgspec.Meta(gt=0)] = 30


class TransferSettings(Table, frozen=True, kw_only=True):
    """`[transfer]`: how layers are compressed."""

    compression: str = "gzip"
    level: Annotated[int, msgspec.Meta(ge=0, le=22)] = 1


class HubSettings(Table, frozen=True, kw_only=True):
    """`[hub]`: what Docker Hub shows and enforces; None leaves a setting as it is there."""

    description: str | None = None
    readme: str | None = None
    immutable: tuple[str, ...] | None = None
    create: bool = False
    private: bool | None = None
    on_release: bool = False


class RetentionSettings(Table, frozen=True, kw_only=True):
    """`[retention]`: what `tags --prune` keeps."""

    keep_last: Annotated[int, msgspec.Meta(ge=0)] = 10
    keep: tuple[str, ...] = ()
    max_age_days: Annotated[int, msgspec.Meta(ge=0)] | None = None


class RegistrySettings(Table, frozen=True, kw_only=True):
    """`[registry.HOST]`: how one registry is reached. Paths are relative to the file."""

    insecure: bool = False
    ca_bundle: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    trusted_realms: tuple[str, ...] = ()


class ImageSettings(Table, frozen=True, kw_only=True):
    """`[images.NAME]`: one of several images of a source repository."""

    repositories: tuple[str, ...]
    source: str | None = None
    version_prefix: str = ""
    tags: TagSettings = TagSettings()
    build: BuildSettings | None = None
    sign: SignSettings | None = None
    smoke: SmokeSettings | None = None
    labels: dict[str, str] = {}
    transfer: TransferSettings = TransferSettings()
    hub: HubSettings = HubSettings()
    retention: RetentionSettings | None = None


class Settings(Table, frozen=True, kw_only=True):
    """The whole file. `images` is a list of repositories, or a table of named images."""

    images: tuple[str, ...] | dict[str, ImageSettings] = ()
    source: str | None = None
    tags: TagSettings = TagSettings()
    build: BuildSettings | None = None
    sign: SignSettings | None = None
    smoke: SmokeSettings | None = None
    labels: dict[str, str] = {}
    transfer: TransferSettings = TransferSettings()
    hub: HubSettings = HubSettings()
    retention: RetentionSettings | None = None
    registry: dict[str, RegistrySettings] = {}

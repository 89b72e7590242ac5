"""What is to be built: `[build]`, what the options say, and labels from the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar

import msgspec
from msgspec.structs import replace

from publisher.engine.builder import BuildRequest
from publisher.engine.buildx import BuildOutput
from publisher.model.build_values import BuildCache, BuildContext, BuildSecret
from publisher.model.errors import BadReference, ConfigError, NoVersion, UsageError
from publisher.model.manifest import Platform
from publisher.model.reference import Reference
from publisher.model.settings import BuildSettings
from publisher.model.value import Value
from publisher.planning.candidates import bound_rules, make_labels
from publisher.planning.reserved import is_reserved
from publisher.workflows.jobs import request_of as request_of_plan
from publisher.workflows.plan import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from publisher.workflows.jobs import Job, PlanOptions
    from publisher.workflows.session import Session

EPOCH: Final = "SOURCE_DATE_EPOCH"
_LARGEST_SECRET: Final = 500 * 1024
_LONG_ENOUGH: Final = 8
"""Shorter lines of a secret file may be ordinary words, which would be missed in what is told."""


class _Located(Protocol):
    """A value that may have paths in it."""

    def within(self, folder: Path) -> Self: ...


_Read = TypeVar("_Read", bound=_Located)


class BuildOptions(Value, frozen=True, kw_only=True):
    """What the options add to `[build]`. output: where the image goes, None is the engine.

    dry_run: nothing is built, so that no secret need be there: a pull request of a stranger has none.
    """

    names: tuple[str, ...] = ()
    target: str | None = None
    platforms: tuple[str, ...] = ()
    args: Mapping[str, str] = msgspec.field(default_factory=dict)
    pull: bool = False
    cache: bool = True
    secrets: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    provenance: str | None = None
    sbom: str | None = None
    builder: str | None = None
    output: BuildOutput | None = None
    dry_run: bool = False


def request_of(session: Session, job: Job, wish: PlanOptions, options: BuildOptions) -> BuildRequest:
    """What is to be built; raises ConfigError and UsageError, also for a secret that isn't there."""
    settings = job.settings.build or session.settings.build or BuildSettings()
    version, labels = _stamp(session, job, wish)
    folder = session.configuration.folder
    epoch = session.environ.get(EPOCH)
    own_secrets = _read("--secret", options.secrets, BuildSecret.parse, session.directory)
    secrets = {one.id: one for one in (*_read("secrets", settings.secrets, BuildSecret.parse, folder), *own_secrets)}
    request = BuildRequest(
        context=session.configuration.path(settings.context),
        dockerfile=settings.dockerfile,
        names=tuple(map(_checked_name, options.names)) or (_name(job, version or "dev"),),
        args={**({EPOCH: epoch} if epoch else {}), **settings.args, **options.args},
        labels=labels,
        target=options.target or settings.target,
        platforms=_platforms(options.platforms or settings.platforms),
        network=settings.network,
        shm_size=settings.shm_size,
        pull=options.pull,
        cache=options.cache,
        secrets=tuple(secrets.values())
        if options.dry_run
        else tuple(_learn(session, secret, folder) for secret in secrets.values()),
        ssh=options.ssh or ((settings.ssh,) if isinstance(settings.ssh, str) else settings.ssh),
        cache_from=_read("--cache-from", options.cache_from, BuildCache.parse, session.directory)
        or _read("cache-from", settings.cache_from, BuildCache.parse, folder),
        cache_to=_read("--cache-to", options.cache_to, BuildCache.parse, session.directory)
        or _read("cache-to", settings.cache_to, BuildCache.parse, folder),
        contexts=_read("contexts", settings.context_values, BuildContext.parse, folder),
        provenance=options.provenance or _spelled(settings.provenance),
        sbom=options.sbom or _spelled(settings.sbom),
        builder=options.builder or settings.builder,
        ulimits=settings.ulimits,
    )
    request.check()
    if "default" in request.ssh and not options.dry_run and not session.environ.get("SSH_AUTH_SOCK"):
        raise UsageError("ssh: no agent is running (SSH_AUTH_SOCK is not set)", hint='eval "$(ssh-agent)" && ssh-add')
    if options.output and len(request.names) > 1:
        raise UsageError("an OCI layout gets one name", hint="pass one -t")
    _refuse_tags(session, job, wish, request)
    return _at_home(session, request)


def read_output(text: str | None, directory: Path) -> BuildOutput | None:
    """Read `oci:DIR` or `oci-archive:FILE`; raises UsageError, also for a folder that holds something else."""
    if text is None:
        return None
    kind, _, rest = text.partition(":")
    if kind not in {"oci", "oci-archive"} or not rest:
        raise UsageError(f"--output {text}: expected oci:DIR or oci-archive:FILE")
    path = directory / rest
    if kind == "oci-archive":
        return BuildOutput(path=path, archive=True)
    if path.exists() and not (path / "oci-layout").is_file() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} holds something else than an OCI layout", reference=text, hint="name a new folder")
    return BuildOutput(path=path)


def _stamp(session: Session, job: Job, wish: PlanOptions) -> tuple[str | None, Mapping[str, str]]:
    """The version, where there is one, and the plan's labels; a first try needs neither git nor a version."""
    try:
        asked = ask(session, job, wish)
    except NoVersion:
        return None, make_labels(session.facts, None, request_of_plan(session, job, wish).labels)
    return str(asked.release) if asked.release else None, asked.labels


def _checked_name(text: str) -> str:
    """As it is; raises BadReference for what no engine takes, before it is asked."""
    try:
        digest = Reference.parse(text).digest
    except BadReference as error:
        raise BadReference(f"-t {text}: {error.message}", reference=text, hint=error.hint) from None
    if digest:
        raise BadReference(f"-t {text}: an image is named before it has a digest", reference=text)
    return text


def _name(job: Job, version: str) -> str:
    """`source`'s name, else the first image's last part with the version, or `dev`."""
    if job.settings.source:
        source = job.settings.source.removeprefix("docker-daemon:")
        return source if ":" in source.rpartition("/")[2] else f"{source}:latest"
    last = job.repositories[0].name.rpartition("/")[2] if job.repositories else "image"
    return f"{last}:{version}"


def _platforms(texts: Iterable[str]) -> tuple[str, ...]:
    """Each once; raises BadReference."""
    names = tuple(dict.fromkeys(name.strip() for text in texts for name in text.split(",") if name.strip()))
    for name in names:
        Platform.parse(name)
    return names


def _spelled(value: bool | str | None) -> str | None:
    return value if isinstance(value, str) or value is None else str(value).lower()


def _read(name: str, texts: Iterable[str], parse: Callable[[str], _Read], folder: Path) -> tuple[_Read, ...]:
    """Parse values, their paths made usable from anywhere; raises UsageError. The configuration's are checked."""
    try:
        return tuple(parse(text).within(folder) for text in texts)
    except ValueError as error:
        raise UsageError(f"{name}: {error}", hint="it is spelled as 'docker buildx build' spells it") from error


def _learn(session: Session, secret: BuildSecret, folder: Path) -> BuildSecret:
    """Read a secret's value before anybody can show it; raises ConfigError for one that isn't there."""
    found = secret.resolve(session.environ, folder)
    if found.variable:
        value = session.environ.get(found.variable, "")
        if not value:
            raise ConfigError(
                f"the build secret '{secret.id}' is the variable {found.variable}, which is not set",
                hint=f"set {found.variable}, or take the secret out of [build] secrets",
            )
        session.learn(value)
        return found
    for text in _texts_of(found):
        session.learn(text)
    return found


def _texts_of(secret: BuildSecret) -> set[str]:
    """All of a file that would give it away: the whole, its lines, and what stands behind a sign in them."""
    try:
        with open(secret.file, "rb") as file:  # noqa: PTH123 - as text, a path from anywhere
            content = file.read(_LARGEST_SECRET + 1)
    except OSError as error:
        raise ConfigError(
            f"the build secret '{secret.id}' can't be read: {error.strerror}", reference=secret.file
        ) from error
    if len(content) > _LARGEST_SECRET:
        raise ConfigError(f"the build secret '{secret.id}' has more than 500 KiB", reference=secret.file)
    whole = content.decode(errors="surrogateescape").strip()
    lines = [line.strip() for line in whole.splitlines()]
    parts = [part.strip(" '\"") for line in lines for sign in "=: " for part in (line.rpartition(sign)[2],)]
    return {whole, *(text for text in (*lines, *parts) if len(text) >= _LONG_ENOUGH)}


def _refuse_tags(session: Session, job: Job, wish: PlanOptions, request: BuildRequest) -> None:
    """A cache that is kept under a tag of the release would overwrite it, past all that a release proves."""
    with session.configuration.locate_rules():
        rules = bound_rules(request_of_plan(session, job, wish), session.facts)
    for cache in request.cache_to:
        if not cache.reference:
            continue
        reference = Reference.parse(cache.reference)
        tag = str(reference.tag or "latest")
        if reference.repository in job.repositories and is_reserved(rules, tag):
            raise ConfigError(
                f"the cache {cache.reference} would be written over the tag {tag}, which the rules may give an image",
                reference=cache.reference,
                hint=f"keep it elsewhere, as in type=registry,ref={reference.repository.familiar}-cache:{tag}",
            )


def _at_home(session: Session, request: BuildRequest) -> BuildRequest:
    """In a sandbox caches of registries are kept there too: a rehearsal writes nowhere else."""
    if not session.sandbox:
        return request

    def moved(cache: BuildCache) -> BuildCache:
        if not cache.reference:
            return cache
        reference = Reference.parse(cache.reference)
        return cache.renamed(f"{session.engine_name(reference.repository)}:{reference.tag or 'latest'}")

    return replace(
        request,
        cache_from=tuple(map(moved, request.cache_from)),
        cache_to=tuple(map(moved, request.cache_to)),
    )


def named_references(texts: Iterable[str]) -> tuple[Reference, ...]:
    """The images among these names; what isn't one is left to the builder."""
    found = []
    for text in texts:
        try:
            found.append(Reference.parse(text))
        except BadReference:
            continue
    return tuple(found)

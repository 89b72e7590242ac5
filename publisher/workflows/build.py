"""Build the image that `[build]` describes, with labels from the plan."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

import msgspec

from publisher.engine.advice import Advice, Surroundings, advise
from publisher.engine.build_inputs import BuildInputs, first_miss, snapshot
from publisher.engine.builder import BuildRequest, BuildResult, BuildStep, build, context_files
from publisher.engine.crossbuild import build_elsewhere, need_builder, other_builder
from publisher.engine.run_options import Port
from publisher.model.digest import Digest
from publisher.model.environment import cache_folder
from publisher.model.errors import NoVersion
from publisher.model.manifest import Platform
from publisher.model.settings import BuildSettings
from publisher.model.value import Value
from publisher.planning.candidates import make_labels
from publisher.workflows.jobs import request_of as request_of_plan
from publisher.workflows.plan import ask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from publisher.workflows.jobs import Job, PlanOptions
    from publisher.workflows.session import Session


_EPOCH: Final = "SOURCE_DATE_EPOCH"


class BuildReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="publish.build/1"):
    """What was built. images: its names. miss: where the cache ended, and why. seconds: in all."""

    images: tuple[str, ...]
    id: str
    steps: tuple[BuildStep, ...]
    seconds: float
    miss: str = ""
    advice: tuple[Advice, ...] = ()


class BuildOptions(Value, frozen=True, kw_only=True):
    """What the options add to `[build]`."""

    names: tuple[str, ...] = ()
    target: str | None = None
    platform: str | None = None
    args: Mapping[str, str] = msgspec.field(default_factory=dict)
    pull: bool = False
    cache: bool = True


def build_image(session: Session, job: Job, wish: PlanOptions, options: BuildOptions) -> BuildReport:
    """Build, name and label an image; the report says what the cache did."""
    began = time.monotonic()
    request = request_of(session, job, wish, options)
    session.progress.step(f"build    {request.names[0]} from {request.context}")
    files = context_files(request.context)
    notes = _Notes.of(session, request)
    before = notes.read()
    now = snapshot(request, files, before)
    made = _build(session, request)
    notes.write(now)
    for warning in (*made.warnings, *_not_reproducible(session, request, made)):
        session.progress.warn(warning)
    return BuildReport(
        images=request.names,
        id=made.id,
        steps=made.steps,
        seconds=round(time.monotonic() - began, 2),
        miss=first_miss(made.steps, before, now) if request.cache else "",
        advice=_advice(job, request, files, made),
    )


def request_of(session: Session, job: Job, wish: PlanOptions, options: BuildOptions) -> BuildRequest:
    """What is to be built; raises ConfigError where there is no Dockerfile."""
    settings = job.settings.build or session.settings.build or BuildSettings()
    version, labels = _stamp(session, job, wish)
    if options.platform:
        Platform.parse(options.platform)
    request = BuildRequest(
        context=session.configuration.path(settings.context),
        dockerfile=settings.dockerfile,
        names=options.names or (_name(job, version or "dev"),),
        args={**_reproducible(session), **settings.args, **options.args},
        labels=labels,
        target=options.target or settings.target,
        platform=options.platform,
        pull=options.pull,
        cache=options.cache,
    )
    request.check()
    return request


def _stamp(session: Session, job: Job, wish: PlanOptions) -> tuple[str | None, Mapping[str, str]]:
    """The version, where there is one, and the plan's labels; a first try needs neither git nor a version."""
    try:
        asked = ask(session, job, wish)
    except NoVersion:
        return None, make_labels(session.facts, None, request_of_plan(session, job, wish).labels)
    return str(asked.release) if asked.release else None, asked.labels


def _build(session: Session, request: BuildRequest) -> BuildResult:
    """By the engine's own builder; for another platform, or the same bytes again, by one that can."""
    engine, tell = session.engine, session.progress.step
    if request.platform is None or engine.is_podman:
        return build(engine.api, request, tell)
    foreign = Platform.parse(request.platform) != engine.platform
    if foreign:
        builder: str | None = need_builder(request, str(engine.platform), session.environ)
    else:
        builder = other_builder(session.environ) if session.environ.get(_EPOCH) else None
    if builder is None:
        return build(engine.api, request, tell)
    session.progress.step(f"build    for {request.platform} by {builder}")
    return build_elsewhere(engine.api, request, builder, session.environ, tell)


def _reproducible(session: Session) -> dict[str, str]:
    """The time of everything to buildx; the classic builder passes it on to what runs."""
    epoch = session.environ.get(_EPOCH)
    return {_EPOCH: epoch} if epoch else {}


def _not_reproducible(session: Session, request: BuildRequest, made: BuildResult) -> Iterator[str]:
    anew = [step for step in made.steps if not step.cached and not step.instruction.startswith(("FROM", "ARG"))]
    if session.environ.get(_EPOCH) and request.platform is None and anew:
        yield (
            "SOURCE_DATE_EPOCH: the engine's own builder writes the time of the build into the image all the same; "
            f"with --platform {session.engine.platform} buildx or buildah make the same bytes again"
        )


class _Notes(Value, frozen=True):
    """What the last build of the same Dockerfile and stage was made from; losing it costs an explanation."""

    path: Path

    @classmethod
    def of(cls, session: Session, request: BuildRequest) -> Self:
        key = f"{request.context.resolve()}\n{request.dockerfile}\n{request.target}\n{request.platform}"
        return cls(cache_folder(session.environ) / "builds" / f"{Digest.of(key.encode()).hex[:16]}.json")

    def read(self) -> BuildInputs | None:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=BuildInputs)
        except (OSError, msgspec.MsgspecError):
            return None

    def write(self, found: BuildInputs) -> None:
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Unlike a receipt it need not be on the disk before anything goes on.
            beside = self.path.with_suffix(f".{os.getpid()}")
            beside.write_bytes(msgspec.json.encode(found))
            beside.replace(self.path)


def _name(job: Job, version: str) -> str:
    """`source`'s name, else the first image's last part with the version, or `dev`."""
    if job.settings.source:
        source = job.settings.source.removeprefix("docker-daemon:")
        return source if ":" in source.rpartition("/")[2] else f"{source}:latest"
    last = job.repositories[0].name.rpartition("/")[2] if job.repositories else "image"
    return f"{last}:{version}"


def _advice(job: Job, request: BuildRequest, files: tuple[str, ...], made: BuildResult) -> tuple[Advice, ...]:
    smoke = job.settings.smoke
    around = Surroundings(
        files=files,
        ignores=(request.context / ".dockerignore").is_file(),
        ports=tuple(Port.parse(port).number for port in smoke.ports) if smoke else (),
        workdir=made.workdir,
        exposed=made.exposed,
    )
    return advise((request.context / request.dockerfile).read_text(), around)


def built_source(session: Session, job: Job, wish: PlanOptions, *, dry_run: bool) -> tuple[str, ...] | None:
    """Build what a release takes; a dry run builds nothing: None stands for an image that isn't made yet."""
    if dry_run:
        request = request_of(session, job, wish, BuildOptions())
        session.engine.about()
        session.progress.step(f"build    would make {request.names[0]} from {request.context}: its content is unknown")
        return None
    report = build_image(session, job, wish, BuildOptions())
    tell_advice(session, report)
    return (f"docker-daemon:{report.images[0]}",)


def tell_advice(session: Session, report: BuildReport) -> None:
    """Why the cache was left, and what could be better, by line."""
    if report.miss:
        session.progress.step(report.miss)
    for one in report.advice:
        where = f"line {one.line}: " if one.line else ""
        session.progress.warn(f"{where}{one.message} [{one.rule}]")

"""Build the image that `[build]` describes, with labels from the plan."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from publisher.engine.builder import BuildRequest, BuildStep, build, context_files, first_miss
from publisher.engine.dockerfile import Advice, Surroundings, advise
from publisher.engine.running import Port
from publisher.model.errors import UsageError
from publisher.model.settings import BuildSettings
from publisher.workflows.plan import ask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.workflows.jobs import Job, Wish
    from publisher.workflows.session import Session


class BuildReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="publish.build/1"):
    """What was built. images: its names. miss: where the cache ended, and why. seconds: in all."""

    images: tuple[str, ...]
    id: str
    steps: tuple[BuildStep, ...]
    seconds: float
    miss: str = ""
    advice: tuple[Advice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """What the options add to `[build]`."""

    names: tuple[str, ...] = ()
    target: str | None = None
    platform: str | None = None
    args: Mapping[str, str] = field(default_factory=dict)
    pull: bool = False
    cache: bool = True


def build_image(session: Session, job: Job, wish: Wish, options: BuildOptions) -> BuildReport:
    """Build, name and label an image; the report says what the cache did."""
    began = time.monotonic()
    settings = job.settings.build or session.settings.build or BuildSettings()
    asked = ask(session, job, wish)
    context = session.configuration.path(settings.context)
    names = options.names or (_name(job, str(asked.release) if asked.release else "dev"),)
    request = BuildRequest(
        context=context,
        dockerfile=settings.dockerfile,
        names=names,
        args={**_reproducible(), **settings.args, **options.args},
        labels=asked.labels,
        target=options.target or settings.target,
        platform=options.platform,
        pull=options.pull,
        cache=options.cache,
    )
    session.progress.step(f"build    {names[0]} from {context}")
    made = build(session.engine.api, request, session.progress.step)
    advice = _advice(job, request)
    return BuildReport(
        images=names,
        id=made.id,
        steps=made.steps,
        seconds=round(time.monotonic() - began, 2),
        miss=first_miss(made.steps),
        advice=advice,
    )


def _reproducible() -> dict[str, str]:
    """BuildKit takes it as the time of everything; the classic builder passes it on to what runs."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return {"SOURCE_DATE_EPOCH": epoch} if epoch else {}


def _name(job: Job, version: str) -> str:
    """`source`'s name, else the first image's last part with the version, or `dev`."""
    if job.settings.source:
        source = job.settings.source.removeprefix("docker-daemon:")
        return source if ":" in source.rpartition("/")[2] else f"{source}:latest"
    last = job.repositories[0].name.rpartition("/")[2] if job.repositories else "image"
    return f"{last}:{version}"


def _advice(job: Job, request: BuildRequest) -> tuple[Advice, ...]:
    smoke = job.settings.smoke
    around = Surroundings(
        files=context_files(request.context),
        ignores=(request.context / ".dockerignore").is_file(),
        ports=tuple(Port.parse(port).number for port in smoke.ports) if smoke else (),
    )
    return advise((request.context / request.dockerfile).read_text(), around)


def sources_of(session: Session, job: Job, wish: Wish, sources: Sequence[str], *, build: bool) -> tuple[str, ...]:
    """What a release takes: its arguments, else `source`, else what `[build]` builds; with `build` always that.

    Raises UsageError where a source is named and a build is asked for.
    """
    settings = job.settings.build or session.settings.build
    if build and sources:
        raise UsageError("--build builds the image that is released, and a source is named too")
    if sources or (job.settings.source and not build) or not (build or settings):
        return tuple(sources)
    report = build_image(session, job, wish, BuildOptions())
    return (f"docker-daemon:{report.images[0]}",)

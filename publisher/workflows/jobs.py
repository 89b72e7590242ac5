"""What the configuration and the options ask for: one job for each image, and what a release of it starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from publisher.model.errors import ConfigError
from publisher.model.image_name import read_images
from publisher.model.settings import ImageSettings, Settings
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from publisher.model.plan import Plan
    from publisher.model.reference import Repository
    from publisher.model.settings import BuildSettings
    from publisher.planning.candidates import Candidates, PlanRequest
    from publisher.planning.lines import Published
    from publisher.planning.plan import Known
    from publisher.workflows.content.sources import Source
    from publisher.workflows.destination import Destination
    from publisher.workflows.session import Session
    from publisher.workflows.signing import Signing


class PlanOptions(Value, frozen=True, kw_only=True):
    """What the options of `plan` and `release` say of the plan. platforms: these of the source only, where any are."""

    images: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    flavor: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}
    version: str | None = None
    only: str | None = None
    force: bool = False
    platforms: tuple[str, ...] = ()


class Job(Value, frozen=True):
    """One image to publish: its repositories as the user wrote them, and its settings."""

    name: str | None
    images: tuple[str, ...]
    settings: ImageSettings

    @property
    def repositories(self) -> tuple[Repository, ...]:
        """Where it goes, each once."""
        return tuple(image.repository for image in read_images(self.images))

    def built_from(self, build: BuildSettings, context: Path | None, dockerfile: Path | None) -> Job:
        """The same, built from another folder or Dockerfile; another folder has a Dockerfile of its own."""
        if context:
            build = replace(build, context=str(context), dockerfile="Dockerfile")
        if dockerfile:
            build = replace(build, dockerfile=str(dockerfile))
        return replace(self, settings=replace(self.settings, build=build))


class ReleaseDraft(Value, frozen=True):
    """A plan with what it was made from: what each repository held then; nothing of all that where nobody was asked."""

    job: Job
    candidates: Candidates
    destinations: tuple[Destination, ...]
    published: Mapping[Repository, Published]
    sources: tuple[Source, ...]
    known: Known | None
    plan: Plan
    signing: Signing | None = None


def request_of(session: Session, job: Job, wish: PlanOptions) -> PlanRequest:
    """What options and configuration say of one image."""
    from publisher.planning.candidates import PlanRequest

    return PlanRequest(
        images=job.images,
        version=wish.version,
        rules=wish.rules or job.settings.tags.rules or session.settings.tags.rules,
        flavor=wish.flavor or job.settings.tags.flavor or session.settings.tags.flavor,
        labels={**session.settings.labels, **job.settings.labels, **wish.labels},
        version_prefix=job.settings.version_prefix,
        force=wish.force,
        sandbox=session.sandbox is not None,
    )


def jobs(settings: Settings, wish: PlanOptions, *, nameless: bool = False) -> tuple[Job, ...]:
    """The images that this run is about; raises ConfigError where there is none or the wrong one is asked for.

    nameless: no image is fine too, the tags then stand alone.
    """
    if isinstance(settings.images, dict):
        return _named_jobs(settings.images, wish)
    if wish.only:
        raise ConfigError(
            f"--only {wish.only}: the configuration has no [images.{wish.only}]",
            hint="--only picks one of several [images.NAME] tables",
        )
    images = wish.images or settings.images
    if not images and not nameless:
        raise ConfigError(
            "no image is named to publish to",
            hint='pass --image USER/NAME, or write images = ["USER/NAME"] in publish.toml',
        )
    return (Job(None, images, _top_level(settings, images)),)


def only_job(settings: Settings, wish: PlanOptions) -> Job:
    """As jobs, for what works on one image; raises ConfigError where there are several."""
    job, *others = jobs(settings, wish, nameless=True)
    if others:
        names = ", ".join(str(each.name) for each in (job, *others))
        raise ConfigError(f"there are several images: {names}", hint="pick one with --only NAME")
    return job


def _top_level(settings: Settings, images: tuple[str, ...]) -> ImageSettings:
    return ImageSettings(
        repositories=images,
        source=settings.source,
        tags=settings.tags,
        build=settings.build,
        sign=settings.sign,
        smoke=settings.smoke,
        labels=settings.labels,
        transfer=settings.transfer,
        hub=settings.hub,
        retention=settings.retention,
    )


def _named_jobs(tables: Mapping[str, ImageSettings], wish: PlanOptions) -> tuple[Job, ...]:
    if wish.only and wish.only not in tables:
        known = ", ".join(tables)
        raise ConfigError(f"--only {wish.only}: the configuration has no [images.{wish.only}]", hint=f"it has {known}")
    names = (wish.only,) if wish.only else tuple(tables)
    if wish.images and len(names) > 1:
        raise ConfigError("--image can't stand for several [images.NAME] tables", hint="pick one with --only NAME")
    return tuple(Job(name, wish.images or tables[name].repositories, tables[name]) for name in names)

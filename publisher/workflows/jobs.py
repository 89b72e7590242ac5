"""What the configuration and the options ask for: one job for each image, and what a release of it starts from."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from msgspec.structs import replace

from publisher.model.errors import ConfigError, Refused
from publisher.model.facts import TAG_REF
from publisher.model.image_name import read_images
from publisher.model.settings import ImageSettings, ReleaseSettings, Settings
from publisher.model.value import Value
from publisher.planning.ref_choice import released_images
from publisher.planning.rules import read_rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from publisher.model.facts import Facts
    from publisher.model.plan import Plan
    from publisher.model.reference import Repository
    from publisher.model.settings import BuildSettings
    from publisher.planning.candidates import Candidates, PlanRequest
    from publisher.planning.lines import Published
    from publisher.planning.plan import ReleasedContent
    from publisher.planning.ref_choice import RefReading
    from publisher.workflows.content.sources import Source
    from publisher.workflows.destination import Destination
    from publisher.workflows.session import Session
    from publisher.workflows.signing import Signing


class PlanOptions(Value, frozen=True, kw_only=True):
    """What the options of `plan` and `release` say of the plan. platforms: these of the source only, where any are.

    pull_request: the tags of a pull request are to be written.
    """

    images: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    flavor: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}
    version: str | None = None
    only: tuple[str, ...] = ()
    force: bool = False
    pull_request: bool = False
    platforms: tuple[str, ...] = ()

    @property
    def selection(self) -> str:
        """The options that say which images and by which rules, to follow another command; "" where there are none."""
        pairs = (("--image", self.images), ("--rule", self.rules), ("--flavor", self.flavor), ("--only", self.only))
        words = [word for option, values in pairs for value in values for word in (option, value)]
        return f" {shlex.join(words)}" if words else ""


class Job(Value, frozen=True):
    """One image to publish: its repositories as the user wrote them, and its settings.

    other_prefixes: what the git tags of the other images start with.
    """

    name: str | None
    images: tuple[str, ...]
    settings: ImageSettings
    other_prefixes: tuple[str, ...] = ()

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
    known: ReleasedContent | None
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
        other_prefixes=job.other_prefixes,
        pull_request=wish.pull_request,
        selection=wish.selection,
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
            f"--only {wish.only[0]}: the configuration has no [images.{wish.only[0]}]",
            hint="--only picks one of several [images.NAME] tables",
        )
    images = wish.images or settings.images
    if not images and not nameless:
        raise ConfigError(
            "no image is named to publish to",
            hint='pass --image USER/NAME, or write images = ["USER/NAME"] in publish.toml',
        )
    return (Job(None, images, _top_level(settings, images)),)


def released_jobs(session: Session, wish: PlanOptions, *, nameless: bool = False) -> tuple[Job, ...]:
    """As jobs, but where a git tag is released only the images that it belongs to; the others are told.

    Raises Refused where it belongs to none of them.
    """
    chosen = jobs(session.settings, wish, nameless=nameless)
    if wish.version is not None or not isinstance(session.settings.images, dict):
        return chosen
    # Whose tag it is doesn't depend on what was chosen.
    requests = {
        str(job.name): request_of(session, job, wish) for job in _named_jobs(session.settings.images, PlanOptions())
    }
    with session.configuration.locate_rules():
        rulesets = {name: read_rules(request.rules, request.flavor) for name, request in requests.items()}
    readings = {name: request.reading(rulesets[name]) for name, request in requests.items()}
    takers = released_images(session.facts, readings)
    if takers is None:
        return chosen
    released = tuple(job for job in chosen if job.name in takers)
    others = ", ".join(str(job.name) for job in chosen if job.name not in takers)
    which = _released_tag(session.facts, [readings[name] for name in takers])
    if not released:
        raise Refused(
            f"{which} belongs to none of the images {others}, by their version-prefix",
            hint="tag the commit as one of them reads it, or name the version: --version 1.2.3 --only NAME",
        )
    if others:
        session.progress.warn(f"left out: {others}, since {which} is of {', '.join(sorted(takers))}")
    return released


def _released_tag(facts: Facts, readings: Sequence[RefReading]) -> str:
    if facts.in_ci:
        return f"the git tag {facts.ref.removeprefix(TAG_REF)}"
    return f"the git tag {', '.join(tag for tag in facts.head_tags if any(one.takes(tag) for one in readings))} at HEAD"


def is_planned_only(session: Session, wish: PlanOptions) -> bool:
    """Whether it is a pull request that nothing is pushed for; in a sandbox nothing is pushed to anybody.

    A stranger's is planned whatever the options say: whoever sends it would choose what is pushed.
    """
    if not session.facts.is_pull_request or session.sandbox:
        return False
    if wish.pull_request and not session.facts.own_pull_request:
        session.progress.warn(
            "--pull-request pushes under the event pull_request of this same repository only: it is planned"
        )
    return not (wish.pull_request and session.facts.own_pull_request)


def only_job(settings: Settings, wish: PlanOptions, *, nameless: bool = True) -> Job:
    """As jobs, for what works on one image; raises ConfigError where there are several."""
    job, *others = jobs(settings, wish, nameless=nameless)
    if others:
        names = ", ".join(str(each.name) for each in (job, *others))
        raise ConfigError(f"there are several images: {names}", hint="pick one with --only NAME")
    return job


def _top_level(settings: Settings, images: tuple[str, ...]) -> ImageSettings:
    shared = {name: getattr(settings, name) for name in ReleaseSettings.__struct_fields__}
    return ImageSettings(repositories=images, **shared)


def _named_jobs(tables: Mapping[str, ImageSettings], wish: PlanOptions) -> tuple[Job, ...]:
    for name in wish.only:
        if name not in tables:
            known = ", ".join(tables)
            raise ConfigError(f"--only {name}: the configuration has no [images.{name}]", hint=f"it has {known}")
    names = tuple(name for name in tables if not wish.only or name in wish.only)
    if wish.images and len(names) > 1:
        raise ConfigError("--image can't stand for several [images.NAME] tables", hint="pick one with --only NAME")
    prefixes = frozenset(filter(None, (table.version_prefix for table in tables.values())))
    return tuple(
        Job(
            name,
            wish.images or tables[name].repositories,
            tables[name],
            tuple(sorted(prefixes - {tables[name].version_prefix})),
        )
        for name in names
    )

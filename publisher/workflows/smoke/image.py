"""Which image a smoke run is about."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from publisher.archives.source import SourceName, Transport
from publisher.model.errors import BadReference, ConfigError, PublishError, SourceNotFound
from publisher.model.reference import Reference
from publisher.model.value import Value
from publisher.workflows.jobs import PlanOptions, only_job
from publisher.workflows.tagging.local_copies import stale_copy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.engine.image import EngineImage
    from publisher.model.settings import SmokeSettings
    from publisher.workflows.jobs import Job
    from publisher.workflows.session import Session


class ImageToRun(Value, frozen=True):
    """An image to run: its settings, what the engine calls it, and whether its registry may be asked about it.

    may_be_pulled: whether it may come from there, where the engine lacks it.
    """

    settings: SmokeSettings
    name: str
    is_published: bool
    may_be_pulled: bool


def image_to_run(session: Session, image: str | None, only: tuple[str, ...]) -> ImageToRun:
    """What IMAGE, the configured source or the first image mean; raises ConfigError where there is no `[smoke]`."""
    job = only_job(session.settings, PlanOptions(labels={}, only=only))
    session.aim(job.repositories)
    settings = job.settings.smoke
    if settings is None:
        raise ConfigError("the configuration has no [smoke]", hint='as in: [smoke] command = ["app", "--version"]')
    if text := image or job.settings.source:
        source = SourceName.parse(text) if ":" in text else None
        known = {Transport.DAEMON, Transport.REGISTRY}
        if source is not None and source.transport not in known:
            raise ConfigError(
                f"a smoke run needs an image of the engine or a registry, not {text}", hint="docker load it"
            )
        name = source.rest if source else text
        published = text.startswith("docker://") or _is_published(job, name)
        return ImageToRun(settings, name, published, published and not text.startswith("docker-daemon:"))
    if not job.repositories:
        raise ConfigError("no image is named to run", hint="name one: publish smoke IMAGE")
    return ImageToRun(settings, f"{job.repositories[0].familiar}:latest", is_published=True, may_be_pulled=True)


def _is_published(job: Job, name: str) -> bool:
    """Whether a name means a registry's image: its repository is configured, or it says where it is.

    An engine knows every image of its containerd store by a digest, built there or not: that tells nothing. And no
    registry should hear of names that were never meant for it.
    """
    try:
        repository = Reference.parse(name).repository
    except BadReference:
        return False  # an id
    # podman calls what it has built localhost/NAME.
    is_stated = name.startswith(f"{repository.registry}/") and repository.registry != "localhost"
    return repository in job.repositories or is_stated


@contextmanager
def at_hand(session: Session, image: ImageToRun) -> Iterator[str]:
    """What the engine calls the image; one that it lacks is pulled by its digest, and given back when the block ends.

    The engine's own copy of a tag is used as `docker run` uses it, and told where the registry has another image.
    """
    held = session.engine.inspect(image.name)
    if held is not None:
        if image.is_published:
            _tell_if_stale(session, image.name, held)
        yield image.name
        return
    if not image.may_be_pulled:
        _need(session, image.name)
    reference = Reference.parse(image.name)
    content = session.remote(reference.repository).get(reference.digest or reference.target)
    found = f"{session.engine_name(reference.repository)}@{content.digest}"
    session.progress.step(f"pull     {found}")
    with session.engine.temporary_pull(found, session.engine_credential(reference.repository)):
        yield found


def _need(session: Session, name: str) -> None:
    try:
        session.engine.need(name)
    except SourceNotFound as error:
        if session.settings.build is None or "did you mean" in (error.hint or ""):
            raise
        raise SourceNotFound(error.message, reference=error.reference, hint="'publish build' makes it") from error


def _tell_if_stale(session: Session, name: str, held: EngineImage) -> None:
    """Only of what came from a registry: an image that was built here need not be in any."""
    reference = Reference.parse(name)
    known = session.engine_name(reference.repository)
    if reference.digest or not any(text.partition("@")[0] == known for text in held.repo_digests):
        return
    try:
        content = session.remote(reference.repository).find(reference.target)
        stale = stale_copy(session, session.engine, reference, content) if content else None
    except PublishError as error:
        session.progress.warn(f"the engine's own {name} could not be compared with the registry's: {error.message}")
        return
    if stale:
        session.progress.warn(f"the engine's own {stale} is not what the registry has: docker pull {stale}")

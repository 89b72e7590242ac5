"""Which image a smoke run is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.archives.source import SourceName, Transport
from publisher.model.errors import ConfigError
from publisher.model.reference import Reference
from publisher.workflows.jobs import Wish, only_job

if TYPE_CHECKING:
    from publisher.model.settings import SmokeSettings
    from publisher.workflows.session import Session


def chosen(session: Session, image: str | None, only: str | None) -> tuple[SmokeSettings, str]:
    """The settings and the engine's name of the image; raises ConfigError where there is no `[smoke]`."""
    job = only_job(session.settings, Wish(labels={}, only=only))
    if job.settings.smoke is None:
        raise ConfigError("the configuration has no [smoke]", hint='as in: [smoke] command = ["app", "--version"]')
    if image or job.settings.source:
        return job.settings.smoke, _name(image or job.settings.source or "")
    if not job.repositories:
        raise ConfigError("no image is named to run", hint="name one: publish smoke IMAGE")
    return job.settings.smoke, f"{job.repositories[0].familiar}:latest"


def _name(text: str) -> str:
    source = SourceName.parse(text) if ":" in text else None
    if source is not None and source.transport not in {Transport.DAEMON, Transport.REGISTRY}:
        raise ConfigError(f"a smoke run needs an image of the engine or a registry, not {text}", hint="docker load it")
    return source.rest if source is not None else text


def at_hand(session: Session, name: str) -> str:
    """What the engine calls the image; one that it lacks is pulled."""
    if session.engine.inspect(name) is not None:
        return name
    reference = Reference.parse(name)
    end = f"@{reference.digest}" if reference.digest else f":{reference.target}"
    found = f"{session.engine_name(reference.repository)}{end}"
    session.progress.step(f"pull     {found}")
    session.engine.pull_tag(found, session.engine_credential(reference.repository))
    return found

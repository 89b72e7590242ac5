"""What a release would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.errors import EngineUnavailable, SourceNotFound
from publisher.model.value import Value
from publisher.planning.candidates import PlanRequest, candidates
from publisher.planning.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.model.plan import Plan
    from publisher.model.reference import Repository
    from publisher.planning.candidates import Candidates
    from publisher.planning.lines import Published
    from publisher.planning.plan import Known
    from publisher.workflows.jobs import Job, Wish
    from publisher.workflows.session import Session
    from publisher.workflows.sources import Source


class Draft(Value, frozen=True):
    """A plan with what it was made from."""

    job: Job
    asked: Candidates
    published: Mapping[Repository, Published]
    sources: tuple[Source, ...]
    known: Known | None
    plan: Plan


def request_of(session: Session, job: Job, wish: Wish) -> PlanRequest:
    """What options and configuration say of one image."""
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


def ask(session: Session, job: Job, wish: Wish) -> Candidates:
    """The tags that the rules give, before any registry is looked at."""
    return candidates(request_of(session, job, wish), session.facts)


def draft(session: Session, job: Job, wish: Wish, sources: Sequence[str], *, offline: bool = False) -> Draft:
    """Plan one job: read the registries, look at the sources, decide."""
    asked = ask(session, job, wish)
    if offline:
        return Draft(job, asked, {}, (), None, make_plan(asked, {}))
    # A plan that asks nobody starts without what speaks to registries and reads images.
    from publisher.workflows.sources import find_known, find_source
    from publisher.workflows.survey import read_registries

    session.aim(job.repositories)
    found = tuple(find_source(session, source) for source in sources)
    published = read_registries(session, asked)
    known = find_known(session, found, asked, published)
    return Draft(job, asked, published, found, known, make_plan(asked, published, known))


def planned(session: Session, job: Job, wish: Wish, sources: Sequence[str], *, offline: bool) -> Plan:
    """The plan for `publish plan`: a source that isn't there only leaves the content unknown."""
    names = tuple(sources) or ((job.settings.source,) if job.settings.source else ())
    try:
        return draft(session, job, wish, names, offline=offline).plan
    except (SourceNotFound, EngineUnavailable) as error:
        if sources:
            raise
        session.progress.warn(f"{error.message}: the content is unknown")
        return draft(session, job, wish, (), offline=offline).plan

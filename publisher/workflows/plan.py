"""What a release would do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import msgspec
from msgspec.structs import replace

from publisher.model.codec import decode
from publisher.model.errors import ConfigError, Denied, EngineUnavailable, OutOfDate, SourceNotFound
from publisher.model.plan import Plan, Plans
from publisher.model.value import Value
from publisher.planning.candidates import candidates
from publisher.planning.plan import differences, make_plan
from publisher.threads import run_beside
from publisher.workflows.jobs import ReleaseDraft, request_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from publisher.model.attestation import Signatures, SignOptions
    from publisher.model.facts import Facts
    from publisher.model.manifest import Content
    from publisher.model.reference import Repository
    from publisher.planning.candidates import Candidates
    from publisher.planning.lines import Published
    from publisher.workflows.content.sources import Source
    from publisher.workflows.jobs import Job, PlanOptions
    from publisher.workflows.session import Session


_SHOWN = 5


class SavedPlans(Value, frozen=True):
    """What `publish plan -o` wrote into `file`: plans by the image's name, "" where it has none."""

    file: Path
    plans: Mapping[str, Plan]

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a file; raises ConfigError."""
        try:
            document = decode(file.read_bytes(), Plan | Plans)
        except OSError as error:
            raise ConfigError(f"the plan can't be read: {error.strerror}", reference=file) from error
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ConfigError(
                f"this is no plan that publish saved: {error}", reference=file, hint="make one: publish plan -o FILE"
            ) from error
        return cls(file, document.plans if isinstance(document, Plans) else {"": document})

    def plan_options(self, wish: PlanOptions, facts: Facts) -> PlanOptions:
        """What has to be candidates for to get the same plan again; what the options say comes first.

        The version is stated only where git doesn't: a tag says more, such as the v before it.
        """
        if len(self.plans) != 1:
            return wish
        ((name, plan),) = self.plans.items()
        return replace(
            wish,
            images=wish.images or (() if name else plan.images),
            labels={**plan.labels, **wish.labels},
            version=wish.version or (None if _is_in_git(plan.release, facts) else plan.release),
            only=wish.only or ((name,) if name else ()),
        )

    def hold(self, name: str | None, fresh: Plan) -> None:
        """Refuse, with the difference, where registry, git or source have moved on since the plan was saved."""
        saved = self.plans.get(name or "")
        reasons = differences(saved, fresh) if saved else (f"it has no plan for the image {name or fresh.images}",)
        if reasons:
            more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
            raise OutOfDate(
                f"the plan is out of date: {'; '.join(reasons[:_SHOWN])}{more}",
                reference=self.file,
                hint="plan again, and give --rule and --flavor to both: publish plan -o FILE",
            )


def _is_in_git(version: str | None, facts: Facts) -> bool:
    named = (*facts.head_tags, facts.ref)
    return version is None or any(name.endswith(version) for name in named)


def ask(session: Session, job: Job, wish: PlanOptions) -> Candidates:
    """The tags that the rules give, before any registry is looked at."""
    with session.configuration.locate_rules():
        return candidates(request_of(session, job, wish), session.facts)


def draft(
    session: Session, job: Job, wish: PlanOptions, sources: Sequence[str], *, offline: bool = False
) -> ReleaseDraft:
    """Plan one job: read the registries, look at the sources, decide."""
    candidates = ask(session, job, wish)
    if offline:
        return ReleaseDraft(job, candidates, (), {}, (), None, make_plan(candidates, {}))
    # A plan that asks nobody starts without what speaks to registries and reads images.
    from publisher.workflows.content.sources import begin_source, find_known, is_remote, settle_source
    from publisher.workflows.tagging.survey import read_registries

    session.aim(job.repositories)
    destinations = tuple(session.destination(image.repository, candidates.ruleset) for image in candidates.images)
    remote = {source: begin_source(session, source, wish.platforms) for source in sources if is_remote(source)}
    published: dict[Repository, Published] = {}

    def ask_registries() -> None:
        reads = [lambda: published.update(read_registries(session, candidates, destinations))]
        session.parallel(lambda read: read(), [*reads, *(source.read for source in remote.values())])

    def begin_all() -> list[Source]:
        return [remote.get(source) or begin_source(session, source, wish.platforms) for source in sources]

    # An engine takes its time to be found and to answer, and so does a registry.
    _, unsettled = run_beside(ask_registries, begin_all)
    images = tuple(settle_source(session, source, wish.platforms) for source in unsettled)
    known = find_known(images, candidates, destinations, published)
    plan = make_plan(candidates, published, known)
    return ReleaseDraft(job, candidates, destinations, published, images, known, plan)


def draft_without_secrets(session: Session, job: Job, wish: PlanOptions, sources: Sequence[str]) -> ReleaseDraft:
    """As draft, for a run that only looks: where it has no credential and a registry wants one, none is asked."""
    try:
        return draft(session, job, wish, sources)
    except Denied as error:
        if not (session.is_anonymous or (session.facts.is_pull_request and _is_stranger(session, job))):
            raise
        session.progress.warn(f"{error.message}: this run has no credential, so it is planned without the registry")
        return draft(session, job, wish, (), offline=True)


def _is_stranger(session: Session, job: Job) -> bool:
    return all(session.credentials.find(place.registry, place.name) is None for place in job.repositories)


def planned(session: Session, job: Job, wish: PlanOptions, sources: Sequence[str], *, offline: bool) -> Plan:
    """The plan for `publish plan`: a source that isn't there only leaves the content unknown."""
    names = tuple(sources) or ((job.settings.source,) if job.settings.source else ())
    try:
        if not offline:
            return with_expected_signing(session, draft_without_secrets(session, job, wish, names))
        return with_expected_signing(session, draft(session, job, wish, names, offline=True))
    except (SourceNotFound, EngineUnavailable) as error:
        if sources:
            raise
        session.progress.warn(f"{error.message}: the content is unknown")
        return with_expected_signing(session, draft(session, job, wish, (), offline=offline))


def plan_images(
    session: Session, jobs: Sequence[Job], wish: PlanOptions, sources: Sequence[str], *, offline: bool
) -> dict[str, Plan]:
    """What a release of each would do, by its name, "" where it has none."""
    session.aim(repository for job in jobs for repository in job.repositories)
    plans = session.parallel(lambda job: planned(session, job, wish, sources, offline=offline), jobs)
    return {job.name or "": plan for job, plan in zip(jobs, plans, strict=True)}


def with_signing(session: Session, draft: ReleaseDraft, options: SignOptions) -> ReleaseDraft:
    """Preflight of a signature: what only a signed release needs is imported, opened and asked for only there."""
    if not (options.is_asked or draft.job.settings.sign or session.settings.sign):
        return draft
    from publisher.workflows.signing import prepare_signing

    signing = prepare_signing(session, draft.job.settings, options)
    plan = replace(draft.plan, signing=signing.planned()) if signing else draft.plan
    return replace(draft, signing=signing, plan=plan)


def with_expected_signing(session: Session, draft: ReleaseDraft) -> Plan:
    """What `[sign]` would do, as far as that is known without a key's password or a job's token."""
    if not (draft.job.settings.sign or session.settings.sign) or session.facts.is_pull_request:
        return draft.plan
    from publisher.workflows.signing import expected_signing

    return replace(draft.plan, signing=expected_signing(session, draft.job.settings))


def sign_draft(session: Session, draft: ReleaseDraft, content: Content) -> Signatures:
    """The last step before the first tag: whoever pulls by a tag finds the signature there."""
    if draft.signing is None:
        return msgspec.UNSET
    from publisher.workflows.sign import sign

    return sign(session, draft.signing, draft.plan, content, draft.job.repositories)

"""What registries hold: few requests, side by side; as much as a plan needs, or a whole repository by its rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from publisher.model.errors import PublishError
from publisher.model.reference import Tag
from publisher.model.value import Value
from publisher.planning.candidates import PlanRequest, bound_rules, to_read
from publisher.planning.lines import LineState, Published, VersionChoice, reads_left, survey, survey_reads
from publisher.workflows.jobs import jobs, request_of
from publisher.workflows.tagging.stated_versions import ask_first_images, ask_images

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.model.digest import Digest
    from publisher.model.manifest import Descriptor
    from publisher.model.reference import Repository
    from publisher.planning.candidates import Candidates
    from publisher.planning.lines import Survey
    from publisher.planning.rules import Ruleset
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.destination import Destination
    from publisher.workflows.jobs import PlanOptions
    from publisher.workflows.session import Session


# What a plan needs.

_MOST_EARLY: Final = 12
"""Tags that are asked for beside the list; of many the list may show few."""


def read_registries(
    session: Session, candidates: Candidates, destinations: Iterable[Destination]
) -> dict[Repository, Published]:
    """One tag list for each repository, and one HEAD for each tag that the plan depends on."""
    remotes = [destination.remote for destination in destinations]
    states = session.parallel(lambda remote: read_repository(session, candidates, remote), remotes)
    return {remote.repository: state for remote, state in zip(remotes, states, strict=True)}


def read_repository(
    session: Session,
    candidates: Candidates,
    remote: RemoteRepository,
    *,
    written: Iterable[str] = (),
    others: bool = True,
) -> Published:
    """The state of one repository, as far as the plan needs it.

    written: tags that must be there, whether or not the list shows them yet: lists may lag behind.
    others: whether lines that the release doesn't touch are read too.
    """
    early = {tag: _EarlyHead(remote, tag) for tag in sorted({*candidates.tags, *written})[:_MOST_EARLY]}
    present: list[str] = []
    session.parallel(
        lambda read: read(), [lambda: present.extend(remote.tags()), *(head.read for head in early.values())]
    )
    tags = frozenset((*present, *written))
    needed = to_read(candidates, tags, others=others)
    digests = {tag: digest for tag in early.keys() & needed if (digest := early[tag].digest()) is not None}
    session.saw(digests)
    state = Published(tags, {**digests, **read_tags(session, remote, needed - early.keys())})
    return ask_images(session, remote, candidates.ruleset, state, candidates.versions)


class _EarlyHead:
    """What a tag holds, asked beside the list that says whether it is there: where it isn't, nothing of it counts."""

    def __init__(self, remote: RemoteRepository, tag: str) -> None:
        self._remote, self._tag = remote, Tag(tag)
        self._answer: Digest | PublishError | None = None

    def read(self) -> None:
        """Ask; a failure is kept."""
        try:
            self._answer = read_tag(self._remote, self._tag)
        except PublishError as error:
            self._answer = error

    def digest(self) -> Digest | None:
        """The answer; raises what went wrong."""
        if isinstance(self._answer, PublishError):
            raise self._answer
        return self._answer


def read_tag(remote: RemoteRepository, tag: Tag) -> Digest | None:
    """The digest of what a tag holds, None where it isn't there."""
    descriptor = remote.head(tag)
    return descriptor.digest if descriptor else None


def read_tags(session: Session, remote: RemoteRepository, tags: Iterable[str]) -> dict[str, Digest]:
    """The digests of those of `tags` that are there."""
    digests = {tag: descriptor.digest for tag, descriptor in read_heads(session, remote, tags).items()}
    session.saw(digests)
    return digests


def read_heads(session: Session, remote: RemoteRepository, tags: Iterable[str]) -> dict[str, Descriptor]:
    """What each of `tags` holds, one HEAD for each; those that aren't there are left out."""
    names = sorted(tags)
    descriptors = session.parallel(lambda tag: remote.head(Tag(tag)), names)
    return {tag: descriptor for tag, descriptor in zip(names, descriptors, strict=True) if descriptor is not None}


# A whole repository.


class SurveyedRepository(Value, frozen=True):
    """How a repository's floating tags stand to its versions."""

    destination: Destination
    state: Published
    survey: Survey


def configured_destinations(session: Session, wish: PlanOptions) -> tuple[Destination, ...]:
    """The repositories that configuration and options name, each with its image's rules."""
    if session.configuration.file is None and not (wish.rules or wish.flavor):
        session.progress.step("rules    by the default rules: there is no publish.toml here")
    rulesets: dict[Repository, Ruleset] = {}
    for job in jobs(session.settings, wish):
        with session.configuration.locate_rules():
            ruleset = bound_rules(request_of(session, job, wish), session.facts)
        for repository in job.repositories:
            rulesets.setdefault(repository, ruleset)
    session.aim(rulesets)
    return tuple(session.destination(repository, ruleset) for repository, ruleset in rulesets.items())


def destination_of(session: Session, repository: Repository, wish: PlanOptions) -> Destination:
    """One repository, with the rules of the image that names it, else those of the options, else the default ones."""
    with session.configuration.locate_rules():
        ruleset = bound_rules(_request_for(session, repository, wish), session.facts)
    return session.destination(repository, ruleset)


def _request_for(session: Session, repository: Repository, wish: PlanOptions) -> PlanRequest:
    settings = session.settings
    for job in jobs(settings, wish, nameless=True) if settings.images else ():
        if repository in job.repositories:
            return request_of(session, job, wish)
    return PlanRequest(rules=wish.rules or settings.tags.rules, flavor=wish.flavor or settings.tags.flavor)


ALL_VERSIONS: Final = VersionChoice()
NO_VERSION: Final = VersionChoice(newest=0)


def survey_repository(
    session: Session, destination: Destination, choice: VersionChoice = ALL_VERSIONS
) -> SurveyedRepository:
    """One tag list, and one HEAD for each tag that may float, is a marker, or is needed to tell where those belong.

    choice: of which versions the digests are wanted, whether or not a floating tag belongs to them.
    A floating tag that the list doesn't show is asked for too: lists may lag behind.
    """
    remote, ruleset = destination.remote, destination.ruleset
    state = _read_state(session, remote, ruleset, choice)
    surveyed = survey(ruleset, state)
    late = read_tags(session, remote, (line.tag for line in surveyed.lines if line.state is LineState.MISSING))
    if late:
        state = Published(state.tags | late.keys(), {**state.held, **late}, state.stated)
        surveyed = survey(ruleset, state)
    for tag in surveyed.untold:
        where = f"{tag} of {destination.repository.familiar}"
        session.progress.warn(
            f"{where} stays where it is: another tag may be a newer version, and its image doesn't say"
        )
    return SurveyedRepository(destination, state, surveyed)


def _read_state(session: Session, remote: RemoteRepository, ruleset: Ruleset, choice: VersionChoice) -> Published:
    """Read tags, and ask images, until no more would tell where a floating tag belongs."""
    tags = frozenset(remote.tags())
    reads = read = survey_reads(ruleset, tags, versions=choice.newest is None)
    state = Published(tags, read_tags(session, remote, reads))
    while True:
        if reads := reads_left(ruleset, state, choice) - read:
            read |= reads
            state = replace(state, held={**state.held, **read_tags(session, remote, reads)})
        elif (told := ask_first_images(session, remote, ruleset, state)) is not None:
            state = told
        else:
            return state

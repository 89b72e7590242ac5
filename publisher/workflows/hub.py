"""Docker Hub beside the images: what its page of a repository says, and which tags it freezes."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Final

from publisher.hub.readme import MOST_README, Home, HubText, make_description, make_readme
from publisher.model import media
from publisher.model.documents import HubChange, HubReport, PullQuota
from publisher.model.errors import ConfigError, ImmutableTag, PublishError, Refused, UsageError
from publisher.model.plan import Action, Kind
from publisher.model.reference import DOCKER_HUB, Repository

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from publisher.hub.repository import HubPage
    from publisher.hub.shapes import HubRepository
    from publisher.model.plan import Move
    from publisher.model.settings import HubSettings
    from publisher.workflows.destination import Destination
    from publisher.workflows.jobs import Job, ReleaseDraft
    from publisher.workflows.session import Session


def refuse_frozen(session: Session, draft: ReleaseDraft) -> None:
    """Raise ImmutableTag for a plan that an immutable rule would stop halfway; warn of tags that it freezes."""
    session.parallel(lambda destination: _refuse_frozen_in(session, draft, destination), draft.destinations)


def _refuse_frozen_in(session: Session, draft: ReleaseDraft, destination: Destination) -> None:
    moves = [move for move in draft.plan.moves if move.reference.repository == destination.repository]
    changing = [move for move in moves if move.action is Action.MOVE]
    floating = [move for move in moves if move.action is Action.CREATE and move.kind is not Kind.EXACT]
    is_asked = changing or (floating and draft.published[destination.repository].tags)
    page = destination.page if is_asked else None
    settings = _settings(session, page) if page else None
    if page is None or settings is None or not settings.immutable.enabled:
        return
    for move in changing:
        if rule := frozen_by(page, settings, move.tag):
            raise _frozen(move, rule)
    for move in floating:
        if rule := frozen_by(page, settings, move.tag):
            session.progress.warn(f"{move.reference} can be written once only: the immutable rule '{rule}' fits it")


def _settings(session: Session, page: HubPage) -> HubRepository | None:
    """The registry takes a push without Docker Hub's API: that it can't be asked only leaves the rules unknown."""
    try:
        return page.find()
    except PublishError as error:
        session.progress.warn(f"the immutable rules of {page.repository} are unknown: {error.message}")
        return None


def _frozen(move: Move, rule: str) -> ImmutableTag:
    return ImmutableTag(
        f"{move.reference} would have to move, and Docker Hub's immutable rule '{rule}' freezes it",
        reference=move.reference,
        hint="change the rule: [hub] immutable in publish.toml and 'publish hub settings', or the tag rules",
    )


_NEW_BLOBS: Final = 2
"""What a release nearly always has to send: a config and a layer."""


def prove_push(session: Session, draft: ReleaseDraft, *, sends: bool = False) -> None:
    """Show the right to push by upload sessions; raises Denied.

    sends: whether blobs go to the first repository next, and then to other registries.
    """
    first, *others = draft.destinations
    elsewhere = [other for other in others if other.repository.registry != first.repository.registry]
    blobs = [(one, _NEW_BLOBS if sends and one in (first, *elsewhere) else 1) for one in (first, *others)]

    def prove(destination: Destination, count: int) -> None:
        # On Docker Hub the first write would create the repository, with the account's default visibility.
        if not destination.repository.on_hub or draft.published[destination.repository].tags:
            destination.remote.prove_push(count)

    session.parallel(lambda pair: prove(*pair), blobs)


def create_missing(session: Session, draft: ReleaseDraft, destination: Destination) -> None:
    """With [hub] create the repository is made first: a push would give it the account's default visibility."""
    settings = draft.job.settings.hub
    if not settings.create or draft.published[destination.repository].tags:
        return
    page = destination.page
    if page is not None and page.find() is None:
        session.progress.step(f"created  {destination} ({create_page(page, settings)})")


_README: Final = "README.md"
_MOST_READ: Final = 1 << 20
# What Docker Hub calls the texts of a page.
_TEXTS: Final = {"description": "description", "readme": "full_description"}
_QUOTA: Final = re.compile(r"(\d{1,12})(?:;w=(\d{1,9}))?", re.ASCII)
# Docker's own repository for this question: a HEAD of it counts for nothing.
_PREVIEW: Final = Repository(DOCKER_HUB, "ratelimitpreview/test")


def pages(session: Session, job: Job) -> tuple[HubPage, ...]:
    """The job's repositories on Docker Hub; raises UsageError where there is none."""
    session.aim(job.repositories)
    found = tuple(session.hub(repository) for repository in job.repositories if repository.on_hub)
    if not found:
        named = ", ".join(map(str, job.repositories))
        raise UsageError(f"none of {named} is on Docker Hub", hint="'publish hub' is about docker.io repositories")
    return found


# Description.


def plan_description(session: Session, job: Job) -> HubReport:
    """What `hub describe` would change."""
    found = pages(session, job)
    texts, warnings = _texts(session, job)
    changes = [change for page in found for change in _differing(page.repository, page.get(), texts)]
    return HubReport(changes=tuple(changes), warnings=warnings)


def _texts(session: Session, job: Job) -> tuple[dict[str, str], tuple[str, ...]]:
    """The README and the short description, each where there is one, as Docker Hub can take them."""
    settings = job.settings.hub
    found: dict[str, str] = {}
    warnings: list[str] = []
    stated = settings.description if settings.description is not None else session.facts.project.description
    if stated:
        short = make_description(stated)
        found["description"] = short.text
        if short.cut:
            warnings.append(f"the description is longer than Docker Hub's 100 bytes: it ends with '{short.text[-20:]}'")
    path = session.configuration.path(settings.readme or _README)
    if settings.readme == "":
        found["readme"] = ""
    elif settings.readme or os.path.lexists(path):
        text = _read(session, path)
        if text.strip():
            readme = _readme(session, path, text)
            found["readme"] = readme.text
            warnings += [_cut_warning(path, readme)] if readme.cut else []
        else:
            warnings.append(f'{path.name} is empty, so the page keeps its README (readme = "" in [hub] would empty it)')
    if not found:
        raise UsageError(
            "there is nothing to describe the image with", hint='write description = "…" and readme = "…" into [hub]'
        )
    _refuse_secrets(session, job, found)
    return found, tuple(warnings)


def _readme(session: Session, path: Path, text: str) -> HubText:
    home = Home(session.facts.project.source, _folder(session, path))
    return make_readme(text, home, home.absolute(path.name, picture=False) if home.page else "")


def _cut_warning(path: Path, readme: HubText) -> str:
    return (
        f"{path.name} has {readme.whole:,} bytes with its links made absolute, and Docker Hub takes {MOST_README:,}: "
        f"it is cut to {readme.size:,}"
    )


def _read(session: Session, path: Path) -> str:
    """The text, without the byte order mark that some editors put before it.

    What came with the sources must not send this machine's other files to everybody.
    """
    content = _read_inside(path, session.source_root)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8", reference=path) from error


def _read_inside(path: Path, root: Path) -> bytes:
    """A regular file inside `root`, links followed, of at most 1 MiB; raises ConfigError for any other."""
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(root):
            raise ConfigError(f"{path} leads out of {root}", reference=path, hint="name a file of the repository")
        # What is no regular file may wait for ever when it is opened.
        with os.fdopen(os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"{path} is not a regular file", reference=path)
            content = file.read(_MOST_READ + 1)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its links lead in a circle"
        raise ConfigError(f"{path} can't be read: {reason}", reference=path) from error
    if len(content) > _MOST_READ:
        raise ConfigError(f"{path} is larger than 1 MiB", reference=path, hint="Docker Hub takes 25,000 bytes")
    return content


def _refuse_secrets(session: Session, job: Job, texts: Mapping[str, str]) -> None:
    """Raise Refused for a text in which a secret of this run stands: everybody could read it."""
    for repository in () if session.sandbox else job.repositories:
        if credential := session.credentials.find(repository.registry, repository.name):
            session.learn(credential.secret)
    for name, text in texts.items():
        if session.reveals(text):
            raise Refused(
                f"a secret of this run stands in the {name}, which everybody could read on Docker Hub",
                hint="take it out, and make the secret invalid",
            )


def _folder(session: Session, path: Path) -> str:
    """The file's folder in its git repository, "" at its root or outside git."""
    folder = path.resolve().parent
    root = session.source_root
    return folder.relative_to(root).as_posix().removeprefix(".") if folder.is_relative_to(root) else ""


def _differing(repository: Repository, page: HubRepository, texts: Mapping[str, str]) -> list[HubChange]:
    before = {"description": page.description or "", "readme": page.full_description or ""}
    return [
        HubChange(repository=repository, field=field, before=before[field], after=text)
        for field, text in texts.items()
        if before[field].strip() != text.strip()
    ]


# Settings.


def plan_settings(session: Session, job: Job) -> HubReport:
    """What `hub settings` would change; keys that [hub] leaves out stay as they are."""
    settings = job.settings.hub
    if settings.immutable is None and settings.private is None:
        raise UsageError("[hub] has neither immutable nor private", hint="write them into publish.toml")
    changes: list[HubChange] = []
    for page in pages(session, job):
        held, named = page.get(), page.repository
        rules = sorted(held.immutable.rules) if held.immutable.enabled else []
        if settings.immutable is not None and rules != sorted(settings.immutable):
            after = sorted(settings.immutable)
            changes.append(HubChange(repository=named, field="immutable", before=rules, after=after))
        if settings.private is not None and held.is_private is not settings.private:
            before, after_ = _visibility(private=held.is_private), _visibility(private=settings.private)
            changes.append(HubChange(repository=named, field="visibility", before=before, after=after_))
    return HubReport(changes=tuple(changes), warnings=_freezing(settings.immutable or ()))


def _freezing(rules: tuple[str, ...]) -> tuple[str, ...]:
    """Rules that would stop floating tags for ever."""
    probes = ("latest", "1", "1.2")
    frozen = [(rule, tag) for rule in rules for tag in probes if _matches(rule, tag) is True]
    return tuple(f"the rule '{rule}' freezes tags such as {tag}, which could then never move" for rule, tag in frozen)


def plan_creation(session: Session, job: Job) -> HubReport:
    """What `hub create` would make."""
    private = bool(job.settings.hub.private)
    missing = [page for page in pages(session, job) if page.find() is None]
    changes = [
        HubChange(repository=page.repository, field="repository", before=None, after=_visibility(private=private))
        for page in missing
    ]
    return HubReport(changes=tuple(changes))


def _visibility(*, private: bool) -> str:
    return "private" if private else "public"


def merged(reports: Sequence[HubReport]) -> HubReport:
    """Several images' reports as one."""
    return HubReport(
        changes=tuple(change for report in reports for change in report.changes),
        applied=any(report.applied for report in reports),
        warnings=tuple(dict.fromkeys(warning for report in reports for warning in report.warnings)),
    )


def apply(session: Session, job: Job, report: HubReport) -> HubReport:
    """Carry out a report, one call for what one call can change; each change is read back."""
    for page in pages(session, job):
        changes = {change.field: change.after for change in report.changes if change.repository == page.repository}
        if texts := {_TEXTS[field]: after for field, after in changes.items() if field in _TEXTS}:
            page.describe(texts)
        if "immutable" in changes:
            page.set_immutable(changes["immutable"])
        if "visibility" in changes:
            page.set_private(private=changes["visibility"] == "private")
        if "repository" in changes:
            create_page(page, job.settings.hub)
        for field in changes:
            session.progress.step(f"changed  {field} of {page.repository}")
    return HubReport(changes=report.changes, applied=True, warnings=report.warnings)


def create_page(page: HubPage, settings: HubSettings) -> str:
    """Make a repository as [hub] wants it; returns who will see it, "public" or "private"."""
    page.create(private=bool(settings.private), description=make_description(settings.description or "").text)
    return _visibility(private=bool(settings.private))


# Limits.


def limits(session: Session) -> PullQuota:
    """How many pulls are left to whoever we are; asking costs none."""
    session.aim([_PREVIEW])
    remote = session.remote(_PREVIEW)
    with remote.request("HEAD", remote.url("manifests/latest"), headers={"Accept": media.ACCEPT}) as response:
        limit, window = _quota(response.headers.get("ratelimit-limit", ""))
        remaining, _ = _quota(response.headers.get("ratelimit-remaining", ""))
        source = response.headers.get("docker-ratelimit-source")
    credential = session.credentials.find(_PREVIEW.registry, _PREVIEW.name)
    who = credential.username if credential else ""
    return PullQuota(who=who, limit=limit, remaining=remaining, window=window, source=source)


def _quota(text: str) -> tuple[int | None, int | None]:
    """A count and its window, as in `100;w=21600`."""
    match = _QUOTA.fullmatch(text.strip())
    return (int(match[1]), int(match[2]) if match[2] else None) if match else (None, None)


def frozen_by(page: HubPage, held: HubRepository, tag: str) -> str | None:
    """The rule that keeps an existing tag as it is; what Python can't read, Docker Hub is asked about."""
    rules = held.immutable.rules if held.immutable.enabled else ()
    for rule in rules:
        found = _matches(rule, tag)
        if found or (found is None and tag in page.matching_tags(rule)):
            return rule
    return None


def _matches(rule: str, tag: str) -> bool | None:
    """Whether a rule freezes a tag; None where only Docker Hub can tell, whose expressions are Go's."""
    try:
        return bool(re.search(rule, tag))
    except re.error:
        return None


def describe_after_release(session: Session, job: Job) -> None:
    """With [hub] on-release the page follows the release; that it couldn't is no failure of the release."""
    if not job.settings.hub.on_release or not any(one.on_hub for one in job.repositories):
        return
    try:
        report = plan_description(session, job)
        for warning in report.warnings:
            session.progress.warn(warning)
        apply(session, job, report)
    except PublishError as error:
        hint = f"; {error.hint}" if error.hint else ""
        session.progress.warn(f"the description on Docker Hub was not updated: {error.message}{hint}")

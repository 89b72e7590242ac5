"""Look at everything a release needs, and say what to do."""

from __future__ import annotations

import shutil
from enum import StrEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from publisher.model.digest import Digest
from publisher.model.errors import ConfigError, EngineUnavailable, PublishError
from publisher.model.installation import reinstall_hint
from publisher.model.reference import DOCKER_HUB
from publisher.model.value import Document
from publisher.workflows.jobs import PlanOptions, jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from publisher.model.reference import Repository
    from publisher.workflows.session import Session


_LITTLE_ROOM = 2.0
"""GB."""
_MUCH_ROOM = 1.0
"""GB."""
_SHOWN = 8


class Health(StrEnum):
    """How a check ended; a warning doesn't stop a release."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"


class DoctorCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at; `advice` is the next command to run."""

    name: str
    health: Health
    detail: str
    advice: str = ""
    code: int = 0


class Checkup(Document, frozen=True, kw_only=True, tag_field="schema", tag="publish.doctor/1"):
    """All checks."""

    checks: tuple[DoctorCheck, ...]

    @property
    def exit_code(self) -> int:
        """0, or that of the first thing that is broken."""
        return next((check.code for check in self.checks if check.health is Health.BROKEN), 0)


def examine(session: Session) -> Checkup:
    """Run every check; one that fails doesn't keep the others from running."""
    looks: tuple[tuple[str, Callable[[Session], Iterator[DoctorCheck]]], ...] = (
        ("configuration", _configuration),
        ("git", _git),
        ("engine", _engine),
        ("left over", _left_over),
        ("dangling images", _nameless),
        ("credentials", _credentials),
        ("rights", _rights),
        ("signing", _signing),
    )
    found: list[DoctorCheck] = []
    for name, look in looks:
        try:
            found += look(session)
        except PublishError as error:
            found.append(_broken(name, error))
    return Checkup(checks=tuple(found))


def _broken(name: str, error: PublishError, health: Health = Health.BROKEN) -> DoctorCheck:
    return DoctorCheck(name=name, health=health, detail=error.message, advice=error.hint or "", code=error.exit_code)


def _configuration(session: Session) -> Iterator[DoctorCheck]:
    file = session.configuration.file
    detail = str(file) if file else "no publish.toml and no [tool.publish]"
    advice = "" if file else "publish init writes one; plan and release take --image too"
    yield DoctorCheck(name="configuration", health=Health.OK, detail=detail, advice=advice)


def _git(session: Session) -> Iterator[DoctorCheck]:
    facts = session.facts
    if not facts.in_git:
        advice = "run in a git repository, or pass --version"
        yield DoctorCheck(
            name="git", health=Health.WARNING, detail=facts.git_problem or "not a git repository", advice=advice
        )
    elif facts.changed:
        detail = f"{len(facts.changed)} files have changes that are not committed"
        yield DoctorCheck(
            name="git", health=Health.WARNING, detail=detail, advice="commit them, or release --allow-dirty"
        )
    else:
        yield DoctorCheck(name="git", health=Health.OK, detail=f"clean, at {(facts.revision or 'no commit')[:12]}")


def _engine(session: Session) -> Iterator[DoctorCheck]:
    try:
        engine = session.engine
    except EngineUnavailable as error:
        yield _broken("engine", error)
        return
    about = engine.about()
    kind = "podman" if engine.is_podman else "Docker"
    detail = f"{kind} {engine.version} at {engine.address}, storage {about.get('Driver', 'unknown')}"
    yield DoctorCheck(name="engine", health=Health.OK, detail=detail)
    if engine.is_near:
        yield from _disk(str(about.get("DockerRootDir") or ""))


def _disk(folder: str) -> Iterator[DoctorCheck]:
    """The room that is left where the engine keeps images, if that is on this machine."""
    try:
        left = shutil.disk_usage(folder).free / 1e9
    except OSError:
        return
    health = Health.WARNING if left < _LITTLE_ROOM else Health.OK
    advice = "docker system df shows what takes it" if health is Health.WARNING else ""
    yield DoctorCheck(name="disk", health=health, detail=f"{left:.1f} GB left in {folder}", advice=advice)


def _left_over(session: Session) -> Iterator[DoctorCheck]:
    """What runs of ours have left in the engine."""
    if session.engine_at_hand is None:
        return
    from publisher.engine.containers import Leftovers

    found = Leftovers(session.engine).names()
    named = [f"{kind.removesuffix('s')} {name}" for kind, names in found.items() for name in names]
    if named:
        shown = ", ".join(named[:_SHOWN]) + (f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else "")
        yield DoctorCheck(name="left over", health=Health.WARNING, detail=shown, advice="publish doctor --clean")


def _nameless(session: Session) -> Iterator[DoctorCheck]:
    """Images that lost their name to a newer one: each build of the same name leaves one."""
    if session.engine_at_hand is None:
        return
    count, size = session.engine.nameless()
    health = Health.WARNING if size / 1e9 > _MUCH_ROOM else Health.OK
    detail = f"{count} without a name, {size / 1e6:,.1f} MB" if count else "none"
    advice = "docker image prune" if count else ""
    yield DoctorCheck(name="dangling images", health=health, detail=detail, advice=advice)


def clean(session: Session) -> dict[str, list[str]]:
    """Take away what carries our label, and nothing else; what went, by kind."""
    from publisher.engine.containers import Leftovers

    return Leftovers(session.engine).clean()


def _credentials(session: Session) -> Iterator[DoctorCheck]:
    """Who we would be where this project publishes, where logins are kept, and which lie open."""
    try:
        found_in = _repositories(session)
    except PublishError:
        found_in = []  # told by the check of rights
    for registry, path in sorted({(one.registry, one.name) for one in found_in}):
        name = f"credential for {registry}"
        try:
            found = session.credentials.find(registry, path)
        except PublishError as error:
            yield _broken(name, error)
            continue
        if found is None:
            # Other registries may ask nobody who they are.
            health = Health.WARNING if registry == DOCKER_HUB else Health.OK
            yield DoctorCheck(name=name, health=health, detail="none", advice=f"publish login {registry}")
        else:
            yield DoctorCheck(name=name, health=Health.OK, detail=f"{found.username}, from {found.source}")
    yield _keyring()
    yield from _plain_text(session)


def _keyring() -> DoctorCheck:
    from publisher.credentials.vault import backend_name

    try:
        return DoctorCheck(name="keyring", health=Health.OK, detail=backend_name())
    except PublishError as error:
        return _broken("keyring", error, Health.WARNING)


def _plain_text(session: Session) -> Iterator[DoctorCheck]:
    from publisher.credentials.docker_config import plain_logins

    file, registries = plain_logins(session.environ)
    if registries and not session.sandbox:
        detail = f"{file} holds {', '.join(registries)} as plain base64"
        advice = f"publish login {registries[0]} --docker keeps it in the keyring; then docker logout {registries[0]}"
        yield DoctorCheck(name="plain text", health=Health.WARNING, detail=detail, advice=advice)


def _repositories(session: Session) -> list[Repository]:
    found = [repository for job in jobs(session.settings, PlanOptions(labels={})) for repository in job.repositories]
    session.aim(found)
    return found


def _rights(session: Session) -> Iterator[DoctorCheck]:
    try:
        repositories = _repositories(session)
    except PublishError as error:
        # Its own way out is an option of other commands.
        advice = "name the images in publish.toml: publish init" if isinstance(error, ConfigError) else error.hint
        yield replace(_broken("rights", error, Health.WARNING), advice=advice or "")
        return
    for repository in repositories:
        yield _right(session, repository)


def _right(session: Session, repository: Repository) -> DoctorCheck:
    """Whether tags can be listed there; what a push needs is proven by `release`, which opens a session."""
    name = f"rights at {repository}"
    try:
        tags = session.remote(repository).tags()
    except PublishError as error:
        return _broken(name, error)
    who = session.client.principal(repository.registry, repository.name)
    return DoctorCheck(name=name, health=Health.OK, detail=f"{len(tags)} tags can be read as {who}")


def _signing(session: Session) -> Iterator[DoctorCheck]:
    """What `[sign]` needs: the extra, a key or an identity, and where the registry keeps its lists."""
    settings = session.settings.sign
    if settings is None:
        return
    missing = [name for name in ("cryptography", "nacl", "sigstore") if find_spec(name) is None]
    if missing:
        detail, advice = f"{', '.join(missing)} is not installed", reinstall_hint("sign")
        yield DoctorCheck(name="signing", health=Health.BROKEN, detail=detail, advice=advice, code=2)
        return
    yield _job(session) if settings.by == "ci" else _key(session, settings.by)
    for repository in _repositories(session)[:_SHOWN]:
        yield _lists(session, repository)


def _job(session: Session) -> DoctorCheck:
    names = ("ACTIONS_ID_TOKEN_REQUEST_URL", "SIGSTORE_ID_TOKEN")
    if session.sandbox or any(session.environ.get(name) for name in names):
        return DoctorCheck(name="signing", health=Health.OK, detail="the job has an identity to sign by")
    advice = "in CI: permissions: id-token: write; elsewhere: publish release --key cosign.key"
    return DoctorCheck(name="signing", health=Health.WARNING, detail="there is no job's identity here", advice=advice)


def _key(session: Session, name: str) -> DoctorCheck:
    from publisher.workflows.signatures import configured_key
    from publisher.workflows.signers import key_signer

    said = session.environ.get("COSIGN_PASSWORD")
    try:
        signer = key_signer(session, configured_key(session, name), lambda: None if said is None else said.encode())
    except PublishError as error:
        return _broken("signing", error)
    return DoctorCheck(name="signing", health=Health.OK, detail=f"{name} opens: {signer.identity}")


def _lists(session: Session, repository: Repository) -> DoctorCheck:
    """Asked for what no image can have."""
    from publisher.registry.referrers import read_referrers

    name = f"signatures at {repository}"
    try:
        by_api = read_referrers(session.remote(repository), Digest.of(b"")).by_api
    except PublishError as error:
        return _broken(name, error)
    kept = "the registry lists them itself" if by_api else "they are listed under a tag sha256-…"
    return DoctorCheck(name=name, health=Health.OK, detail=kept)

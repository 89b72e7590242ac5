"""Run an image as `[smoke]` says, and check what it does."""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from publisher.engine.containers import Containers
from publisher.engine.running import Running
from publisher.model.errors import PublishError, SmokeFailed
from publisher.workflows.smoke_checks import Check, Looker, checks_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.model.settings import SmokeSettings
    from publisher.workflows.session import Session

_POLL: Final = 0.1
_SHOWN_LINES: Final = 20


class SmokeReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="publish.smoke/1"):
    """How a run went. seconds: in all. logs: the last lines, where something failed. kept: what `--keep` left."""

    image: str
    passed: bool
    checks: tuple[Check, ...]
    seconds: float
    exit_code: int | None = None
    oom: bool = False
    logs: tuple[str, ...] = ()
    kept: str | None = None

    @property
    def first_failure(self) -> Check | None:
        """What failed first."""
        return next((check for check in self.checks if not check.passed), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeOptions:
    """keep: leave the container and its volumes for a look. follow: show its logs as they come."""

    keep: bool = False
    follow: bool = False


@dataclass
class _Run:
    """A run while it goes on. deadline: monotonic seconds, for all of it."""

    session: Session
    containers: Containers
    running: Running
    smoke: SmokeSettings
    deadline: float
    checks: tuple[Looker, ...]


def running_of(session: Session, smoke: SmokeSettings, image: str) -> Running:
    """What `[smoke]` means for an image."""
    run = f"publish-smoke-{secrets.token_hex(4)}"
    return Running.of(smoke, image, run, session.configuration.folder, session.environ)


def smoke(session: Session, settings: SmokeSettings, image: str, options: SmokeOptions) -> SmokeReport:
    """Run `image` and check it; everything that came with the run is gone when this returns or raises."""
    began = time.monotonic()
    containers = Containers(session.engine.api)
    running = running_of(session, settings, image)
    checks = checks_of(settings, running, session.engine)
    run = _Run(session, containers, running, settings, began + settings.timeout, checks)
    session.progress.step(f"smoke    {image}")
    with _cleaned(run, keep=options.keep):
        if settings.network:
            containers.make_network(settings.network, running.run)
        report = _first(run, image, options)
        if report.passed and settings.persist:
            report = _persisting(run, report)
    report = msgspec.structs.replace(report, seconds=round(time.monotonic() - began, 2))
    session.progress.step(f"smoke    {'passed' if report.passed else 'failed'}, {len(report.checks)} checks")
    return report


def prove(session: Session, settings: SmokeSettings, image: str) -> dict[str, object]:
    """As smoke, for a release: raises SmokeFailed with the log's last lines where a check fails."""
    report = smoke(session, settings, image, SmokeOptions())
    if not report.passed:
        raise failure(session, report)
    checks = [{"name": check.name, "passed": check.passed} for check in report.checks]
    return {"passed": True, "seconds": report.seconds, "checks": checks}


def failure(session: Session, report: SmokeReport) -> SmokeFailed:
    """The error of a run that failed."""
    failed = report.first_failure
    said = f"{failed.name}: {failed.detail}" if failed else "it failed"
    for line in report.logs:
        session.progress.warn(f"log: {session.redact(line)}")
    return SmokeFailed(f"the image does not pass its smoke run: {session.redact(said)}", reference=report.image)


@contextmanager
def _cleaned(run: _Run, *, keep: bool) -> Iterator[None]:
    """Ctrl-C in the middle of it cleans up too; only what was asked for is kept."""
    try:
        yield
    except BaseException:
        run.containers.clean(run.running.run)
        raise
    if not keep:
        run.containers.clean(run.running.run)


def _first(run: _Run, image: str, options: SmokeOptions) -> SmokeReport:
    container = run.containers.create(run.running, run.running.run)
    problem = run.containers.start(container)
    if options.follow and not problem:
        threading.Thread(target=_follow, args=(run, container), daemon=True, name="logs").start()
    checks = (Check(name="start", passed=False, detail=problem),) if problem else _until(run, container)
    state = run.containers.state(container)
    passed = all(check.passed for check in checks)
    return SmokeReport(
        image=image,
        passed=passed,
        checks=checks,
        seconds=0,
        exit_code=None if state.running else state.exit_code,
        oom=state.oom,
        logs=() if passed else _last_lines(run.containers.logs(container)),
        kept=run.running.run if options.keep else None,
    )


def _until(run: _Run, container: str) -> tuple[Check, ...]:
    """Look again and again until every check has passed, one can't pass any more, or time is up."""
    while True:
        state = run.containers.state(container)
        found = tuple(check.look(run.containers, container, state) for check in run.checks)
        over = time.monotonic() >= run.deadline
        if all(one.passed for one in found) or any(one.final for one in found) or over:
            late = f"not within {run.smoke.timeout:g} s: "
            return tuple(
                one if one.passed or one.final else msgspec.structs.replace(one, detail=late + one.detail)
                for one in found
            )
        time.sleep(_POLL)


def _persisting(run: _Run, report: SmokeReport) -> SmokeReport:
    """Run it again with the same named volumes, and look for what the first run left."""
    container = run.running.run
    left = {path: run.containers.read(container, path) for path in run.smoke.persist}
    checks = [_held(f"persist {path}", found is not None, "absent") for path, found in left.items()]
    if all(check.passed for check in checks):
        run.containers.remove(container)
        run.containers.start(run.containers.create(run.running, container))
        checks += [
            _held(f"persist {path} again", run.containers.read(container, path) == found, "it is gone, or another")
            for path, found in left.items()
        ]
    passed = all(check.passed for check in checks)
    logs = () if passed else _last_lines(run.containers.logs(container))
    return msgspec.structs.replace(report, passed=passed, checks=(*report.checks, *checks), logs=logs)


def _held(name: str, passed: bool, otherwise: str) -> Check:
    return Check(name=name, passed=passed, detail="" if passed else otherwise)


def _follow(run: _Run, container: str) -> None:
    """Show the logs until the container is gone, which ends them in the middle."""
    with suppress(PublishError):
        for piece in run.containers.follow(container):
            for line in piece.decode("utf-8", "replace").splitlines():
                run.session.progress.step(f"log      {run.session.redact(line)}")


def _last_lines(text: str) -> tuple[str, ...]:
    return tuple(text.splitlines()[-_SHOWN_LINES:])

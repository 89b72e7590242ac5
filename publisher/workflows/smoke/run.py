"""Run an image as `[smoke]` says, and check what it does."""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from publisher.engine.containers import Containers, Leftovers
from publisher.engine.run_options import RunOptions
from publisher.model.errors import Interrupted, PublishError, SmokeFailed
from publisher.model.value import Document, Value
from publisher.workflows.smoke.checks import Check, ContainerSnapshot, Evaluate, checks_of, host_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from publisher.model.settings import SmokeSettings
    from publisher.workflows.session import Session

_POLL: Final = 0.1
_SHOWN_LINES: Final = 20
_LONGEST_LINE: Final = 1 << 16
_LAST_WORDS: Final = 2.0
"""Seconds in which the last lines of a container that has ended are shown."""


class SmokeReport(Document, frozen=True, kw_only=True, tag_field="schema", tag="publish.smoke/1"):
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


class SmokeOptions(Value, frozen=True, kw_only=True):
    """keep: leave the container and its volumes for a look. follow: show its logs as they come."""

    keep: bool = False
    follow: bool = False


class _Run(Value, frozen=True):
    """A run while it goes on. deadline: monotonic seconds, for all of it."""

    session: Session
    containers: Containers
    running: RunOptions
    smoke: SmokeSettings
    deadline: float
    checks: tuple[Evaluate, ...]

    def snapshot(self, container: str) -> ContainerSnapshot:
        """The container as it is now."""
        state, left = self.containers.state(container), self.deadline - time.monotonic()
        return ContainerSnapshot(self.containers, container, state, host_of(self.session.engine), left)

    def last_lines(self, container: str) -> tuple[str, ...]:
        """The end of what it printed, without secrets."""
        text = self.session.redact(self.containers.logs(container))
        return tuple(text.splitlines()[-_SHOWN_LINES:])


def running_of(session: Session, smoke: SmokeSettings, image: str) -> RunOptions:
    """What `[smoke]` means for an image; whatever of it makes no sense is a ConfigError here."""
    run = f"publish-smoke-{secrets.token_hex(4)}"
    running = RunOptions.of(smoke, image, run, session.configuration.folder, session.environ)
    checks_of(smoke, running)
    for secret in running.secrets:
        session.learn(secret)
    return running


def smoke(session: Session, settings: SmokeSettings, image: str, options: SmokeOptions) -> SmokeReport:
    """Run `image` and check it; everything that came with the run is gone when this returns or raises."""
    running = running_of(session, settings, image)
    # Images that are released side by side run so too, but for those that want the same port or folder.
    with session.turns.take(running.claims):
        return _smoke(session, settings, running, options)


def _smoke(session: Session, settings: SmokeSettings, running: RunOptions, options: SmokeOptions) -> SmokeReport:
    began = time.monotonic()
    session.progress.step(f"smoke    {running.image}")
    with _prepared(session, running, keep=options.keep) as (containers, prepared):
        checks = checks_of(settings, prepared)
        run = _Run(session, containers, prepared, settings, began + settings.timeout, checks)
        report = _first(run, running.image, options)
        if report.passed and settings.persist:
            report = _persisting(run, report)
    report = replace(report, seconds=round(time.monotonic() - began, 2))
    count = len(report.checks)
    verdict = "passed" if report.passed else "failed"
    session.progress.step(f"smoke    {verdict}, {count} check{'' if count == 1 else 's'}")
    return report


def open_terminal(session: Session, settings: SmokeSettings, image: str, call: Callable[[list[str]], int]) -> int:
    """Let `call` run docker's own CLI with the words that open the image on the terminal; its exit code.

    Nothing of the run stays, however it ends.
    """
    running = running_of(session, settings, image)
    with _prepared(session, running, keep=False) as (containers, prepared):
        containers.make_volumes(prepared)
        return call(prepared.terminal())


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
        session.progress.warn(f"log: {line}")
    hint = None if report.kept else "'publish smoke --keep' leaves the container for a look"
    message = f"the image does not pass its smoke run: {session.redact(said)}"
    return SmokeFailed(message, reference=report.image, hint=hint)


@contextmanager
def _prepared(session: Session, running: RunOptions, *, keep: bool) -> Iterator[tuple[Containers, RunOptions]]:
    """What a run needs before its container; Ctrl-C in the middle of it cleans up too."""
    containers = Containers(session.engine)
    kept = False
    try:
        yield containers, replace(running, network=containers.network(running))
        kept = keep
    finally:
        if not kept:
            _take_away(session, running)


def _take_away(session: Session, running: RunOptions) -> None:
    leftovers = Leftovers(session.engine, running.run)
    try:
        leftovers.clean()
    except Interrupted:
        # It may have come before anything was begun.
        leftovers.clean()
        raise


def _first(run: _Run, image: str, options: SmokeOptions) -> SmokeReport:
    container = run.containers.create(run.running)
    problem = run.containers.start(container)
    follower = threading.Thread(target=_follow, args=(run, container), daemon=True, name="logs")
    if options.follow and not problem:
        follower.start()
    checks = (Check(name="start", passed=False, detail=problem),) if problem else _until(run, container)
    state = run.containers.state(container)
    if follower.ident and not state.running:
        follower.join(_LAST_WORDS)
    passed = all(check.passed for check in checks)
    return SmokeReport(
        image=image,
        passed=passed,
        checks=tuple(_redacted(run.session, check) for check in checks),
        seconds=0,
        exit_code=None if state.running or problem else state.exit_code,
        oom=state.oom,
        logs=() if passed else run.last_lines(container),
        kept=run.running.run if options.keep else None,
    )


def _until(run: _Run, container: str) -> tuple[Check, ...]:
    """Look again and again until every check has passed, one can't pass any more, or time is up."""
    while True:
        snapshot = run.snapshot(container)
        found = tuple(check.evaluate(snapshot) for check in run.checks)
        over = time.monotonic() >= run.deadline
        if all(one.passed for one in found) or any(one.final for one in found) or over:
            late = f"not within {run.smoke.timeout:g} s: "
            return tuple(one if one.passed or one.final else replace(one, detail=late + one.detail) for one in found)
        time.sleep(_POLL)


def _persisting(run: _Run, report: SmokeReport) -> SmokeReport:
    """Run it again with the same named volumes, and look for what the first run left before it can be made anew."""
    container = run.running.run
    left = {path: run.containers.read(container, path) for path in run.smoke.persist}
    run.containers.remove(container)
    again = run.containers.create(run.running)
    checks = [
        _held(f"persist {path} again", run.containers.read(again, path) == found, "it is gone: no named volume has it")
        for path, found in left.items()
    ]
    problem = run.containers.start(again)
    checks.append(_held("second start", not problem, problem))
    passed = all(check.passed for check in checks)
    logs = () if passed else run.last_lines(again)
    return replace(report, passed=passed, checks=(*report.checks, *checks), logs=logs)


def _held(name: str, passed: bool, otherwise: str) -> Check:
    return Check(name=name, passed=passed, detail="" if passed else otherwise)


def _redacted(session: Session, check: Check) -> Check:
    return replace(check, name=session.redact(check.name), detail=session.redact(check.detail))


def _follow(run: _Run, container: str) -> None:
    """Show the logs until the container is gone, which ends them in the middle."""
    with suppress(PublishError):
        for line in _lines(run.containers.follow(container)):
            run.session.progress.step(f"log      {run.session.redact(line)}")


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Whole lines: a secret that came in two pieces must be seen as one."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line.decode("utf-8", "replace").rstrip("\r") for line in lines)
        if len(rest) > _LONGEST_LINE:
            yield rest.decode("utf-8", "replace")
            rest = b""
    if rest:
        yield rest.decode("utf-8", "replace")

"""Several images of one run: planned together, refused together, then released side by side."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from publisher.model.errors import Incomplete, Interrupted, PublishError, Stopped, TimeUp
from publisher.model.protocols import ImagesProgress
from publisher.model.receipt import Receipts
from publisher.receipts.journal import ReceiptCopy
from publisher.report.current_image import image_named
from publisher.workflows.plan import with_signing
from publisher.workflows.record import Run, RunRecord, RunStart, now, planned_changes, touched
from publisher.workflows.release import draft_release, is_built, prepare, refuse, release

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from publisher.model.plan import Plan
    from publisher.workflows.jobs import Job, PlanOptions, ReleaseDraft
    from publisher.workflows.release import ReleaseOptions
    from publisher.workflows.session import Session

_WORK_SECONDS: Final = 0.004
"""What the processor does for an image between two answers: while one waits, so much of another can be done."""
_FEWEST: Final = 2
_MOST: Final = 16


def prepare_images(
    session: Session, jobs: Sequence[Job], wish: PlanOptions, sources: Sequence[str], options: ReleaseOptions
) -> list[ReleaseDraft]:
    """Plan all images at once; what is refused of any is told of all, before anything is sent."""
    if len(jobs) == 1:
        return [prepare(session, jobs[0], wish, sources, options)]
    session.aim(repository for job in jobs for repository in job.repositories)
    # A build takes the whole machine.
    threads = 1 if any(is_built(session, job, sources, options) for job in jobs) else None

    def attempt(job: Job) -> ReleaseDraft | PublishError:
        with image_named(job.name or ""):
            try:
                return draft_release(session, job, wish, sources, options)
            except PublishError as error:
                return error

    outcomes = session.parallel(attempt, jobs, threads)
    answers = zip(jobs, outcomes, strict=True)
    errors = {job.name or "": outcome for job, outcome in answers if isinstance(outcome, PublishError)}
    if errors:
        raise _together(errors)
    # One after another: a key may ask for its password.
    return [with_signing(session, one, options.sign) for one in outcomes if not isinstance(one, PublishError)]


def refuse_images(drafts: Sequence[ReleaseDraft]) -> None:
    """Raise for plans that can't be carried out, one error for all of them."""
    errors = {draft.job.name or "": error for draft in drafts if (error := _refusal(draft.plan)) is not None}
    if errors:
        raise _together(errors)


def _refusal(plan: Plan) -> PublishError | None:
    try:
        refuse(plan)
    except PublishError as error:
        return error
    return None


def _together(errors: dict[str, PublishError]) -> PublishError:
    """The first error, in whose words the images are named and the others stand too."""
    name, first = next(iter(errors.items()))
    texts = "; ".join(f"{name}: {error.message}" for name, error in errors.items())
    if len(errors) > 1:
        first.message = f"{len(errors)} images: {texts}"
    elif name:
        first.message = f"the image {texts}"
    return first


def release_images(
    session: Session, drafts: Sequence[ReleaseDraft], options: ReleaseOptions, at_once: int | None = None
) -> list[Run]:
    """Carry out drafts that were not refused; an image that fails stops no other.

    at_once: how many are released side by side; by default as many as one's waiting has room for. Raises the error of
    an image only where no tag of any was changed.
    """
    if len(drafts) == 1:
        return [release(session, drafts[0], options)]
    each = replace(options, receipt=None)
    names = [str(draft.job.name) for draft in drafts]
    with session.progress.images(names) if isinstance(session.progress, ImagesProgress) else nullcontext():
        work = partial(_release_one, session, options=each)
        try:
            runs = session.parallel(work, drafts, at_once or images_at_once(session))
        except Interrupted as interrupt:
            _tell_of_the_rest(session, drafts, interrupt)
            raise
    runs = _end(drafts, runs)
    if options.receipt:
        _write_receipts(session, runs, options.receipt)
    return runs


def _write_receipts(session: Session, runs: Sequence[Run], file: Path) -> None:
    """What `--receipt` names; the tags are where they are, whether or not it can be written."""
    try:
        ReceiptCopy(file).write(Receipts(receipts=tuple(run.receipt for run in runs)))
    except PublishError as error:
        session.progress.warn(error.message)


def images_at_once(session: Session) -> int:
    """How many images keep the processor busy while their requests are answered; memory is shared by all of them."""
    return max(_FEWEST, min(_MOST, _FEWEST + round(session.client.round_trip / _WORK_SECONDS)))


def _release_one(session: Session, draft: ReleaseDraft, options: ReleaseOptions) -> Run:
    started = now()
    with image_named(str(draft.job.name)):
        try:
            run = release(session, draft, options)
        except PublishError as error:
            run = _failed(session, draft, started, error)
        session.progress.step("failed" if run.error else "done")
        return run


def _failed(session: Session, draft: ReleaseDraft, started: str, error: PublishError) -> Run:
    """The record of an image none of whose tags was changed."""
    record = _record(session, draft, started)
    try:
        return record.end(error)
    except PublishError:
        return Run(record.receipt, error)


def _record(session: Session, draft: ReleaseDraft, started: str) -> RunRecord:
    start = RunStart(command="release", started=started, plan=draft.plan)
    return RunRecord(session, start, planned_changes(draft.plan), None)


def _end(drafts: Sequence[ReleaseDraft], runs: Sequence[Run]) -> list[Run]:
    """The runs, with errors that say which image they are of; raises where nothing was changed."""
    errors = {str(draft.job.name): run.error for draft, run in zip(drafts, runs, strict=True) if run.error}
    if errors and not any(touched(run.receipt.moves) for run in runs):
        raise _together(errors)
    return [
        replace(run, error=_image_error(draft, run)) if run.error else run
        for draft, run in zip(drafts, runs, strict=True)
    ]


def _tell_of_the_rest(session: Session, drafts: Sequence[ReleaseDraft], interrupt: Interrupted) -> None:
    """Beside the images that came to their tags, those that an interrupt kept from them have a record too."""
    receipts = [record.receipt for record in session.records if isinstance(record, RunRecord)]
    begun = {receipt.plan.images for receipt in receipts if receipt.plan}
    for draft in drafts:
        if draft.plan.images not in begun:
            record = _record(session, draft, now())
            with suppress(PublishError):
                record.end(_not_begun(draft, interrupt.as_error()))
            session.records.append(record)


def _not_begun(draft: ReleaseDraft, error: Stopped | TimeUp) -> PublishError:
    message = f"the image {draft.job.name} ({', '.join(draft.plan.images)}) was not released: {error.message}"
    hint = "run the same command again: it finishes what is left"
    return Stopped(error.signal, message, hint=hint) if isinstance(error, Stopped) else TimeUp(message, hint=hint)


def _image_error(draft: ReleaseDraft, run: Run) -> Incomplete:
    assert run.error is not None  # noqa: S101 - the caller's condition
    what = "was not released to the end" if touched(run.receipt.moves) else "was not released, other images were"
    hint = "run the same command again: it finishes what is left"
    message = f"the image {draft.job.name} ({', '.join(draft.plan.images)}) {what}: {run.error.message}"
    return Incomplete(message, reference=run.error.reference, hint=run.error.hint or hint)

"""Build the image that `[build]` describes, with labels from the plan."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import msgspec
from msgspec.structs import replace

from publisher.engine.advice import Advice, Surroundings, advise
from publisher.engine.build_inputs import BuildInputs, first_miss, snapshot
from publisher.engine.build_progress import UnsupportedByDriver
from publisher.engine.builder import BuildStep, context_files
from publisher.engine.buildx import BuildOutput
from publisher.engine.dockerfile import read_dockerfile
from publisher.engine.run_options import Port
from publisher.model.digest import Digest
from publisher.model.environment import cache_folder
from publisher.model.errors import BuildFailed
from publisher.model.settings import TransferSettings
from publisher.model.value import Document, Place, Value
from publisher.threads import run_beside
from publisher.transfer.compression import Compression
from publisher.workflows.build_request import EPOCH, BuildOptions, request_of
from publisher.workflows.builders import find_buildx, gives_blobs, run_build

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.engine.builder import BuildRequest, BuildResult
    from publisher.workflows.jobs import Job, PlanOptions
    from publisher.workflows.session import Session


class BuildReport(Document, frozen=True, kw_only=True, tag_field="schema", tag="publish.build/1"):
    """What was built. images: its names. miss: where the cache ended, and why. seconds: in all."""

    images: tuple[str, ...]
    id: str
    steps: tuple[BuildStep, ...]
    seconds: float
    miss: str = ""
    advice: tuple[Advice, ...] = ()


def build_image(session: Session, job: Job, wish: PlanOptions, options: BuildOptions) -> BuildReport:
    """Build, name and label an image; the report says what the cache did."""
    session.aim(job.repositories)
    request = request_of(session, job, wish, options)
    report = _report(session, job, request, options.output or BuildOutput())
    _tell_advice(session, request, report)
    return report


def _report(session: Session, job: Job, request: BuildRequest, output: BuildOutput) -> BuildReport:
    start = time.monotonic()
    notes = _Notes.of(session, request)
    before = notes.read()

    def context() -> tuple[tuple[str, ...], BuildInputs]:
        files = context_files(request.context, request.dockerfile)
        return files, snapshot(request, files, before)

    with session.progress.group(f"build    {request.names[0]} from {request.context}"):
        try:
            # The builder goes through the same files meanwhile.
            (files, now), built = run_beside(context, lambda: run_build(session, request, output))
        except BuildFailed as error:
            error.place = error.place or _place(request, error)
            raise
    notes.write(now)
    for warning in (*built.warnings, *_not_reproducible(session, request, output, built)):
        session.progress.warn(warning)
    miss = first_miss(built.steps, before, now) if request.cache else ""
    return BuildReport(
        images=request.names,
        id=built.id,
        steps=tuple(replace(step, instruction=session.redact(step.instruction)) for step in built.steps),
        seconds=round(time.monotonic() - start, 2),
        miss=session.redact(miss),
        advice=_advice(job, request, files, built),
    )


def _place(request: BuildRequest, error: BuildFailed) -> Place | None:
    """The line of the Dockerfile that the builder failed at, where it says which instruction that was."""
    file = str(request.context / request.dockerfile)
    instructions = ((one.line, f"({one.word} {one.rest}".rstrip()) for one in read_dockerfile(request.text))
    return next((Place(file, line) for line, text in instructions if text in error.message), None)


def _not_reproducible(
    session: Session, request: BuildRequest, output: BuildOutput, built: BuildResult
) -> Iterator[str]:
    anew = [step for step in built.steps if not step.cached and not step.instruction.startswith(("FROM", "ARG"))]
    if EPOCH not in request.args or not anew or output.path is not None:
        return
    engine = session.engine
    if find_buildx(session, request) is None:
        if request.platform is None:
            yield (
                "SOURCE_DATE_EPOCH: the engine's own builder writes the time of the build into the image all the same; "
                f"buildx, or buildah with --platform {engine.platform}, make the same bytes again"
            )
    elif not engine.has_containerd_store and not request.builder:
        yield (
            "SOURCE_DATE_EPOCH: BuildKit leaves the times of files as they are in the engine's classic store; with the "
            "containerd store, another --builder or -o oci:DIR the same bytes are made again"
        )


class _Notes(Value, frozen=True):
    """What the last build of the same Dockerfile and stage was made from; losing it costs an explanation."""

    path: Path

    @classmethod
    def of(cls, session: Session, request: BuildRequest) -> Self:
        key = f"{request.context.resolve()}\n{request.dockerfile}\n{request.target}\n{request.platforms}"
        return cls(cache_folder(session.environ) / "builds" / f"{Digest.of(key.encode()).hex[:16]}.json")

    def read(self) -> BuildInputs | None:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=BuildInputs)
        except (OSError, msgspec.MsgspecError):
            return None

    def write(self, found: BuildInputs) -> None:
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Unlike a receipt it need not be on the disk before anything goes on.
            beside = self.path.with_suffix(f".{os.getpid()}")
            beside.write_bytes(msgspec.json.encode(found))
            beside.replace(self.path)


def _advice(job: Job, request: BuildRequest, files: tuple[str, ...], built: BuildResult) -> tuple[Advice, ...]:
    smoke = job.settings.smoke
    around = Surroundings(
        files=files,
        ignores=(request.context / ".dockerignore").is_file(),
        ports=tuple(Port.parse(port).number for port in smoke.ports) if smoke else (),
        workdir=built.workdir,
        exposed=built.exposed,
    )
    return advise(request.text, around)


def built_source(
    session: Session, job: Job, wish: PlanOptions, compression: Compression | None, *, via: str, dry_run: bool
) -> tuple[str, ...] | None:
    """Build what a release takes; a dry run builds nothing: None stands for an image that isn't made yet.

    BuildKit leaves it in an OCI layout, which goes with the run, so that the engine isn't asked for it again; or in
    the engine's containerd store, under a name of this run, where the engine itself sends it quicker.
    via: `--via`. compression: `--compression`; else the configuration's, where that isn't what the builder does anyway.
    """
    session.aim(job.repositories)
    transfer = job.settings.transfer
    if compression is None and transfer != TransferSettings():
        compression = Compression(transfer.compression, transfer.level)
    request = request_of(session, job, wish, BuildOptions(dry_run=dry_run))
    if dry_run:
        if find_buildx(session, request) is None:
            session.engine.about()
        session.progress.step(f"build    would make {request.names[0]} from {request.context}: its content is unknown")
        return None
    report, source = _for_release(session, job, request, compression, via)
    _tell_advice(session, request, report)
    return (source,)


def _for_release(
    session: Session, job: Job, request: BuildRequest, compression: Compression | None, via: str
) -> tuple[BuildReport, str]:
    """The image in a layout of this run; in the engine, where only its own builder is here, or can't write layouts."""
    if find_buildx(session, request):
        if compression is None and via != "direct" and gives_blobs(session, request):
            return _kept_by_engine(session, job, request)
        path = session.temporary_folder() / "image"
        output = BuildOutput(path=path)
        if compression:
            output = replace(output, compression=compression.name, level=compression.level)
        try:
            return _report(session, job, request, output), f"oci:{path}"
        except UnsupportedByDriver:
            if len(request.platforms) > 1:
                raise
    return _report(session, job, request, BuildOutput()), f"docker-daemon:{request.names[0]}"


def _kept_by_engine(session: Session, job: Job, request: BuildRequest) -> tuple[BuildReport, str]:
    """The image in the engine, under a name that goes with the run."""
    # As in a layout, into which buildx writes none unless it is asked to.
    report = _report(session, job, replace(request, provenance="false"), BuildOutput(nameless=True))
    title, _, tag = request.names[0].rpartition("/")[2].partition(":")
    # Of no registry: in a containerd store a name says where the image may be found.
    repository = f"localhost/publish-{secrets.token_hex(4)}/{title}"
    session.at_end.enter_context(session.engine.temporary_name(report.id, repository, tag or "latest"))
    return report, f"docker-daemon:{repository}:{tag or 'latest'}"


def _tell_advice(session: Session, request: BuildRequest, report: BuildReport) -> None:
    """Why the cache was left, and what could be better, by line."""
    if report.miss:
        session.progress.step(report.miss)
    for one in report.advice:
        where = f"line {one.line}: " if one.line else ""
        place = Place(str(request.context / request.dockerfile), one.line)
        session.progress.warn(f"{where}{one.message} [{one.rule}]", place)

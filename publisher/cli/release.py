"""`publish release`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from publisher.cli.options import (
    LINES,
    can_ask,
    credentials,
    formats,
    key_password,
    limited,
    make_plan_options,
    open_session,
    planning,
    uses_color,
)
from publisher.model.errors import PublishError
from publisher.model.value import Value

if TYPE_CHECKING:
    from publisher.cli.context import GlobalOptions
    from publisher.model.attestation import SignOptions
    from publisher.model.plan import Plan
    from publisher.workflows.jobs import PlanOptions, ReleaseDraft
    from publisher.workflows.record import Run
    from publisher.workflows.release import ReleaseOptions


class ReleaseFlags(Value, frozen=True, kw_only=True):
    """The options of the command, as click hands them over."""

    sources: tuple[str, ...]
    images: tuple[str, ...]
    rules: tuple[str, ...]
    flavor: tuple[str, ...]
    labels: tuple[str, ...]
    version: str | None
    only: str | None
    plan_file: Path | None
    dry_run: bool
    platforms: tuple[str, ...]
    via: str
    verify: str | None
    build: bool
    no_smoke: bool
    force: bool
    allow_dirty: bool
    allow_early_tag: bool
    compression: str | None
    compression_level: int | None
    pull_local: bool
    receipt: Path | None
    sign: bool
    key: str | None
    no_sign: bool
    sbom: str | None
    username: str | None
    password_stdin: bool
    yes: bool
    form: str

    def plan_options(self) -> PlanOptions:
        """What they say of the plan; raises click.UsageError."""
        options = make_plan_options(
            self.images, self.rules, self.flavor, self.labels, self.version, self.only, force=self.force
        )
        return replace(options, platforms=self.platforms)

    def release_options(self) -> ReleaseOptions:
        """What they say of how it is released."""
        from publisher.transfer.compression import Compression
        from publisher.workflows.release import ReleaseOptions

        return ReleaseOptions(
            via=self.via,
            verify=self.verify,
            build=self.build,
            smoke=not self.no_smoke,
            allow_dirty=self.allow_dirty,
            early_tag=self.allow_early_tag,
            compression=Compression.of(self.compression, self.compression_level),
            pull_local=self.pull_local,
            receipt=self.receipt,
            sign=self._sign_options(),
        )

    def _sign_options(self) -> SignOptions:
        from publisher.model.attestation import SignOptions

        if self.no_sign and (self.sign or self.key or self.sbom):
            raise click.UsageError("--no-sign leaves out what --sign, --key and --sbom ask for")
        return SignOptions(sign=self.sign, key=self.key, leave_out=self.no_sign, sbom=self.sbom, password=key_password)


@click.command("release")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@planning
@click.option(
    "--plan", "plan_file", type=click.Path(path_type=Path), metavar="FILE", help="Exactly this saved plan, or refuse."
)
@click.option("--dry-run", is_flag=True, help="Plan and preflight; write nothing.")
@click.option("--platform", "platforms", multiple=True, type=LINES, metavar="OS/ARCH", help="Only this one (repeat).")
@click.option("--via", type=click.Choice(["auto", "direct", "engine"]), default="auto", help="Who sends the layers.")
@click.option("--verify", type=click.Choice(["none", "digest", "pull", "deep"]), help="How much is proven.")
@click.option("--build", is_flag=True, help="Build it first, as [build] says.")
@click.option("--no-smoke", is_flag=True, help="Don't run what was pushed.")
@click.option("--force", is_flag=True, help="Overwrite exact tags that hold another image.")
@click.option("--allow-dirty", is_flag=True, help="Release though tracked files have changes.")
@click.option("--allow-early-tag", is_flag=True, help="Push by the exact tag where the registry takes no digest.")
@click.option("--compression", type=click.Choice(["gzip", "zstd"]), help="How layers are compressed.")
@click.option("--compression-level", type=int, metavar="N", help="Its level; 1 by default.")
@click.option("--pull-local", is_flag=True, help="Pull the moved tags that the engine holds an older image of.")
@click.option("--receipt", type=click.Path(path_type=Path), metavar="FILE", help="Write the receipt to FILE too.")
@click.option("--sign", is_flag=True, help="Sign it, in CI by the job's identity.")
@click.option("--key", metavar="FILE|env://NAME", help="Sign it with this key.")
@click.option("--no-sign", is_flag=True, help="Leave out what [sign] asks for.")
@click.option("--sbom", metavar="FILE|syft|trivy", help="The SBOM to sign, or what makes it.")
@credentials
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@limited
@formats("json")
@click.pass_obj
def command(options: GlobalOptions, /, **flags: Any) -> int:
    r"""Publish an image: push by digest, verify, then move the tags.

    \b
    publish release docker-daemon:goalapp --image yeongyin/goalapp --version 1.2.0
    publish release docker://ghcr.io/me/app@sha256:… --image me/app
    publish plan goalapp -o plan.json && publish release goalapp --plan plan.json
    """
    return _release(options, ReleaseFlags(**flags))


def _release(options: GlobalOptions, flags: ReleaseFlags) -> int:
    from publisher.cli.rendering import show_runs
    from publisher.workflows.jobs import jobs
    from publisher.workflows.plan import SavedPlans
    from publisher.workflows.release import prepare, release

    release_options = flags.release_options()
    runs: list[Run] = []
    with open_session(options, flags.username, password_stdin=flags.password_stdin) as session:
        plan_options = flags.plan_options()
        if flags.plan_file:
            saved_plans = SavedPlans.read(flags.plan_file)
            plan_options = saved_plans.plan_options(plan_options, session.facts)
            release_options = replace(release_options, saved=saved_plans)
        # In a sandbox nothing is pushed to anybody: there a pull request is rehearsed.
        dry_run = flags.dry_run or (session.facts.is_pull_request and not session.sandbox)
        release_options = replace(release_options, dry_run=dry_run)
        drafts = [
            prepare(session, job, plan_options, flags.sources, release_options)
            for job in jobs(session.settings, plan_options)
        ]
        if dry_run:
            return _only_plan(options, drafts, flags.form)
        # All are refused or agreed to before anything of the first is sent.
        for draft in drafts:
            _agree(options, draft, yes=flags.yes, form=flags.form)
        for draft in drafts:
            try:
                runs.append(release(session, draft, release_options))
            except PublishError as error:
                runs = _stop_runs(runs, draft, error)
                break
    return show_runs(options, runs, flags.form)


def _stop_runs(runs: list[Run], draft: ReleaseDraft, error: PublishError) -> list[Run]:
    """The runs so far, the last with the error that stopped the next image; raises it where no tag was changed yet."""
    from publisher.model.errors import Incomplete
    from publisher.workflows.record import touched

    if not any(touched(run.receipt.moves) for run in runs):
        raise error
    message = f"{', '.join(draft.plan.images)} was not released, other images were: {error.message}"
    hint = "run the same command again: it finishes what is left"
    return [*runs[:-1], replace(runs[-1], error=Incomplete(message, reference=error.reference, hint=hint))]


def _only_plan(options: GlobalOptions, drafts: list[ReleaseDraft], form: str) -> int:
    from publisher.cli.github import report
    from publisher.cli.rendering import show_json
    from publisher.model.plan import Plans

    plans = {draft.job.name or "": draft.plan for draft in drafts}
    document = plans[""] if "" in plans else Plans(plans=plans)
    report(document, options.report_context)
    if form == "json":
        show_json(document)
    else:
        for draft in drafts:
            _show_plan(options, draft.plan)
    return 4 if any(draft.plan.refusals or not draft.plan.moves for draft in drafts) else 0


def _show_plan(options: GlobalOptions, plan: Plan) -> None:
    from publisher.report.tables import plan_text

    click.echo(plan_text(plan, color=uses_color(options)), nl=False)


def _agree(options: GlobalOptions, draft: ReleaseDraft, *, yes: bool, form: str) -> None:
    """Show the plan; on a terminal ask."""
    from publisher.report.cells import columns
    from publisher.report.tables import plan_text
    from publisher.workflows.release import refuse

    if form == "text" and not options.quiet:
        click.echo(
            plan_text(draft.plan, color=options.color and sys.stderr.isatty(), width=columns(sys.stderr)), err=True
        )
    refuse(draft.plan)
    writes = any(move.action.writes for move in draft.plan.moves)
    if writes and can_ask(yes=yes):
        click.confirm("Release this?", abort=True, err=True)

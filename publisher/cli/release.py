"""`publish release`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from publisher.cli.options import can_ask, colored, credentials, formats, open_session, planning, wish
from publisher.model.errors import PublishError

if TYPE_CHECKING:
    from publisher.cli.program import GlobalOptions
    from publisher.model.plan import Plan
    from publisher.workflows.plan import ReleaseDraft
    from publisher.workflows.record import Run
    from publisher.workflows.release import ReleaseOptions


@click.command("release")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@planning
@click.option(
    "--plan", "plan_file", type=click.Path(path_type=Path), metavar="FILE", help="Exactly this saved plan, or refuse."
)
@click.option("--dry-run", is_flag=True, help="Plan and preflight; write nothing.")
@click.option("--via", type=click.Choice(["auto", "direct", "engine"]), default="auto", help="Who sends the layers.")
@click.option("--verify", type=click.Choice(["none", "digest", "pull", "deep"]), help="How much is proven.")
@click.option("--build", "builds", is_flag=True, help="Build it first, as [build] says.")
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
@formats("json")
@click.pass_obj
def command(
    given: GlobalOptions, /, sources: tuple[str, ...], *, dry_run: bool, username: str | None, password_stdin: bool,
    yes: bool, form: str, force: bool, plan_file: Path | None, builds: bool, **rest: Any,
) -> int:  # fmt: skip
    r"""Publish an image: push by digest, verify, then move the tags.

    \b
    publish release docker-daemon:goalapp --image yeongyin/goalapp --version 1.2.0
    publish release docker://ghcr.io/me/app@sha256:… --image me/app
    publish plan goalapp -o plan.json && publish release goalapp --plan plan.json
    """
    from publisher.cli.rendering import show_runs
    from publisher.workflows.jobs import jobs
    from publisher.workflows.plan import SavedPlans
    from publisher.workflows.release import prepare, release

    plan_options = {key: rest.pop(key) for key in ("images", "rules", "flavor", "labels", "version", "only")}
    options = _options(**rest)
    runs: list[Run] = []
    with open_session(given, username, password_stdin=password_stdin) as session:
        wanted = wish(**plan_options, force=force)
        if plan_file:
            saved = SavedPlans.read(plan_file)
            wanted, options = saved.wish(wanted, session.facts), replace(options, saved=saved)
        # In a sandbox nothing is pushed to anybody: there a pull request is rehearsed.
        dry_run = dry_run or (session.facts.is_pull_request and not session.sandbox)
        options = replace(options, build=builds, dry_run=dry_run)
        drafts = [prepare(session, job, wanted, sources, options) for job in jobs(session.settings, wanted)]
        if dry_run:
            return _only_plan(given, drafts, form)
        # All are refused or agreed to before anything of the first is sent.
        for made in drafts:
            _agree(given, made, yes=yes, form=form)
        for made in drafts:
            try:
                runs.append(release(session, made, options))
            except PublishError as error:
                runs = _unfinished(runs, made, error)
                break
    return show_runs(given, runs, form)


def _unfinished(runs: list[Run], made: ReleaseDraft, error: PublishError) -> list[Run]:
    """The runs so far, the last with the error that stopped the next image; raises it where no tag was changed yet."""
    from publisher.model.errors import Incomplete
    from publisher.workflows.record import touched

    if not any(touched(run.receipt.moves) for run in runs):
        raise error
    message = f"{', '.join(made.plan.images)} was not released, other images were: {error.message}"
    hint = "run the same command again: it finishes what is left"
    return [*runs[:-1], replace(runs[-1], error=Incomplete(message, reference=error.reference, hint=hint))]


def _options(
    *, via: str, verify: str | None, no_smoke: bool, allow_dirty: bool, allow_early_tag: bool, compression: str | None,
    compression_level: int | None, pull_local: bool, receipt: Path | None, sign: bool, key: str | None,
    no_sign: bool, sbom: str | None,
) -> ReleaseOptions:  # fmt: skip
    from publisher.cli.options import key_password
    from publisher.model.attestation import SignOptions
    from publisher.transfer.compression import Compression
    from publisher.workflows.release import ReleaseOptions

    if no_sign and (sign or key or sbom):
        raise click.UsageError("--no-sign leaves out what --sign, --key and --sbom ask for")
    chosen = None
    if compression or compression_level is not None:
        chosen = Compression(compression or "gzip", 1 if compression_level is None else compression_level)
        chosen.check()
    return ReleaseOptions(
        via=via,
        verify=verify,
        smoke=not no_smoke,
        allow_dirty=allow_dirty,
        early_tag=allow_early_tag,
        compression=chosen,
        pull_local=pull_local,
        receipt=receipt,
        sign=SignOptions(sign=sign, key=key, leave_out=no_sign, sbom=sbom, password=key_password),
    )


def _only_plan(given: GlobalOptions, drafts: list[ReleaseDraft], form: str) -> int:
    from publisher.cli.github import report
    from publisher.cli.rendering import show_json
    from publisher.model.plan import Plans

    plans = {made.job.name or "": made.plan for made in drafts}
    found = plans[""] if "" in plans else Plans(plans=plans)
    report(found, given.aside)
    if form == "json":
        show_json(found)
    else:
        for made in drafts:
            _show_plan(given, made.plan)
    return 4 if any(made.plan.refusals or not made.plan.moves for made in drafts) else 0


def _show_plan(given: GlobalOptions, plan: Plan) -> None:
    from publisher.report.tables import plan_text

    click.echo(plan_text(plan, color=colored(given)), nl=False)


def _agree(given: GlobalOptions, made: ReleaseDraft, *, yes: bool, form: str) -> None:
    """Show the plan; on a terminal ask."""
    from publisher.report.cells import columns
    from publisher.report.tables import plan_text
    from publisher.workflows.release import refuse

    if form == "text" and not given.quiet:
        click.echo(plan_text(made.plan, color=given.color and sys.stderr.isatty(), width=columns(sys.stderr)), err=True)
    refuse(made.plan)
    writes = any(move.action.writes for move in made.plan.moves)
    if writes and can_ask(yes=yes):
        click.confirm("Release this?", abort=True, err=True)

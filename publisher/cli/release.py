"""`publish release`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from publisher.cli.completing import sources as known_sources
from publisher.cli.options import (
    LINES,
    can_ask,
    credentials,
    formats,
    key_password,
    make_plan_options,
    open_session,
    planning,
    timeout_option,
)
from publisher.model.value import Value

if TYPE_CHECKING:
    from publisher.cli.context import GlobalOptions
    from publisher.model.attestation import SignOptions
    from publisher.model.plan import Plan
    from publisher.workflows.jobs import PlanOptions, ReleaseDraft
    from publisher.workflows.release import ReleaseOptions


class ReleaseFlags(Value, frozen=True, kw_only=True):
    """The options of the command, as click hands them over."""

    sources: tuple[str, ...]
    images: tuple[str, ...]
    rules: tuple[str, ...]
    flavor: tuple[str, ...]
    labels: tuple[str, ...]
    version: str | None
    only: tuple[str, ...]
    pull_request: bool
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
    jobs: int | None
    yes: bool
    form: str

    def plan_options(self) -> PlanOptions:
        """What they say of the plan; raises click.UsageError."""
        options = make_plan_options(
            self.images, self.rules, self.flavor, self.labels, self.version, self.only, force=self.force
        )
        return replace(options, platforms=self.platforms, pull_request=self.pull_request)

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
@click.argument("sources", nargs=-1, metavar="[SOURCE]...", shell_complete=known_sources)
@planning
@click.option(
    "--plan", "plan_file", type=click.Path(path_type=Path), metavar="FILE", help="Exactly this saved plan, or refuse."
)
@click.option("--dry-run", is_flag=True, help="Plan and preflight; write nothing.")
@click.option("--platform", "platforms", multiple=True, type=LINES, metavar="OS/ARCH", help="Only this one (repeat).")
@click.option("--pull-request", is_flag=True, help="Push an own pull request, by its own tags only.")
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
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="Release N images at once.")
@credentials
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@timeout_option
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
    from publisher.workflows.images import prepare_images, refuse_images, release_images
    from publisher.workflows.jobs import is_planned_only, released_jobs
    from publisher.workflows.plan import SavedPlans

    release_options = flags.release_options()
    with open_session(options, flags.username, password_stdin=flags.password_stdin) as session:
        plan_options = flags.plan_options()
        if flags.plan_file:
            saved_plans = SavedPlans.read(flags.plan_file)
            plan_options = saved_plans.plan_options(plan_options, session.facts)
            release_options = replace(release_options, saved=saved_plans)
        is_planned = is_planned_only(session, plan_options)
        dry_run = flags.dry_run or is_planned
        release_options = replace(release_options, dry_run=dry_run)
        images = released_jobs(session, plan_options)
        drafts = prepare_images(session, images, plan_options, flags.sources, release_options)
        if dry_run:
            code = _only_plan(options, drafts, flags.form)
            # That a pull request would give no tag is no fault of it.
            return 0 if is_planned else code
        # All are refused or agreed to before anything of the first is sent.
        if flags.form == "text" and not options.quiet:
            for draft in drafts:
                _show_plan_beside(options, draft.plan)
        refuse_images(drafts)
        _agree(drafts, yes=flags.yes)
        runs = release_images(session, drafts, release_options, flags.jobs)
    pairs = zip(runs, drafts, strict=False)
    options.report_context.images = {run.receipt.id: draft.job.name for run, draft in pairs if draft.job.name}
    return show_runs(options, runs, flags.form)


def _only_plan(options: GlobalOptions, drafts: list[ReleaseDraft], form: str) -> int:
    from publisher.cli.github import report
    from publisher.cli.rendering import show_json, show_plans
    from publisher.model.plan import Plans

    plans = {draft.job.name or "": draft.plan for draft in drafts}
    document = plans[""] if "" in plans else Plans(plans=plans)
    report(document, options.report_context)
    if form == "json":
        show_json(document)
    else:
        show_plans(options, [draft.plan for draft in drafts])
    return 4 if any(draft.plan.refusals or not draft.plan.moves for draft in drafts) else 0


def _show_plan_beside(options: GlobalOptions, plan: Plan) -> None:
    """The plan of a release, which is no result."""
    from publisher.report.cells import columns
    from publisher.report.tables import plan_text

    click.echo(plan_text(plan, color=options.color and sys.stderr.isatty(), width=columns(sys.stderr)), err=True)


def _agree(drafts: list[ReleaseDraft], *, yes: bool) -> None:
    """On a terminal ask, once for all images."""
    writes = any(move.action.writes for draft in drafts for move in draft.plan.moves)
    if writes and can_ask(yes=yes):
        click.confirm("Release this?" if len(drafts) == 1 else "Release these?", abort=True, err=True)

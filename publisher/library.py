"""The commands as functions of strings, and a session for programs that need the steps between.

Each does what the command of its name does, in this process's environment and folder; docs/library.md shows them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from msgspec.structs import replace

from publisher.model.errors import Denied, Refused, UsageError
from publisher.workflows.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from publisher.model.credential import Credential
    from publisher.model.documents import Status, Verdicts
    from publisher.model.plan import Plan
    from publisher.model.protocols import Progress
    from publisher.model.receipt import Receipt
    from publisher.workflows.jobs import Job, PlanOptions, ReleaseDraft
    from publisher.workflows.record import Run
    from publisher.workflows.release import ReleaseOptions
    from publisher.workflows.retag import RetagOptions

Via = Literal["auto", "direct", "engine"]
Level = Literal["none", "digest", "pull", "deep"]


class LibrarySession(Session):
    """One run: configuration, git, credentials and connections, opened at their first use; a context manager.

    Without arguments it is this process's environment and folder, and nothing but warnings is told.
    username and password go together, as `--username` and `--password-stdin` do.
    """

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        directory: Path | None = None,
        progress: Progress | None = None,
        *,
        config: str | Path | None = None,
        username: str | None = None,
        password: str | None = None,
    ) -> None:
        from publisher.http.redaction import Redactor
        from publisher.model.environment import SECRET_VARIABLES
        from publisher.report.progress import Teller

        environ = os.environ if environ is None else environ
        redactor = Redactor()
        for name in SECRET_VARIABLES:
            redactor.learn(environ.get(name, ""))
        super().__init__(
            environ,
            directory or Path.cwd(),
            progress or Teller(quiet=True, redact=redactor),
            config=None if config is None else str(config),
            credential=_credential(username, password),
            redactor=redactor,
        )

    def jobs(self, options: PlanOptions) -> tuple[Job, ...]:
        """One for each image to publish: those that the configuration and `options` name."""
        from publisher.workflows.jobs import jobs

        return jobs(self.settings, options)

    def plan(self, job: Job, options: PlanOptions, sources: Sequence[str] = (), *, offline: bool = False) -> Plan:
        """What a release of the job would do; a configured source that isn't there leaves the content unknown."""
        from publisher.workflows.plan import planned

        return planned(self, job, options, sources, offline=offline)

    def prepare(
        self, job: Job, options: PlanOptions, sources: Sequence[str], release_options: ReleaseOptions
    ) -> ReleaseDraft:
        """Plan and preflight: everything that can be refused is refused here, before anything is sent."""
        from publisher.workflows.release import prepare

        return prepare(self, job, options, sources, release_options)

    def release(self, draft: ReleaseDraft, options: ReleaseOptions) -> Run:
        """Carry out a draft. Errors before the first tag are raised; later ones come with the receipt."""
        from publisher.workflows.release import refuse, release

        refuse(draft.plan)
        return release(self, draft, options)

    def retag(self, source: str, targets: Sequence[str], options: RetagOptions) -> Run:
        """Point tags at what a registry has; a target without `/` and `:` is a tag beside the source's."""
        from publisher.model.reference import Reference
        from publisher.workflows.retag import read_targets, retag

        reference = Reference.parse(source)
        texts = [target if {"/", ":", "@"} & set(target) else f":{target}" for target in targets]
        return retag(self, reference, read_targets(reference, texts), options)

    def status(self, options: PlanOptions, *, limit: int | None = 50, filter: str = "*") -> Status:  # noqa: A002
        """The newest versions (limit None: all) and each floating tag, beside where it belongs; of tags like filter."""
        from publisher.planning.lines import VersionChoice
        from publisher.workflows.status import status

        return status(self, options, VersionChoice(limit, filter))

    def verify(
        self,
        references: Sequence[str],
        *,
        verify: Level = "digest",
        all: bool = False,  # noqa: A002
        source: str | None = None,
        local: bool = False,
        signed_by: Sequence[str] = (),
        attested: Sequence[str] = (),
        output: Path | None = None,
    ) -> Verdicts:
        """One verdict for each reference, in their order; all: for every tag of these repositories."""
        from publisher.model.documents import Verdicts
        from publisher.model.reference import Reference
        from publisher.workflows.signatures import signature_demand
        from publisher.workflows.verify import Expectation, every_tag, verify_references

        _check("verify", verify, get_args(Level))
        targets = [Reference.parse(text) for text in references]
        self.aim(target.repository for target in targets)
        if all:
            targets = every_tag(self, targets)
        demand = signature_demand(self, signed_by, attested, output, lambda: None)
        expectation = Expectation(verify, source, local, signed=demand)
        return Verdicts(results=verify_references(self, targets, expectation))

    def reconcile(self, options: PlanOptions, *, dry_run: bool = False, receipt: Path | None = None) -> Run:
        """Put the floating tags where `status` says that they belong."""
        from publisher.workflows.reconcile import reconcile

        return reconcile(self, options, dry_run=dry_run, receipt=receipt)


def plan(
    *sources: str,
    images: str | Iterable[str] = (),
    rules: str | Iterable[str] = (),
    flavor: str | Iterable[str] = (),
    labels: Mapping[str, str] | None = None,
    version: str | None = None,
    only: str | Iterable[str] = (),
    offline: bool = False,
    config: str | Path | None = None,
) -> Plan:
    """What a release would do, tag by tag, and why; its refusals stand in it."""
    from publisher.workflows.jobs import only_job

    options = _plan_options(images, rules, flavor, labels, version, only)
    with LibrarySession(config=config) as session:
        return session.plan(only_job(session.settings, options), options, sources, offline=offline)


def release(
    *sources: str,
    images: str | Iterable[str] = (),
    rules: str | Iterable[str] = (),
    flavor: str | Iterable[str] = (),
    labels: Mapping[str, str] | None = None,
    version: str | None = None,
    only: str | Iterable[str] = (),
    plan: str | Path | None = None,
    via: Via = "auto",
    verify: Level | None = None,
    build: bool = False,
    no_smoke: bool = False,
    force: bool = False,
    allow_dirty: bool = False,
    allow_early_tag: bool = False,
    platforms: str | Iterable[str] = (),
    pull_request: bool = False,
    sign: bool = False,
    key: str | None = None,
    no_sign: bool = False,
    sbom: str | None = None,
    compression: str | None = None,
    compression_level: int | None = None,
    pull_local: bool = False,
    receipt: str | Path | None = None,
    timeout: float = 3600,
    config: str | Path | None = None,
    username: str | None = None,
    password: str | None = None,
) -> Receipt:
    """Publish one image: push by digest, verify, then move the tags. plan: a file that `publish plan -o` saved.

    Raises PublishError, Incomplete where some tag was changed and not all is done; the receipt is in the journal, and
    in the file `receipt`, either way. A pull request's run is refused outside a sandbox.
    """
    from publisher.model.attestation import SignOptions
    from publisher.transfer.compression import Compression
    from publisher.workflows.release import ReleaseOptions

    _check("via", via, get_args(Via))
    _check("verify", verify, (None, *get_args(Level)))
    release_options = ReleaseOptions(
        via=via,
        verify=verify,
        build=build,
        smoke=not no_smoke,
        allow_dirty=allow_dirty,
        early_tag=allow_early_tag,
        compression=Compression.of(compression, compression_level),
        pull_local=pull_local,
        receipt=_path(receipt),
        sign=SignOptions(sign=sign, key=key, leave_out=no_sign, sbom=sbom),
    )
    options = _plan_options(images, rules, flavor, labels, version, only, force=force)
    options = replace(options, platforms=_words(platforms), pull_request=pull_request)
    with LibrarySession(config=config, username=username, password=password) as session:
        session.limit_time(timeout)
        return _receipt(_release(session, sources, options, release_options, _path(plan)))


def _release(
    session: LibrarySession, sources: Sequence[str], options: PlanOptions, how: ReleaseOptions, plan: Path | None
) -> Run:
    from publisher.workflows.jobs import is_planned_only, only_job, released_jobs
    from publisher.workflows.plan import SavedPlans

    if is_planned_only(session, options):
        raise Refused("a pull request releases nothing", hint="publisher.plan shows what a release would do")
    if plan:
        saved_plans = SavedPlans.read(plan)
        options, how = saved_plans.plan_options(options, session.facts), replace(how, saved=saved_plans)
    released = released_jobs(session, options)
    job = released[0] if len(released) == 1 else only_job(session.settings, options, nameless=False)
    return session.release(session.prepare(job, options, sources, how), how)


def retag(
    source: str,
    *targets: str,
    force: bool = False,
    no_clobber: bool = False,
    dry_run: bool = False,
    platforms: str | Iterable[str] = (),
    receipt: str | Path | None = None,
    timeout: float = 3600,
    config: str | Path | None = None,
    username: str | None = None,
    password: str | None = None,
) -> Receipt:
    """Point tags at an image that is in a registry already; `retag("a:1", "b")` makes a:b of it.

    Raises PublishError, Incomplete where some tag was changed and not all is done.
    """
    from publisher.workflows.retag import RetagOptions

    if not targets:
        raise UsageError("no tag is named to write", hint='as in retag("app:1.2.0", "stable")')
    options = RetagOptions(
        force=force, clobber=not no_clobber, dry_run=dry_run, platforms=_words(platforms), receipt=_path(receipt)
    )
    with LibrarySession(config=config, username=username, password=password) as session:
        session.limit_time(timeout)
        return _receipt(session.retag(source, targets, options))


def status(
    *,
    images: str | Iterable[str] = (),
    rules: str | Iterable[str] = (),
    flavor: str | Iterable[str] = (),
    only: str | Iterable[str] = (),
    limit: int | None = 50,
    filter: str = "*",  # noqa: A002 - as the option
    config: str | Path | None = None,
    username: str | None = None,
    password: str | None = None,
) -> Status:
    """The newest versions and each floating tag, beside where it belongs; `drifted` names those that are elsewhere.

    limit: how many versions, None for all. filter: only tags like this glob.
    """
    options = _plan_options(images, rules, flavor, None, None, only)
    with LibrarySession(config=config, username=username, password=password) as session:
        return session.status(options, limit=limit, filter=filter)


def verify(
    *references: str,
    verify: Level = "digest",
    all: bool = False,  # noqa: A002 - as the option
    source: str | None = None,
    local: bool = False,
    signed_by: str | Iterable[str] = (),
    attested: str | Iterable[str] = (),
    output: str | Path | None = None,
    timeout: float = 3600,
    config: str | Path | None = None,
    username: str | None = None,
    password: str | None = None,
) -> Verdicts:
    """Check that references hold what they should; what is wrong with one stands in its verdict. all: every tag.

    output: a folder for the verified statements.
    """
    with LibrarySession(config=config, username=username, password=password) as session:
        session.limit_time(timeout)
        return session.verify(
            references,
            verify=verify,
            all=all,
            source=source,
            local=local,
            signed_by=_words(signed_by),
            attested=_words(attested),
            output=_path(output),
        )


def _receipt(run: Run) -> Receipt:
    if run.error:
        raise run.error
    return run.receipt


def _plan_options(
    images: str | Iterable[str],
    rules: str | Iterable[str],
    flavor: str | Iterable[str],
    labels: Mapping[str, str] | None,
    version: str | None,
    only: str | Iterable[str],
    *,
    force: bool = False,
) -> PlanOptions:
    from publisher.workflows.jobs import PlanOptions

    return PlanOptions(
        images=_words(images),
        rules=_words(rules),
        flavor=_words(flavor),
        labels=labels or {},
        version=version,
        only=_words(only),
        force=force,
    )


def _words(texts: str | Iterable[str]) -> tuple[str, ...]:
    """A lone string is one word, not its letters."""
    return (texts,) if isinstance(texts, str) else tuple(texts)


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def _check(option: str, word: str | None, words: Sequence[str | None]) -> None:
    if word not in words:
        raise UsageError(f"{option}='{word}' is not known", hint=f"it is one of {', '.join(filter(None, words))}")


def _credential(username: str | None, password: str | None) -> Credential | None:
    if username is None and password is None:
        return None
    from publisher.model.credential import Credential

    if not username or not password:
        raise Denied(
            "username and password go together", hint="pass both, or neither: then the logins of this machine count"
        )
    return Credential(username, password, "the program")

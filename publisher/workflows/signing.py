"""How a release is signed: found out before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from publisher.attest.sbom import Sbom, read_sbom
from publisher.facts.build_origin import read_build_origin
from publisher.facts.ci import Payload
from publisher.model.attestation import BuildOrigin, PlannedSigning, SignOptions
from publisher.model.environment import find_program
from publisher.model.errors import ConfigError, Refused, UsageError
from publisher.model.settings import SignSettings
from publisher.model.value import Value
from publisher.sigstore.client import Services
from publisher.workflows.signatures import configured_key
from publisher.workflows.signers import JobSigner, KeySigner, job_signer, key_signer

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.model.settings import ImageSettings
    from publisher.workflows.session import Session

MAKERS: Final = ("syft", "trivy")


class Signing(Value, frozen=True, kw_only=True):
    """How one image is signed. maker: what makes its SBOM from what was pushed."""

    signer: KeySigner | JobSigner
    origin: BuildOrigin
    sbom: Sbom | None = None
    sbom_name: str = ""
    maker: str | None = None
    legacy: bool = False

    def planned(self) -> PlannedSigning:
        """As a plan tells it."""
        words = ("signature", "provenance", "sbom") if self.sbom or self.maker else ("signature", "provenance")
        return PlannedSigning(by=self.signer.by, identity=self.signer.identity, log=self.signer.log, statements=words)


def prepare_signing(session: Session, settings: ImageSettings, options: SignOptions) -> Signing | None:
    """Preflight: the key opens, or the job has an identity; the SBOM can be read. None where nothing is signed."""
    table = settings.sign or session.settings.sign
    if options.leave_out or not (options.sign or options.key or table):
        _refuse_lone_sbom(options)
        return None
    if session.facts.is_pull_request and (options.sign or options.key):
        raise UsageError("a pull request is never signed: its code is not this project's yet", hint="leave --sign out")
    if session.facts.is_pull_request:
        return None
    signer = _signer(session, table, options)
    _refuse_unasked_log(session, signer, options)
    origin = read_build_origin(session.environ, session.facts, signer.claims)
    return _with_sbom(
        session, Signing(signer=signer, origin=origin, legacy=bool(table and table.legacy)), table, options
    )


def expected_signing(session: Session, settings: ImageSettings) -> PlannedSigning:
    """How `[sign]` would sign, without asking anybody: a job's identity is taken for that of git's remote."""
    table = settings.sign or session.settings.sign or SignSettings()
    words = ("signature", "provenance", "sbom") if table.sbom else ("signature", "provenance")
    if table.by != "ci":
        return PlannedSigning(by="key", identity=f"the key {table.by}", log=None, statements=words)
    project = session.facts.project.source.removeprefix("https://") or "unknown"
    return PlannedSigning(by="ci", identity=project, log=_services(session, table).rekor, statements=words)


def _refuse_lone_sbom(options: SignOptions) -> None:
    if options.sbom:
        raise UsageError(
            "--sbom is for a release that is signed: anybody who may push can write an unsigned one",
            hint="add --sign, or --key FILE",
        )


def _signer(session: Session, table: SignSettings | None, options: SignOptions) -> KeySigner | JobSigner:
    if options.key:
        return key_signer(session, options.key, options.password)
    if table and table.by != "ci":
        return key_signer(session, configured_key(session, table.by), options.password)
    return job_signer(session, _services(session, table))


def _services(session: Session, table: SignSettings | None) -> Services:
    if session.sandbox:
        return Services.in_sandbox(session.sandbox)
    if table is None or table.signing_config is None:
        return Services()
    file = session.configuration.folder / table.signing_config
    return Services.read(_read(file, "[sign] signing-config"))


def _read(file: Path, what: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{what} can't be read: {error.strerror}", reference=file) from error


def _refuse_unasked_log(session: Session, signer: KeySigner | JobSigner, options: SignOptions) -> None:
    """A private repository's name would stand in a public log for good: only who types --sign wants that."""
    private = session.environ.get("GITHUB_ACTIONS") == "true" and _is_private(session)
    if private and signer.log and not options.sign and not session.sandbox:
        raise Refused(
            f"this repository is private, and its name would stand in the public log {signer.log} for good",
            hint="type --sign if that is meant, or sign with a key",
        )


def _is_private(session: Session) -> bool:
    return Payload.read(session.environ).flag("repository", "private")


def _with_sbom(session: Session, signing: Signing, table: SignSettings | None, options: SignOptions) -> Signing:
    name = options.sbom or (table.sbom if table else None)
    if name is None:
        return signing
    if name in MAKERS:
        if find_program(name, session.environ) is None:
            raise ConfigError(
                f"{name} is not installed, which was to make the SBOM", hint=f"install {name}, or name a file"
            )
        return replace(signing, maker=name)
    folder = session.directory if options.sbom else session.configuration.folder
    content = _read(folder / name, "the SBOM")
    return replace(signing, sbom=read_sbom(content, name, logged=signing.signer.log is not None), sbom_name=name)

"""Sign what is about to be released: signature, provenance and SBOM stand, and verify, before any tag moves."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from publisher.attest.bundle import BUNDLE_TYPE, bundle_artifact
from publisher.attest.check import Checker
from publisher.attest.sbom import read_sbom
from publisher.attest.statements import Statement, Subject, word_of
from publisher.model.artifact import EMPTY, SmallBlob
from publisher.model.errors import VerificationFailed
from publisher.model.manifest import Manifest
from publisher.registry.image import send_blobs
from publisher.registry.referrers import list_referrers, listed_referrers, read_referrers
from publisher.workflows.older_form import older_form
from publisher.workflows.sbom_maker import make_sbom
from publisher.workflows.signatures import keyless_of, read_signatures
from publisher.workflows.statements import built_statements, compose_statements, read_released, signed_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.attest.check import StoredAttestation
    from publisher.model.attestation import SignatureRecord
    from publisher.model.digest import Digest
    from publisher.model.manifest import Content
    from publisher.model.plan import Plan
    from publisher.model.reference import Repository
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.session import Session
    from publisher.workflows.signatures import ImageSignatures
    from publisher.workflows.signing import Signing
    from publisher.workflows.statements import DraftStatement, SigningSubject


def sign(
    session: Session, signing: Signing, plan: Plan, content: Content, repositories: Sequence[Repository]
) -> tuple[SignatureRecord, ...]:
    """Sign content in every repository; raises before any tag moved, and a rerun finishes what is left."""
    records: list[SignatureRecord] = []
    released = read_released(session, session.remote(repositories[0]), content)
    if signing.sbom:
        signing.sbom.refuse_other((*released.digests, *released.configs), signing.sbom_name)
    sboms = _made_sboms(session, signing, released, repositories[0])
    wrote_any = False
    for repository in repositories:
        remote = session.remote(repository)
        has_sbom = bool(signing.sbom or signing.maker)
        logged = signing.signer.log is not None
        built = built_statements(session, remote, released, sboms=not has_sbom, logged=logged)
        own = [msgspec.structs.replace(one, subjects=_renamed(one, repository)) for one in sboms]
        drafts = compose_statements(signing, released, repository, signed_version(plan), [*own, *built])
        wrote, attestations = _sign_in(session, signing, remote, released, drafts, signed_version(plan))
        wrote_any = wrote_any or wrote
        records += [one.record(repository, content.digest) for one in attestations]
    word = "signed  " if wrote_any else "signed already"
    words = dict.fromkeys(_word(record.predicate, signing) for record in records)
    session.progress.step(f"{word} by {_who(signing)}: {', '.join(words)}")
    return tuple(records)


def _who(signing: Signing) -> str:
    workflow = signing.origin.builder.partition("/.github/workflows/")[2]
    return f"{signing.signer.identity} ({workflow})" if workflow and signing.signer.log else signing.signer.identity


def _word(predicate: str, signing: Signing) -> str:
    word = word_of(predicate)
    sbom = signing.sbom
    return f"sbom ({sbom.form}, {sbom.packages} packages)" if word == "sbom" and sbom else word


def _renamed(statement: Statement, repository: Repository) -> tuple[Subject, ...]:
    return tuple(Subject(one.digest, str(repository), one.annotations) for one in statement.subjects)


def _sign_in(
    session: Session,
    signing: Signing,
    remote: RemoteRepository,
    released: SigningSubject,
    drafts: Sequence[DraftStatement],
    version: str | None,
) -> tuple[bool, tuple[StoredAttestation, ...]]:
    """In one repository: what stands already stays, the rest is signed; all is read back and checked."""
    root, keyless, who = released.root, keyless_of(session), signing.signer.who
    before = read_signatures(session, remote, root, Checker([who], keyless), older=False)
    missing = [draft for draft in drafts if not any(draft.is_in(one) and one.bundle for one in before.attestations)]
    # All are signed before any is sent: one certificate's ten minutes are enough for that.
    bundles = [signing.signer.bundle(draft.statement.content()) for draft in missing]
    artifacts = _attach(session, remote, root, [(one.statement, b) for one, b in zip(missing, bundles, strict=True)])
    # A job is known by its certificate once it has one; what stood before may be by another workflow of the project.
    checker = Checker(tuple(dict.fromkeys((signing.signer.who, who))), keyless)
    after = before
    with ExitStack() as lists:
        wrote = signing.legacy and lists.enter_context(older_form(signing.signer, remote, root, checker, version))
        if artifacts:
            listing = lists.enter_context(listed_referrers(remote, root.digest, artifacts))
            after = read_signatures(session, remote, root, checker, listing=listing, older=False)
        attestations = tuple(_kept_attestation(draft, after, remote) for draft in drafts)
    if after.by_api:
        session.parallel(
            lambda platform: _attach_to_platform(session, remote, platform, attestations), released.platforms
        )
    return wrote or bool(artifacts), attestations


def _attach(
    session: Session, remote: RemoteRepository, subject: Content, signed: Sequence[tuple[Statement, bytes]]
) -> list[Manifest]:
    """Let signed statements refer to a manifest. What was just signed can't be there yet, and isn't asked for."""
    pairs = [bundle_artifact(bundle, statement.predicate_type, subject.descriptor) for statement, bundle in signed]
    if pairs:
        send_blobs(remote, [EMPTY])
    session.parallel(lambda bundle: remote.upload_at_once(SmallBlob(BUNDLE_TYPE, bundle)), [one for _s, one in signed])
    artifacts = [artifact for artifact, _blobs in pairs]
    session.parallel(remote.put_manifest, artifacts)
    return artifacts


def _attach_to_platform(
    session: Session, remote: RemoteRepository, platform: Manifest, attestations: Sequence[StoredAttestation]
) -> None:
    """Where the registry lists them itself, each platform has its own: no tag is made for it."""
    own = [one for one in attestations if any(s.digest == platform.digest for s in one.attestation.statement.subjects)]
    present = {entry.digest for entry in read_referrers(remote, platform.digest).entries}
    artifacts = []
    for one in own:
        kind = one.attestation.statement.predicate_type
        artifact = bundle_artifact(one.bundle, kind, platform.descriptor)[0]
        if artifact.digest not in present:
            artifacts.append(artifact)
    session.parallel(remote.put_manifest, artifacts)
    if artifacts:
        list_referrers(remote, platform.digest, artifacts)


def _kept_attestation(draft: DraftStatement, after: ImageSignatures, remote: RemoteRepository) -> StoredAttestation:
    match = next((one for one in after.attestations if draft.is_in(one) and one.bundle), None)
    if match is None:
        why = f": {after.problems[-1]}" if after.problems else ""
        raise VerificationFailed(
            f"the {draft.statement.word} that was just signed doesn't verify in {remote.repository}{why}",
            reference=remote.repository,
            hint="no tag was moved: run the same command again",
        )
    return match


# SBOMs that are made here.


def _made_sboms(
    session: Session, signing: Signing, released: SigningSubject, repository: Repository
) -> list[Statement]:
    """One for each platform, by an installed program, from what was pushed."""
    if signing.maker is None:
        return []
    images = released.platforms or ((released.root,) if isinstance(released.root, Manifest) else ())
    return [_made_sbom(session, signing, repository, image.digest) for image in images]


def _made_sbom(session: Session, signing: Signing, repository: Repository, digest: Digest) -> Statement:
    assert signing.maker  # noqa: S101 - asked for by the caller
    name = f"{session.engine_name(repository)}@{digest}"
    content = make_sbom(session, signing.maker, repository, name)
    sbom = read_sbom(content, f"what {signing.maker} wrote", logged=signing.signer.log is not None)
    return Statement(sbom.predicate_type, (Subject(digest, str(repository)),), sbom.document)

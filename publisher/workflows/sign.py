"""Sign what is about to be released: signature, provenance and SBOM stand, and verify, before any tag moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from publisher.attest.bundle import BUNDLE_TYPE, bundle_artifact
from publisher.attest.check import Checker
from publisher.attest.sbom import read_sbom
from publisher.attest.simple import compose_signatures, layer_of, payload_of, signature_tag
from publisher.attest.statements import VERSION_ANNOTATION, Statement, Subject, word_of
from publisher.model.artifact import EMPTY, SmallBlob
from publisher.model.errors import Unreachable, VerificationFailed
from publisher.model.manifest import Manifest
from publisher.registry.image import send_blobs
from publisher.registry.referrers import list_referrers, read_referrers
from publisher.workflows.sbom_maker import make_sbom
from publisher.workflows.signatures import keyless_of, read_signatures
from publisher.workflows.signers import KeySigner
from publisher.workflows.statements import built_statements, compose_statements, read_released, signed_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.model.attestation import SignatureRecord
    from publisher.model.digest import Digest
    from publisher.model.manifest import Content
    from publisher.model.plan import Plan
    from publisher.model.reference import Repository
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.session import Session
    from publisher.workflows.signatures import ImageSignatures, StoredAttestation
    from publisher.workflows.signing import Signing
    from publisher.workflows.statements import DraftStatement, ReleasedContent

_MERGES: Final = 8


def sign(
    session: Session, signing: Signing, plan: Plan, content: Content, repositories: Sequence[Repository]
) -> tuple[SignatureRecord, ...]:
    """Sign content in every repository; raises before any tag moved, and a rerun finishes what is left."""
    records: list[SignatureRecord] = []
    released = read_released(session, session.remote(repositories[0]), content)
    if signing.sbom:
        signing.sbom.refuse_other((*released.digests, *released.configs), signing.sbom_name)
    made = _made_sboms(session, signing, released, repositories[0])
    written = False
    for repository in repositories:
        remote = session.remote(repository)
        built = built_statements(session, remote, released, sboms=not (signing.sbom or signing.maker))
        own = [msgspec.structs.replace(one, subjects=_renamed(one, repository)) for one in made]
        drafts = compose_statements(signing, released, repository, signed_version(plan), [*own, *built])
        wrote, stored = _sign_in(session, signing, remote, released, drafts, signed_version(plan))
        written = written or wrote
        records += [one.record(repository, content.digest) for one in stored]
    word = "signed  " if written else "signed already"
    named = dict.fromkeys(_word(record.predicate, signing) for record in records)
    session.progress.step(f"{word} by {_who(signing)}: {', '.join(named)}")
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


def _checker(session: Session, signing: Signing) -> Checker:
    return Checker([signing.signer.who], keyless_of(session))


def _sign_in(
    session: Session,
    signing: Signing,
    remote: RemoteRepository,
    released: ReleasedContent,
    drafts: Sequence[DraftStatement],
    version: str | None,
) -> tuple[bool, tuple[StoredAttestation, ...]]:
    """In one repository: what stands already stays, the rest is signed; all is read back and checked."""
    root = released.root
    before = read_signatures(session, remote, root, _checker(session, signing), older=False)
    missing = [draft for draft in drafts if not any(draft.is_in(one) and one.bundle for one in before.stored)]
    # All are signed before any is sent: one certificate's ten minutes are enough for that.
    bundles = [signing.signer.bundle(draft.statement.content()) for draft in missing]
    _send(remote, bundles)
    pairs = zip(missing, bundles, strict=True)
    artifacts = [_attach(remote, bundle, draft.statement, root) for draft, bundle in pairs]
    by_api = list_referrers(remote, root.digest, artifacts) if artifacts else None
    wrote = bool(artifacts)
    if signing.legacy and isinstance(signing.signer, KeySigner):
        wrote |= _sign_simply(session, signing, remote, root.digest, version)
    after = read_signatures(session, remote, root, _checker(session, signing)) if wrote else before
    stored = tuple(_stored(draft, after, remote) for draft in drafts)
    if released.platforms and (by_api if by_api is not None else read_referrers(remote, root.digest).by_api):
        for platform in released.platforms:
            _attach_to_platform(remote, platform, stored)
    return wrote, stored


def _send(remote: RemoteRepository, bundles: Sequence[bytes]) -> None:
    """What was just signed can't be there yet, and isn't asked for."""
    if bundles:
        send_blobs(remote, [EMPTY])
    for bundle in bundles:
        remote.upload(SmallBlob(BUNDLE_TYPE, bundle))


def _attach(remote: RemoteRepository, bundle: bytes, statement: Statement, subject: Content) -> Manifest:
    """Let a bundle that is there refer to a manifest."""
    artifact, _blobs = bundle_artifact(bundle, statement.predicate_type, subject.descriptor)
    remote.put_manifest(artifact)
    return artifact


def _attach_to_platform(remote: RemoteRepository, platform: Manifest, stored: Sequence[StoredAttestation]) -> None:
    """Where the registry lists them itself, each platform has its own: no tag is made for it."""
    own = [one for one in stored if any(s.digest == platform.digest for s in one.attestation.statement.subjects)]
    listed = {entry.digest for entry in read_referrers(remote, platform.digest).entries}
    artifacts = []
    for one in own:
        kind = one.attestation.statement.predicate_type
        if bundle_artifact(one.bundle, kind, platform.descriptor)[0].digest not in listed:
            artifacts.append(_attach(remote, one.bundle, one.attestation.statement, platform))
    if artifacts:
        list_referrers(remote, platform.digest, artifacts)


def _stored(draft: DraftStatement, after: ImageSignatures, remote: RemoteRepository) -> StoredAttestation:
    found = next((one for one in after.stored if draft.is_in(one) and one.bundle), None)
    if found is None:
        why = f": {after.problems[-1]}" if after.problems else ""
        raise VerificationFailed(
            f"the {draft.statement.word} that was just signed doesn't verify in {remote.repository}{why}",
            reference=remote.repository,
            hint="no tag was moved: run the same command again",
        )
    return found


def _sign_simply(
    session: Session, signing: Signing, remote: RemoteRepository, digest: Digest, version: str | None
) -> bool:
    """Cosign's older form: a layer of the image under its tag, merged as the list of referrers is. Whether it wrote."""
    assert isinstance(signing.signer, KeySigner)  # noqa: S101 - preflight has refused others
    payload = payload_of(digest, remote.repository, version, VERSION_ANNOTATION).content()
    blob, annotations = layer_of(payload, b"")
    tag, own, wrote = signature_tag(digest), blob.descriptor().digest, False
    for attempt in range(_MERGES):
        image = remote.find(tag)
        layers = [layer.document() for layer in image.layers] if isinstance(image, Manifest) else []
        if any(layer["digest"] == str(own) for layer in layers):
            return wrote
        if not wrote:
            annotations = layer_of(payload, signing.signer.sign(payload))[1]
            send_blobs(remote, [blob])
        merged, config = compose_signatures([*layers, {**blob.descriptor().document(), "annotations": annotations}])
        send_blobs(remote, [config])
        remote.put(merged, tag)
        wrote = True
        session.pause(0.1 * 2**attempt if attempt else 0)
    raise Unreachable(
        f"{remote.repository}:{tag} doesn't keep what is written to it", hint="run the same command again"
    )


# SBOMs that are made here.


def _made_sboms(
    session: Session, signing: Signing, released: ReleasedContent, repository: Repository
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

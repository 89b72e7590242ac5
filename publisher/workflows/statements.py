"""What is said of a release: composed from facts, before anything is signed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from publisher import __version__
from publisher.attest.provenance import compose_provenance
from publisher.attest.sbom import LARGEST, LARGEST_LOGGED
from publisher.attest.statements import PROVENANCE, SIGNATURE, Statement, Subject, read_statement
from publisher.model.errors import BadAttestation
from publisher.model.manifest import VERSION_ANNOTATION, Descriptor, Index, Manifest
from publisher.model.plan import Kind
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from publisher.attest.check import StoredAttestation
    from publisher.model.digest import Digest
    from publisher.model.manifest import Content
    from publisher.model.plan import Plan
    from publisher.model.reference import Repository
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.session import Session
    from publisher.workflows.signing import Signing

_PREDICATE_TYPE: Final = "in-toto.io/predicate-type"


class DraftStatement(Value, frozen=True):
    """A statement to be signed. once: one of its kind by the same signer is enough, whatever it says."""

    statement: Statement
    once: bool = False

    def is_in(self, other: StoredAttestation) -> bool:
        """Whether it stands there already."""
        statement = other.attestation.statement
        if statement.predicate_type != self.statement.predicate_type:
            return False
        same_subjects = {one.digest for one in statement.subjects} == {one.digest for one in self.statement.subjects}
        return same_subjects if self.once else other.attestation.payload == self.statement.content()


class SigningSubject(Value, frozen=True):
    """What is signed: its root, and the manifests of its platforms."""

    root: Content
    platforms: tuple[Manifest, ...]

    @property
    def digests(self) -> tuple[Digest, ...]:
        """Of the root, then of the platforms."""
        return (self.root.digest, *(platform.digest for platform in self.platforms))

    @property
    def configs(self) -> tuple[Digest, ...]:
        """By which an engine knows the image."""
        single = (self.root,) if isinstance(self.root, Manifest) else ()
        return tuple(one.config.digest for one in (*single, *self.platforms))


def read_released(session: Session, remote: RemoteRepository, root: Content) -> SigningSubject:
    """Read the manifests of its platforms."""
    entries = root.images if isinstance(root, Index) else ()
    manifests = session.parallel(lambda entry: remote.get(entry.digest), entries)
    return SigningSubject(root, tuple(one for one in manifests if isinstance(one, Manifest)))


def compose_statements(
    signing: Signing, released: SigningSubject, repository: Repository, version: str | None, sboms: Sequence[Statement]
) -> tuple[DraftStatement, ...]:
    """What is said of an image in one repository; the version belongs to the released digest alone."""
    annotations = {VERSION_ANNOTATION: version} if version else {}
    first, *others = released.digests
    subjects = (Subject(first, str(repository), annotations), *(Subject(one, str(repository)) for one in others))
    predicate = compose_provenance(signing.origin, version, f"publish {__version__}", released.configs)
    drafts = [
        DraftStatement(Statement(SIGNATURE, subjects, {})),
        DraftStatement(Statement(PROVENANCE, subjects, predicate), once=True),
    ]
    if signing.sbom:
        drafts.append(DraftStatement(Statement(signing.sbom.predicate_type, subjects, signing.sbom.document)))
    drafts += [DraftStatement(one, once=True) for one in sboms]
    return tuple(drafts)


def signed_version(plan: Plan) -> str | None:
    """The version that is signed along: where the release writes an exact tag."""
    return plan.version if any(move.kind is Kind.EXACT for move in plan.moves) else None


def built_statements(
    session: Session, remote: RemoteRepository, released: SigningSubject, *, sboms: bool, logged: bool
) -> Iterator[Statement]:
    """What BuildKit has put into the index, unsigned: its predicate as it is, of the platform that it names.

    logged: whether the public log has to take it.
    """
    root, largest = released.root, LARGEST_LOGGED if logged else LARGEST
    for entry in root.manifests if isinstance(root, Index) else ():
        if not entry.is_attestation:
            continue
        artifact = remote.get(entry.digest)
        for layer in artifact.layers if isinstance(artifact, Manifest) else ():
            statement = _built_statement(session, remote, layer, entry, released, largest)
            if statement and (sboms or statement.word != "sbom"):
                yield statement


def _built_statement(
    session: Session,
    remote: RemoteRepository,
    layer: Descriptor,
    entry: Descriptor,
    released: SigningSubject,
    largest: int,
) -> Statement | None:
    if _PREDICATE_TYPE not in layer.annotations:
        return None
    if layer.size > largest:
        size = f"{layer.size:,} bytes, and {largest:,} are taken"
        session.progress.warn(f"{layer.digest} in the index has {size}: it is not signed")
        return None
    with remote.open_blob(layer) as stream:
        raw = stream.read()
    try:
        statement = read_statement(raw)
        platform = next(one for one in released.platforms if str(one.digest) == entry.attestation_subject)
        statement.subject(platform.digest)
    except (BadAttestation, StopIteration):
        session.progress.warn(f"{layer.digest} in the index speaks of no platform of it, and is not signed")
        return None
    return Statement(statement.predicate_type, (Subject(platform.digest, str(remote.repository)),), statement.predicate)

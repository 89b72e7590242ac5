"""The signed statements beside an image, read and checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from publisher.attest.bundle import LARGEST, LARGEST_SBOM, PREDICATE_ANNOTATION, bundle_layer
from publisher.attest.check import Attestation, Checker, StoredAttestation
from publisher.attest.identity import parse_signer
from publisher.attest.keyless import Keyless
from publisher.attest.keys import LARGEST as LARGEST_KEY
from publisher.attest.simple import MOST, attestation_tag, signature_tag
from publisher.attest.statements import SIGNATURE, word_of
from publisher.model.artifact import EMPTY_TYPE
from publisher.model.errors import ConfigError, UsageError, VerificationFailed
from publisher.model.value import Value
from publisher.planning.version import version_of
from publisher.registry.referrers import read_referrers
from publisher.workflows.older_form import platforms_of, read_bounded, read_older_statements, read_simple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from publisher.attest.identity import Signer
    from publisher.model.attestation import SignatureRecord
    from publisher.model.digest import Digest
    from publisher.model.manifest import Content, Descriptor
    from publisher.model.reference import Reference, Tag
    from publisher.model.settings import SignSettings
    from publisher.registry.referrers import ReferrerList
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.session import Session

_BUNDLE_WORD: Final = "sigstore.bundle"
_AT_ONCE: Final = 8
_SHOWN: Final = 3


class ImageSignatures(Value, frozen=True):
    """What holds of one image. problems: one sentence for each statement that doesn't count.

    by_api: whether the registry lists what refers to it by itself.
    """

    attestations: tuple[StoredAttestation, ...]
    problems: tuple[str, ...]
    by_api: bool = False

    @property
    def signature(self) -> Attestation | None:
        """The image's signature; one with a version comes first."""
        return self.signature_of(None)

    def signature_of(self, tag: Tag | None) -> Attestation | None:
        """The image's signature: as the version of a tag where there is one, since it may be published as several."""
        signatures = [
            one.attestation for one in self.attestations if one.attestation.statement.predicate_type == SIGNATURE
        ]
        signatures.sort(key=lambda one: (one.version is None, version_difference(tag, one) is not None))
        return signatures[0] if signatures else None

    @property
    def reason(self) -> str:
        """Why what there is doesn't count, each reason once; empty where there is nothing."""
        texts = dict.fromkeys(problem.partition(": ")[2] for problem in self.problems)
        return "; ".join(list(texts)[:_SHOWN])

    @property
    def words(self) -> tuple[str, ...]:
        """What there is beside the signature, each once."""
        words = (one.attestation.word for one in self.attestations)
        return tuple(dict.fromkeys(word for word in words if word != "signature"))


def read_signatures(
    session: Session,
    remote: RemoteRepository,
    content: Content,
    checker: Checker,
    *,
    listing: ReferrerList | None = None,
    older: bool = True,
    demanded: Sequence[str] = (),
) -> ImageSignatures:
    """Read all that refers to an image, cheapest first; where that holds no signature, cosign's older tag too.

    listing: what refers to it, where that was just read. demanded: other words than "signature" that are to be looked
    for in the older form where nothing else has them.
    """
    attestations: list[StoredAttestation] = []
    problems: list[str] = []

    def take(attested: Iterator[StoredAttestation], where: object) -> None:
        try:
            attestations.extend(attested)
        except VerificationFailed as error:
            problems.append(f"{remote.repository}@{where}: {error.message}")

    listing = listing or read_referrers(remote, content.digest)
    for entry, bundle in _read_bundles(session, remote, _candidates(listing.entries)):
        take(_check_bundle(bundle, content, checker), entry.digest)
    if older and ImageSignatures(tuple(attestations), ()).signature is None:
        take(read_simple(remote, content.digest, checker), signature_tag(content.digest))
    if set(demanded) - set(ImageSignatures(tuple(attestations), ()).words):
        take(read_older_statements(remote, content, checker), attestation_tag(content.digest))
    for problem in problems:
        session.tell(f"not counted: {problem}")
    return ImageSignatures(tuple(attestations), tuple(problems), listing.by_api)


def _candidates(entries: Sequence[Descriptor]) -> list[Descriptor]:
    """Lists may be wrong about types, so that only an entry that says it is something else is passed over."""
    kept = [one for one in entries if _BUNDLE_WORD in one.artifact_type or one.artifact_type in {"", EMPTY_TYPE}]
    order = {"signature": 0, "provenance": 1}
    kept.sort(key=lambda one: order.get(word_of(one.annotations.get(PREDICATE_ANNOTATION, "")), 2))
    return kept[:MOST]


class _StoredBundle(Value, frozen=True):
    """An artifact and the bundle that it keeps. problem: why it couldn't be read."""

    artifact: Digest
    bundle: bytes = b""
    problem: VerificationFailed | None = None


def _read_bundles(
    session: Session, remote: RemoteRepository, entries: Sequence[Descriptor]
) -> Iterator[tuple[Descriptor, _StoredBundle]]:
    """Side by side, and never many at a time: each may be large, and all of them somebody else's."""
    for start in range(0, len(entries), _AT_ONCE):
        some = entries[start : start + _AT_ONCE]
        yield from zip(some, session.parallel(lambda entry: _read_bundle(remote, entry), some), strict=True)


def _read_bundle(remote: RemoteRepository, entry: Descriptor) -> _StoredBundle:
    try:
        artifact = remote.get(entry.digest)
        layer = bundle_layer(artifact)
        if layer is None:
            return _StoredBundle(artifact.digest)
        is_sbom = word_of(artifact.annotations.get(PREDICATE_ANNOTATION, "")) == "sbom"
        return _StoredBundle(artifact.digest, read_bounded(remote, layer, LARGEST_SBOM if is_sbom else LARGEST))
    except VerificationFailed as error:
        return _StoredBundle(entry.digest, problem=error)


def _check_bundle(stored: _StoredBundle, content: Content, checker: Checker) -> Iterator[StoredAttestation]:
    if stored.problem:
        raise stored.problem
    if stored.bundle:
        attestation = checker.bundle(stored.bundle, content.digest, platforms_of(content))
        yield StoredAttestation(attestation, stored.artifact, stored.bundle)


def version_difference(tag: Tag | None, attestation: Attestation) -> str | None:
    """Why an exact tag holds an image that was signed as another version."""
    published = version_of(tag) if tag else None
    if published is None or attestation.version is None or attestation.version == tag:
        return None
    signed = version_of(attestation.version)
    if signed == published:
        return None
    return f"the tag {tag} holds an image signed as {attestation.version}"


# Who must have signed.


def checker_of(session: Session, texts: Sequence[str], password: Callable[[], bytes | None]) -> Checker:
    """Who is named by `--signed-by` and in `[sign] verify`; raises UsageError for what names nobody."""
    signers: list[Signer] = [
        parse_signer(text, lambda name: read_key(session, name), password) for text in dict.fromkeys(texts)
    ]
    return Checker(signers, keyless_of(session))


def signature_demand(
    session: Session,
    signers: Sequence[str],
    attested: Sequence[str],
    folder: Path | None,
    password: Callable[[], bytes | None],
) -> SignatureDemand | None:
    """What a user asks of signatures: those named, else `[sign] verify`, else the key's public half or the remote's CI.

    None where nothing is asked; raises UsageError where nobody is named who could have signed.
    """
    if not (signers or attested or folder or session.settings.sign):
        return None
    who = tuple(signers) or default_signers(session)
    if not who:
        raise UsageError(
            "nobody is named who must have signed", hint="name a key file, or github.com/OWNER/REPO: --signed-by WHO"
        )
    return SignatureDemand(checker_of(session, who, password), tuple(attested), folder)


def default_signers(session: Session) -> tuple[str, ...]:
    """Who must have signed where nobody is named: `[sign] verify`, else who signs this project's releases."""
    settings = session.settings.sign
    if settings and settings.verify:
        return configured_signers(session, settings)
    if settings and settings.by != "ci":
        name = configured_key(session, settings.by)
        public = f"{name.removesuffix('.key')}.pub"
        # The public half, where it lies beside the key as cosign leaves it, takes no password.
        return (public if name.endswith(".key") and read_key(session, public) else name,)
    project = session.facts.project.source.removeprefix("https://")
    return (project,) if project.startswith(("github.com/", "gitlab.com/")) else ()


def configured_signers(session: Session, table: SignSettings) -> tuple[str, ...]:
    """`[sign] verify` as it works here: a key's path there is relative to the file."""
    folder = session.configuration.folder
    return tuple(configured_key(session, who) if (folder / who).is_file() else who for who in table.verify)


def configured_key(session: Session, by: str) -> str:
    """`[sign] by` as a name that works here: a path there is relative to the file."""
    folder = session.configuration.folder
    return by if by.startswith("env://") or folder == session.directory else str(folder / by)


def read_key(session: Session, name: str) -> bytes | None:
    """A key's file, or what `env://NAME` names; None where there is none."""
    if name.startswith("env://"):
        text = session.environ.get(name.removeprefix("env://"), "")
        return text.encode() or None
    file = session.directory / Path(name).expanduser()
    try:
        with file.open("rb") as stream:
            return stream.read(LARGEST_KEY + 1)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"the key can't be read: {error.strerror}", reference=file) from error


def keyless_of(session: Session) -> Keyless:
    """By the public Sigstore's root, `[sign] trust`, or in a sandbox by the sandbox's alone."""
    if session.sandbox:
        from publisher.sigstore.client import read_trust

        return Keyless(lambda: read_trust(session.client, str(session.sandbox)))
    settings = session.settings.sign
    trust = settings.trust if settings else None
    if trust is None:
        return Keyless()
    file = session.configuration.folder / trust

    def read() -> bytes:
        try:
            return file.read_bytes()
        except OSError as error:
            raise ConfigError(f"[sign] trust can't be read: {error.strerror}", reference=file) from error

    return Keyless(read)


class SignedVerdict(Value, frozen=True):
    """How an image stands to a demand. problem: why it isn't met; empty where it is."""

    problem: str
    detail: str
    records: tuple[SignatureRecord, ...]


class SignatureDemand(Value, frozen=True):
    """Who must have signed an image, what must be attested, and where the verified statements are written."""

    checker: Checker
    attested: tuple[str, ...] = ()
    folder: Path | None = None

    def read(self, session: Session, remote: RemoteRepository, content: Content) -> ImageSignatures:
        """What holds of an image; all that is read is read by its digest."""
        return read_signatures(session, remote, content, self.checker, demanded=self.attested)

    def check(
        self, session: Session, remote: RemoteRepository, reference: Reference, content: Content
    ) -> SignedVerdict:
        """Hold one image against it."""
        signatures = self.read(session, remote, content)
        records = tuple(one.record(remote.repository, content.digest) for one in signatures.attestations)
        signature = signatures.signature_of(reference.tag)
        problem = self.problem(signatures, reference.tag)
        if signature is None or problem:
            return SignedVerdict(problem or "", "", records)
        if self.folder:
            _write_statements(self.folder, content.digest, signatures.attestations)
        others = f"; {', '.join(signatures.words)}" if signatures.words else ""
        return SignedVerdict("", f"signed by {signature.signer}{others}", records)

    def problem(self, signatures: ImageSignatures, tag: Tag | None) -> str | None:
        """Why it isn't met by what holds of an image; None where it is."""
        signature = signatures.signature_of(tag)
        if signature is None:
            reason = signatures.reason
            return f"it is not signed by whom it should be: {reason}" if reason else "it is not signed"
        missing = [word for word in self.attested if word not in signatures.words]
        if missing:
            return f"it is signed, and has no {' and no '.join(missing)} by the same signer"
        return version_difference(tag, signature)


def _write_statements(folder: Path, digest: Digest, attestations: Sequence[StoredAttestation]) -> None:
    """Each statement as it was signed, and what it says by itself, for tools that read SBOMs or provenance."""
    folder.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = {}
    for one in attestations:
        attestation = one.attestation
        word = attestation.word if "/" not in attestation.word else "statement"
        counts[word] = number = counts.get(word, 0) + 1
        name = f"{digest.short}-{word}{f'-{number}' if number > 1 else ''}"
        (folder / f"{name}.intoto.json").write_bytes(attestation.payload)
        if attestation.statement.predicate:
            text = json.dumps(attestation.statement.predicate, indent=2, ensure_ascii=False)
            (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")

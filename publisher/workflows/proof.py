"""What is proven of a release before its first tag: it is read back, and run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from publisher.model.errors import PublishError, VerificationFailed
from publisher.model.plan import Kind
from publisher.model.receipt import Verification
from publisher.workflows.tagging.survey import read_tag
from publisher.workflows.verify import Proof, verify_content

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.model.manifest import Content
    from publisher.model.reference import Repository, TagReference
    from publisher.workflows.destination import Destination
    from publisher.workflows.jobs import ReleaseDraft
    from publisher.workflows.session import Session


def prove_release(session: Session, draft: ReleaseDraft, content: Content, level: str, *, smokes: bool) -> Proof:
    """Verify up to `level` in every repository, then run it; raises VerificationFailed, SmokeFailed."""
    if not any(move.action.writes for move in draft.plan.moves):
        return Proof(Verification(level="none"), None)
    is_last = level == "digest" and not smokes and draft.signing is None
    proof = _verify(session, draft, content, level, asks_tags=is_last)
    return _smoke(session, draft, content, proof) if smokes else proof


def _verify(session: Session, draft: ReleaseDraft, content: Content, level: str, *, asks_tags: bool) -> Proof:
    """asks_tags: the exact tags are written next, so that whether they are free is asked in the same round trip."""
    proofs: dict[Repository, Proof] = {}
    free: set[TagReference] = set()

    def verify(destination: Destination) -> None:
        proofs[destination.repository] = _verify_in(session, draft, destination, content, level)

    def find_free(destination: Destination, reference: TagReference) -> None:
        if read_tag(destination.remote, reference.tag) in {None, content.digest}:
            free.add(reference)

    looks: list[Callable[[], None]] = [partial(verify, destination) for destination in draft.destinations]
    # Upload sessions that no blob used are ended meanwhile.
    looks += [destination.remote.close for destination in draft.destinations]
    if asks_tags:
        looks += [partial(find_free, *pair) for pair in _exact_writes(draft)]
    if level in {"pull", "deep"}:
        # The engine has one disk, and what it downloads from the first repository it has for the others.
        for look in looks:
            look()
    else:
        session.parallel(lambda look: look(), looks)
    first = proofs[draft.destinations[0].repository]
    session.progress.step(f"verified {level}: {first.verification.blobs} blobs")
    return replace(first, free=frozenset(free))


def _exact_writes(draft: ReleaseDraft) -> list[tuple[Destination, TagReference]]:
    destinations = {destination.repository: destination for destination in draft.destinations}
    moves = (move for move in draft.plan.moves if move.action.writes and move.kind is Kind.EXACT)
    return [(destinations[move.reference.repository], move.reference) for move in moves]


def _verify_in(session: Session, draft: ReleaseDraft, destination: Destination, content: Content, level: str) -> Proof:
    sources = [source for source in draft.sources if source.registry_home is destination.remote]
    proofs: list[Proof] = []

    def prove() -> None:
        known = {source.root.digest: source.root for source in sources if source.root}
        proofs.append(verify_content(session, destination.remote, content.digest, level, content, known))

    def compare() -> None:
        if level != "none" and destination.remote.is_signed_in:
            _read_as_stranger(session, destination, content)

    session.parallel(lambda work: work(), [prove, compare])
    return proofs[0]


def _read_as_stranger(session: Session, destination: Destination, content: Content) -> None:
    """What a public repository shows to everybody must be the same; a private one shows nothing."""
    try:
        head = session.remote(destination.repository, anonymous=True).head(content.digest)
    except PublishError:
        return
    if head is not None and head.digest != content.digest:
        raise VerificationFailed(f"{destination} shows strangers {head.digest} instead of {content.digest}")


def _smoke(session: Session, draft: ReleaseDraft, content: Content, proof: Proof) -> Proof:
    """Run what was pushed, from the registry by its digest; a broken image moves no tag."""
    from publisher.workflows.smoke.run import prove

    settings, repository = draft.job.settings.smoke, draft.job.repositories[0]
    assert settings is not None  # noqa: S101 - the caller's condition
    name = f"{session.engine_name(repository)}@{content.digest}"
    with session.engine.temporary_pull(name, session.engine_credential(repository)):
        report = prove(session, settings, name)
    return replace(proof, verification=replace(proof.verification, smoke=report))

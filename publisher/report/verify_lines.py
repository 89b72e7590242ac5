"""The lines to hand to whoever pulls a signed image: how `publish` and cosign check it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from publisher.model.attestation import PlannedSigning
from publisher.model.plan import Kind

if TYPE_CHECKING:
    from publisher.model.plan import Plan
    from publisher.model.receipt import Receipt

_IDENTITY: Final = re.compile(
    r"(https://[A-Za-z0-9_.~:/@+-]+|[A-Za-z0-9_.+-]+@[A-Za-z0-9.-]+) via (https://[A-Za-z0-9./-]+)"
)
"""What stands in a command line without any quotes; others' names are left to those who quote them."""


def verify_lines(receipt: Receipt) -> list[str]:
    """For `publish`, one for each repository; none where nothing was signed."""
    plan, signing, digest = receipt.plan, _signing_of(receipt), receipt.image.digest if receipt.image else None
    if plan is None or signing is None or digest is None:
        return []
    who = signing.identity if signing.by == "ci" else "cosign.pub"
    return [f"publish verify {name}@{digest} --signed-by {who}" for name in plan.images]


def cosign_lines(receipt: Receipt) -> list[str]:
    """For cosign 3, and cosign 2 where its form was written; none where the certificate's name isn't known."""
    plan, signing, digest = receipt.plan, _signing_of(receipt), receipt.image.digest if receipt.image else None
    who = _cosign_signer(receipt, signing) if signing else ""
    if plan is None or digest is None or not who:
        return []
    version = f" -a org.opencontainers.image.version={plan.version}" if _signs_version(plan) else ""
    return [f"cosign verify {who}{version} {name}@{digest}" for name in plan.images]


def _signing_of(receipt: Receipt) -> PlannedSigning | None:
    signing = receipt.plan.signing if receipt.plan else None
    return signing if isinstance(signing, PlannedSigning) and receipt.signatures else None


def _cosign_signer(receipt: Receipt, signing: PlannedSigning) -> str:
    if signing.by == "key":
        return "--key cosign.pub --private-infrastructure"
    signers = {one.signer for one in receipt.signatures or ()}
    identity = next(filter(None, map(_IDENTITY.fullmatch, sorted(signers))), None)
    return f"--certificate-identity {identity[1]} --certificate-oidc-issuer {identity[2]}" if identity else ""


def _signs_version(plan: Plan) -> bool:
    return plan.version is not None and any(move.kind is Kind.EXACT for move in plan.moves)

"""Plans and receipts as a step of GitHub Actions shows them: outputs, and a page for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from publisher.model.plan import Action, Kind, Plan, Plans
from publisher.model.receipt import Receipt, Receipts, State
from publisher.model.reference import Reference
from publisher.report.markdown import code, plain, rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def plan_outputs(document: Plan | Plans) -> dict[str, str]:
    """A plan's outputs; of several plans the lists follow one another and the version is the first one's."""
    plans = _plans(document)
    moves = [move for plan in plans for move in plan.moves]
    return {
        "version": next((plan.version for plan in plans if plan.version), ""),
        "tags": _lines(tag for plan in plans for tag in plan.tags),
        "digest": next((move.after for move in moves if move.after and move.action is not Action.KEEP), ""),
        "json": msgspec.json.encode(document).decode(),
        "labels": _lines(f"{key}={value}" for plan in plans for key, value in plan.labels.items()),
        "annotations": _lines(f"manifest:{key}={value}" for plan in plans for key, value in plan.annotations.items()),
        "moved": _lines(move.reference for move in moves if move.action.writes),
        "kept": _lines(move.reference for move in moves if move.action is Action.KEEP),
    }


def receipt_outputs(document: Receipt | Receipts) -> dict[str, str]:
    """A run's outputs; the plan's, with what was really moved."""
    receipts = document.receipts if isinstance(document, Receipts) else (document,)
    plans = [receipt.plan for receipt in receipts if receipt.plan]
    changes = [change for receipt in receipts for change in receipt.moves]
    planned = plan_outputs(Plans(plans={str(at): plan for at, plan in enumerate(plans)})) if plans else {}
    return {
        **planned,
        "digest": next((receipt.image.digest for receipt in receipts if receipt.image), ""),
        "json": msgspec.json.encode(document).decode(),
        "receipt": _lines(receipt.id for receipt in receipts),
        "moved": _lines(change.reference for change in changes if change.state.is_written),
        "kept": _lines(change.reference for change in changes if change.state is State.KEPT),
    }


def _plans(document: Plan | Plans) -> tuple[Plan, ...]:
    return tuple(document.plans.values()) if isinstance(document, Plans) else (document,)


def _lines(found: Iterable[str]) -> str:
    return "\n".join(dict.fromkeys(found))


def plan_summary(document: Plan | Plans) -> list[str]:
    """What a release would do, with a picture of where the floating tags point before and after."""
    lines: list[str] = []
    for plan in _plans(document):
        lines += [f"### Plan for {code(plan.release or plan.version or 'nothing')}", ""]
        lines += _moves(
            ("tag", "from", "to", "action", "reason"), [_planned(plan, at) for at in range(len(plan.moves))]
        )
        lines += _picture([(move.tag, move.kind, move.version, move.action.writes) for move in plan.moves])
        lines += [f"> **Warning:** {plain(warning)}\n" for warning in plan.warnings]
    return lines


def _planned(plan: Plan, at: int) -> tuple[str, ...]:
    move = plan.moves[at]
    return (_name(move.reference), _short(move.before), _short(move.after), str(move.action), plain(move.reason))


def receipt_summary(document: Receipt | Receipts) -> list[str]:
    """What a run did: its moves, the digest to pin, what was verified, how long it took."""
    receipts = document.receipts if isinstance(document, Receipts) else (document,)
    return [line for receipt in receipts for line in _receipt(receipt)]


def _receipt(receipt: Receipt) -> list[str]:
    reasons = {move.reference: move.reason for move in receipt.plan.moves} if receipt.plan else {}
    table = [
        (
            _name(change.reference),
            _short(change.before),
            _short(change.after),
            f"{change.action} ({change.state})",
            plain(reasons.get(change.reference, "")),
        )
        for change in receipt.moves
    ]
    lines = [f"### {plain(receipt.command)}: {plain(receipt.outcome)}", ""]
    lines += [f"> **{plain(receipt.error.message)}**", ""] if receipt.error else []
    lines += _moves(("tag", "from", "to", "action", "reason"), table)
    return lines + _facts(receipt) + _picture([(_tag(one.reference), one.kind, one.version, one.state.is_written)
                                               for one in receipt.moves])  # fmt: skip


def _facts(receipt: Receipt) -> list[str]:
    facts: list[tuple[str, str]] = []
    if image := receipt.image:
        facts += [("digest", code(image.digest)), ("platforms", plain(", ".join(image.platforms)) or "one")]
        facts += [("size", f"{image.size / 1e6:.1f} MB")] if image.size else []
    if proof := receipt.verification:
        smoke = ", smoke run passed" if proof.smoke and proof.smoke.get("passed") else ""
        facts += [("verified", f"{plain(proof.level)}: {proof.blobs} blobs, pulled {plain(proof.pulled)}{smoke}")]
    facts += [("sent by", plain(receipt.via))] if receipt.via else []
    facts += [("time", f"{plain(receipt.started)} to {plain(receipt.finished or 'not finished')}")]
    facts += [("receipt", code(receipt.id))]
    return [*rows(("", ""), facts), ""]


def _moves(head: Sequence[str], table: Sequence[Sequence[str]]) -> list[str]:
    return [*rows(head, table), ""] if table else ["No tags.", ""]


def _name(reference: str) -> str:
    return code(Reference.parse(reference).familiar)


def _tag(reference: str) -> str:
    return str(Reference.parse(reference).tag or "")


def _short(digest: str | None) -> str:
    return code(digest.partition(":")[2][:12]) if digest else "-"


def _picture(tags: Sequence[tuple[str, Kind, str | None, bool]]) -> list[str]:
    """Floating tags and the versions that they point to: a thick arrow moved, a thin one stayed."""
    arrows = list(
        dict.fromkeys(
            f'  t{_id(tag)}("{tag}") {"==>" if moved else "-->"} v{_id(version)}["{_quoted(version)}"]'
            for tag, kind, version, moved in tags
            if kind is Kind.FLOATING and version
        )
    )
    return ["```mermaid", "flowchart LR", *arrows, "```", ""] if arrows else []


def _id(name: str) -> str:
    """Letters and digits that no other name gives."""
    return name.encode().hex()


def _quoted(text: str) -> str:
    return "".join(sign if sign.isalnum() or sign in ".+-!" else "?" for sign in text)

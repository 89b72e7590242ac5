"""Plans, receipts, status and verdicts as a page for people, in Markdown."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from publisher.model.documents import Status, Verdicts
from publisher.model.plan import Kind, Plan, Plans
from publisher.model.printable import printable
from publisher.model.receipt import Change, Failure, Receipt, Receipts
from publisher.report.outputs import receipts_in
from publisher.report.progress import size
from publisher.report.tag_tables import drift_text
from publisher.report.verify_lines import cosign_lines, verify_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from publisher.model.digest import Digest
    from publisher.model.plan import Move
    from publisher.model.reference import Reference, TagReference
    from publisher.report.outputs import Document


class Pointer(NamedTuple):
    """A floating tag; `before` and `after` are the versions that it points to, "" where it isn't there."""

    tag: str
    before: str
    after: str


def picture(pointers: Iterable[Pointer], *, before: str, after: str) -> list[str]:
    """Lines of Markdown: a thin arrow stays, a dotted one is given up, a thick one is new. Nothing for no tag.

    before, after: the words at the arrows.
    """
    present = [pointer for pointer in pointers if pointer.before or pointer.after]
    arrows = [line for pointer in present for line in _arrows(pointer, before, after)]
    return ["```mermaid", "flowchart LR", *dict.fromkeys(arrows), "```", ""] if present else []


def _arrows(pointer: Pointer, before: str, after: str) -> list[str]:
    tag = f'  t{_id(pointer.tag)}(["{_label_text(pointer.tag)}"])'
    if pointer.before == pointer.after:
        return [f"{tag} --> {_version(pointer.before)}"]
    lines = [f'{tag} -. "{before}" .-> {_version(pointer.before)}'] if pointer.before else []
    return lines + ([f'{tag} == "{after}" ==> {_version(pointer.after)}'] if pointer.after else [])


def _version(text: str) -> str:
    return f'v{_id(text)}["{_label_text(text)}"]'


def _id(name: str) -> str:
    """Letters and digits that no other name gives."""
    return name.encode().hex()


def _label_text(text: str) -> str:
    return "".join(sign if sign.isascii() and (sign.isalnum() or sign in "_.+-! ") else "?" for sign in text)


_MARKS: Final = re.compile(r"([\\`*_{}\[\]()#+!|~@:-])")
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def plain(text: str) -> str:
    """Words only: no links, images, HTML, mentions, and one line."""
    safe = printable(text).replace("\n", " ").replace("\t", " ")
    return "".join(_ENTITIES.get(sign, sign) for sign in _MARKS.sub(r"\\\1", safe))


def code(text: str) -> str:
    """A code span; its fence is longer than any run of backticks within."""
    safe = printable(text).replace("\n", " ").replace("|", "\\|")
    longest = max((len(run) for run in re.findall(r"`+", safe)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if safe.startswith("`") or safe.endswith("`") else ""
    return f"{fence}{pad}{safe}{pad}{fence}"


def rows(head: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    """A table; cells are Markdown already."""
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return lines + [f"| {' | '.join(row)} |" for row in body]


_MOVES = ("tag", "from", "to", "action", "reason")


def summary_of(
    document: Document,
    versions: Mapping[Digest, str] | None = None,
    timings: Mapping[str, float] | None = None,
    images: Mapping[str, str] | None = None,
) -> list[str]:
    """The page's lines. versions: which version a digest is, as far as was seen. timings: seconds by step.

    images: the names of `[images.NAME]`, by receipt.
    """
    names = versions or {}
    match document:
        case Plan():
            return _plan(document, _repositories(document.images), names)
        case Plans():
            return [line for name, plan in document.plans.items() for line in _plan(plan, name, names)]
        case Receipt() | Receipts():
            titles = images or {}
            return [
                line
                for receipt in receipts_in(document)
                for line in _receipt(receipt, titles.get(receipt.id, ""), names, timings or {})
            ]
        case Status():
            return _status(document)
        case Verdicts():
            return _verdicts(document)
        case Failure():
            return _failure(document)


def _repositories(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _title(*words: str | None) -> list[str]:
    return [f"### {plain(' '.join(word for word in words if word))}", ""]


# A plan.


def _plan(plan: Plan, image: str, versions: Mapping[Digest, str]) -> list[str]:
    names = {**versions, **_exact((move.kind, move.after, move.version) for move in plan.moves)}
    rehearsal = "(rehearsal)" if plan.sandbox is True else ""
    lines = _title("Plan for", image, plan.release or plan.version or "nothing", rehearsal)
    counts = Counter(str(move.action) for move in plan.moves)
    lines += [_tally(counts), "", *_table(_MOVES, [_plan_row(move, names) for move in plan.moves])]
    if not plan.images and plan.tags:
        lines += [" ".join(map(code, plan.tags)), ""]
    lines += _pictures([(move.reference, move.kind, _aim(move, names)) for move in plan.moves], after="after")
    return lines + [f"> **Warning:** {plain(warning)}\n" for warning in plan.warnings]


def _plan_row(move: Move, names: Mapping[Digest, str]) -> tuple[str, ...]:
    then = _digest_cell(move.after, names) if move.after else plain(move.version or "-") if move.action.writes else "-"
    return (_name(move.reference), _digest_cell(move.before, names), then, str(move.action), plain(move.reason))


def _aim(move: Move, names: Mapping[Digest, str]) -> Pointer:
    """Where a plan's tag points; what isn't known to be a version is called by its digest."""
    before = _label(move.before, names)
    if not move.action.writes:
        return Pointer(move.tag, before, before)
    return Pointer(move.tag, before, move.version or _label(move.after, names) or "this build")


# A receipt.


def _receipt(receipt: Receipt, image: str, versions: Mapping[Digest, str], timings: Mapping[str, float]) -> list[str]:
    changes, plan = receipt.moves, receipt.plan
    names = {**versions, **_exact((change.kind, change.after, change.version) for change in changes)}
    reasons = {change.reference: _reason(receipt.command, change) for change in changes}
    reasons |= {move.reference: move.reason for move in plan.moves} if plan else {}
    rehearsal = "(rehearsal)" if receipt.sandbox is True else ""
    name = (plan.release or plan.version) if plan else None
    image = image or _repositories(
        plan.images if plan else (change.reference.repository.familiar for change in changes)
    )
    lines = _title(receipt.command, image, name, f"- {receipt.outcome}", rehearsal)
    lines += [f"> **{plain(receipt.error.message)}**", ""] if receipt.error else []
    lines += [_tally(Counter(str(change.state) for change in changes)), ""]
    lines += _table(_MOVES, [_change_row(change, reasons, names) for change in changes])
    lines += [*rows(("", ""), _facts(receipt, timings)), ""]
    pointers = [
        (
            change.reference,
            change.kind,
            Pointer(str(change.reference.tag), _label(change.before, names), _label(change.after, names)),
        )
        for change in changes
    ]
    return lines + _pictures(pointers, after="now")


def _change_row(change: Change, reasons: Mapping[TagReference, str], names: Mapping[Digest, str]) -> tuple[str, ...]:
    return (
        _name(change.reference),
        _digest_cell(change.before, names),
        _digest_cell(change.after, names),
        f"{change.action} ({change.state})",
        plain(reasons.get(change.reference, "")),
    )


def _reason(command: str, change: Change) -> str:
    """Why a command that makes no plan writes a tag."""
    match command, change.kind:
        case "retag", _:
            return "asked for by hand"
        case "undo", _:
            return "back to where it was before"
        case "yank", Kind.REF:
            return f"marks {change.version} as yanked, or no longer so"
        case _, Kind.FLOATING if change.version:
            return f"it belongs to {change.version}, the newest version that it can point to"
        case _:
            return ""


def _facts(receipt: Receipt, timings: Mapping[str, float]) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = []
    if image := receipt.image:
        repositories = receipt.plan.images if receipt.plan else ()
        facts += [("to pin", code(f"{repository}@{image.digest}")) for repository in repositories]
        facts += [("digest", code(str(image.digest)))]
        facts += [("to verify", code(line)) for line in (*verify_lines(receipt), *cosign_lines(receipt))]
        facts += [("platforms", plain(", ".join(image.platforms)))] if image.platforms else []
        facts += [("size", size(image.size))] if image.size else []
    if proof := receipt.verification:
        smoke = ", smoke run passed" if proof.smoke and proof.smoke.get("passed") else ""
        read = f", {size(proof.bytes)} read" if proof.bytes else ""
        pulled = f", pulled {plain(proof.pulled)}" if proof.pulled != "none" else ""
        blobs = f": {proof.blobs} blobs" if proof.blobs else ""
        facts += [("verified", f"{plain(proof.level)}{blobs}{read}{pulled}{smoke}")]
    facts += [("sent by", plain(receipt.via))] if receipt.via else []
    facts += [("sent by", "nobody: the same image was there already")] if receipt.adopted else []
    return [*facts, ("time", _time(receipt, timings)), ("receipt", code(receipt.id))]


def _time(receipt: Receipt, timings: Mapping[str, float]) -> str:
    if not receipt.finished:
        return f"{plain(receipt.started)}, not finished"
    if timings:
        steps = ", ".join(f"{plain(step)} {seconds:.1f} s" for step, seconds in timings.items())
        return f"{sum(timings.values()):.1f} s: {steps}; ended {plain(receipt.finished)}"
    seconds = (datetime.fromisoformat(receipt.finished) - datetime.fromisoformat(receipt.started)).total_seconds()
    return f"{seconds:.0f} s; ended {plain(receipt.finished)}"


# Status, verdicts, errors.


def _status(status: Status) -> list[str]:
    count = len(status.drifted)
    lines = _title("Status -", f"{drift_text(count)} not in place" if count else "every floating tag is true")
    for repository in status.repositories:
        names = {line.desired: line.version for line in repository.floating if line.desired and line.version}
        names |= {version.digest: version.version for version in repository.versions if version.digest}
        yanked_versions = [version.version for version in repository.versions if version.yanked]
        count = len(repository.versions) + repository.omitted
        text = (
            "nothing is published there yet"
            if repository.is_empty
            else f"{count} versions" + (f", yanked: {', '.join(yanked_versions)}" if yanked_versions else "")
        )
        lines += [f"{code(repository.repository.familiar)}: {plain(text)}", ""]
        table = [
            (code(line.tag), _digest_cell(line.digest, names), _digest_cell(line.desired, names), str(line.state))
            for line in repository.floating
        ]
        lines += _table(("tag", "holds", "belongs to", "state"), table)
        pointers = [Pointer(line.tag, _label(line.digest, names), line.version or "") for line in repository.floating]
        lines += picture(pointers, before="holds", after="belongs")
    return lines


def _verdicts(verdicts: Verdicts) -> list[str]:
    counts = Counter(str(verdict.state) for verdict in verdicts.results)
    table = [
        (
            str(verdict.state),
            _name(verdict.reference),
            _short(verdict.digest),
            plain(", ".join(verdict.platforms)),
            plain(verdict.detail),
        )
        for verdict in verdicts.results
    ]
    head = ("state", "reference", "digest", "platforms", "detail")
    return [*_title("Verify -", _tally(counts)), *_table(head, table)]


def _failure(failure: Failure) -> list[str]:
    lines = [*_title("Failed"), f"> **{plain(failure.message)}**", ""]
    facts = [("about", code(failure.reference))] if failure.reference else []
    facts += [("next", plain(failure.hint))] if failure.hint else []
    return [*lines, *rows(("", ""), [*facts, ("exit code", f"{failure.code} ({plain(failure.kind)})")]), ""]


def build_summary(name: str, *, seconds: float, steps: int, cached: int, notes: Iterable[str]) -> list[str]:
    """What was built. notes: where the cache ended, and what the Dockerfile could do better."""
    facts = f"{steps} steps, {cached} of them from the cache, in {seconds:.1f} s"
    return [*_title("Build", name), facts, "", *(f"- {plain(note)}" for note in notes), ""]


# Parts.


def _tally(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in counts.items()) or "no tags"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    return [*rows(head, body), ""] if body else []


def _pictures(pointers: Iterable[tuple[TagReference, Kind, Pointer]], *, after: str) -> list[str]:
    """One for each repository, but for those that look the same."""
    repositories: dict[tuple[str, ...], list[str]] = {}
    floating = ((reference, pointer) for reference, kind, pointer in pointers if kind is Kind.FLOATING)
    for repository, group in groupby(floating, lambda entry: entry[0].repository.familiar):
        lines = picture([pointer for _reference, pointer in group], before="before", after=after)
        repositories.setdefault(tuple(lines), []).append(repository)
    return [line for lines, names in repositories.items() if lines for line in (" ".join(map(code, names)), "", *lines)]


def _exact(entries: Iterable[tuple[Kind, Digest | None, str | None]]) -> dict[Digest, str]:
    """Which version a digest is, by the exact tags of a document."""
    return {digest: version for kind, digest, version in entries if kind is Kind.EXACT and digest and version}


def _label(digest: Digest | None, names: Mapping[Digest, str]) -> str:
    """What a digest is called in a picture."""
    return names.get(digest) or digest.short if digest else ""


def _digest_cell(digest: Digest | None, names: Mapping[Digest, str]) -> str:
    """A digest in a table, behind the version that it is."""
    version = f"{plain(names[digest])} " if digest and digest in names else ""
    return version + _short(digest)


def _name(reference: Reference) -> str:
    return code(reference.familiar)


def _short(digest: Digest | None) -> str:
    return code(digest.short) if digest else "-"

"""What a step of GitHub Actions hands on: fixed names, lists one a line, the whole document as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.codec import encode
from publisher.model.documents import Status, Verdicts, VerdictState
from publisher.model.plan import Action, Plan, Plans
from publisher.model.receipt import Failure, Receipt, Receipts, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Document = Plan | Plans | Receipt | Receipts | Status | Verdicts | Failure


def outputs_of(document: Document, names: Mapping[str, str] | None = None) -> dict[str, str]:
    """The outputs that make sense for a document; `json` always is one. names: of `[images.NAME]`, by receipt."""
    json = {"json": encode(document).decode()}
    match document:
        case Plan() | Plans():
            outputs = _of_plans(plans_in(document))
        case Receipt() | Receipts():
            outputs = _of_receipts(receipts_in(document))
        case Status():
            outputs = _of_status(document)
        case Verdicts():
            outputs = _of_verdicts(document)
        case Failure():
            return json
    if isinstance(document, Status | Verdicts):
        return outputs | {"tag-names": _lines(_tag_names(outputs["tags"].splitlines()))} | json
    images = {name: _of_image(entry) for name, entry in images_in(document, names or {}).items()}
    of_all = {"tag-names": _lines(_tag_names(outputs["tags"].splitlines())), "images": encode(images).decode()}
    return outputs | of_all | json


def images_in(document: Plan | Plans | Receipt | Receipts, names: Mapping[str, str]) -> dict[str, Plan | Receipt]:
    """Each image's own document by the image's name, where it has none by its first repository."""
    if isinstance(document, Plan | Plans):
        return dict(document.plans) if isinstance(document, Plans) else {image_title(document): document}
    return {names.get(receipt.id) or image_title(receipt): receipt for receipt in receipts_in(document)}


def image_title(document: Plan | Receipt) -> str:
    """What an image without a name of its own is called: by its first repository, "" where there is none."""
    plan = document if isinstance(document, Plan) else document.plan
    if plan:
        return next(iter(plan.images), "")
    return next((move.reference.repository.familiar for move in document.moves), "")


def _of_image(document: Plan | Receipt) -> dict[str, object]:
    """The outputs of one image, lists as lists."""
    if isinstance(document, Plan):
        outputs, repositories = _of_plans((document,)), document.images
    else:
        outputs, repositories = _of_receipts((document,)), document.plan.images if document.plan else ()
    tags = outputs["tags"].splitlines()
    single = {key: outputs[key] for key in ("version", "digest", "imageid", "receipt", "signer") if key in outputs}
    lists = {"tags": tags, "tag-names": _tag_names(tags), "repositories": list(repositories)}
    lists |= {key: outputs[key].splitlines() for key in ("moved", "kept")}
    return {str(key): value for key, value in (*single.items(), *lists.items())}


def _tag_names(tags: Iterable[str]) -> list[str]:
    """Tags without the repositories that they are in, each once."""
    return list(dict.fromkeys(tag.rpartition(":")[2] for tag in tags))


def plans_in(document: Plan | Plans) -> tuple[Plan, ...]:
    """One plan or several."""
    return tuple(document.plans.values()) if isinstance(document, Plans) else (document,)


def receipts_in(document: Receipt | Receipts) -> tuple[Receipt, ...]:
    """One receipt or several."""
    return document.receipts if isinstance(document, Receipts) else (document,)


def _of_plans(plans: Sequence[Plan]) -> dict[str, str]:
    """Of several plans the lists follow one another, and the version is the first one's."""
    moves = [move for plan in plans for move in plan.moves]
    return {
        "version": next((plan.version for plan in plans if plan.version), ""),
        "tags": _lines(tag for plan in plans for tag in plan.tags),
        "digest": str(next((move.after for move in moves if move.after and move.action is not Action.KEEP), "")),
        "labels": _lines(f"{key}={value}" for plan in plans for key, value in plan.labels.items()),
        "annotations": _lines(f"manifest:{key}={value}" for plan in plans for key, value in plan.annotations.items()),
        "moved": _lines(move.reference for move in moves if move.action.writes),
        "kept": _lines(move.reference for move in moves if move.action is Action.KEEP),
    }


def _of_receipts(receipts: tuple[Receipt, ...]) -> dict[str, str]:
    """The plan's, with what was really moved; without a plan the tags are those that hold what was asked for."""
    changes = [change for receipt in receipts for change in receipt.moves]
    plans = [receipt.plan for receipt in receipts if receipt.plan]
    tags = {"tags": _lines(change.reference.familiar for change in changes if change.state.is_known)}
    return {
        **(_of_plans(plans) if plans else tags),
        "digest": str(next((receipt.image.digest for receipt in receipts if receipt.image), "")),
        "imageid": str(
            next((receipt.image.config or receipt.image.digest for receipt in receipts if receipt.image), "")
        ),
        "receipt": _lines(receipt.id for receipt in receipts),
        **_signer(receipts),
        "moved": _lines(change.reference for change in changes if change.state.is_written),
        "kept": _lines(change.reference for change in changes if change.state is State.KEPT),
    }


def _signer(receipts: Sequence[Receipt]) -> dict[str, str]:
    """Who has signed, where somebody has: a project as `verify --signed-by` takes it, or a key's fingerprint."""
    plans = [receipt.plan for receipt in receipts if receipt.plan and receipt.signatures]
    signed = [plan.signing.identity for plan in plans if plan.signing]
    return {"signer": signed[0]} if signed else {}


def _of_status(status: Status) -> dict[str, str]:
    """The newest version of the first repository; the floating tags that are where they belong."""
    versions = (version for repository in status.repositories for version in repository.versions)
    first = next((version for version in versions if not version.yanked), None)
    tags = (
        f"{repository.repository.familiar}:{line.tag}"
        for repository in status.repositories
        for line in repository.floating
        if line.state == "ok"
    )
    return {
        "version": first.version if first else "",
        "digest": str(first.digest or "") if first else "",
        "tags": _lines(tags),
    }


def _of_verdicts(verdicts: Verdicts) -> dict[str, str]:
    """The references that are what they should be, and the digest of the first that was found."""
    equal = [verdict for verdict in verdicts.results if verdict.state is VerdictState.EQUAL]
    return {
        "digest": str(next((verdict.digest for verdict in verdicts.results if verdict.digest), "")),
        "tags": _lines(verdict.reference.familiar for verdict in equal),
    }


def _lines(entries: Iterable[object]) -> str:
    return "\n".join(dict.fromkeys(map(str, entries)))

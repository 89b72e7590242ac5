"""What the sandbox's own page shows: repositories, the last run and its requests."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

from publisher.model.reference import described_digest
from publisher.sandbox.hub_views import tag_shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from publisher.model.receipt import Receipt
    from publisher.sandbox.store import Store

_SIGNED: Final = re.compile(r"sigstore|cosign")
_REQUESTS: Final = 25
_RUNS: Final = 200
_OWN: Final = "/_sandbox/"


class RunHistory(Protocol):
    """The runs that clients of the sandbox have kept, and their picture."""

    def receipts(self) -> Iterator[Receipt]:
        """The newest first, read one by one."""

    def picture(self, receipts: Sequence[Receipt]) -> str:
        """Which version each floating tag pointed to, over time, as SVG; "" where nothing was written."""


class Page:
    """The documents that the page asks for."""

    def __init__(self, store: Store, history: RunHistory | None) -> None:
        self._store, self._history = store, history

    def repositories(self) -> dict[str, Any]:
        """Each repository's tags, with all that is known of them."""
        return {name: self._tags(name, tags) for name, tags in self._store.state().items()}

    def last(self, requests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """What the last run changed, and the newest of `requests` that clients of the registry made."""
        receipt = next(self._receipts(), None)
        foreign = (entry for entry in reversed(requests) if not _is_own_page(entry["path"]))
        return {"run": _run_shape(receipt) if receipt else None, "requests": list(islice(foreign, _REQUESTS))}

    def picture(self) -> str:
        """The picture of the tags over time; "" where there is none."""
        return self._history.picture(tuple(islice(self._receipts(), _RUNS))) if self._history else ""

    def _tags(self, name: str, tags: Mapping[str, str]) -> list[dict[str, Any]]:
        beside = {digest for tag in tags if (digest := described_digest(tag))}
        return [self._tag(name, tag, beside) for tag in tags if described_digest(tag) is None]

    def _tag(self, name: str, tag: str, beside: set[str]) -> dict[str, Any]:
        shape = tag_shape(self._store, name, tag)
        digest = self._store.latest(name, tag)
        referrers = self._store.referrers(name, digest, None) if digest else []
        kinds = " ".join(str(entry.get("artifactType", "")) for entry in referrers)
        images = [image for image in shape["images"] if image["architecture"] != "unknown"]
        return {
            "tag": tag,
            "digest": str(digest),
            "size": shape["full_size"],
            "platforms": ["/".join(filter(None, (one["os"], one["architecture"], one["variant"]))) for one in images],
            "pushed": shape["tag_last_pushed"],
            "signed": str(digest) in beside or _SIGNED.search(kinds) is not None,
        }

    def _receipts(self) -> Iterator[Receipt]:
        """Those of this sandbox, the newest first: what they wrote is here, or was before they deleted it."""
        receipts = self._history.receipts() if self._history else ()
        return (receipt for receipt in receipts if self._is_own(receipt))

    def _is_own(self, receipt: Receipt) -> bool:
        digests = {change.after or change.before for change in receipt.moves if change.state.is_written} - {None}
        return any(self._store.holds_manifest(digest) for digest in digests if digest)


def _run_shape(receipt: Receipt) -> dict[str, Any]:
    version = receipt.plan.release or receipt.plan.version if receipt.plan else None
    moves = [
        {
            "reference": change.reference.familiar,
            "before": str(change.before or ""),
            "after": str(change.after or ""),
            "state": str(change.state),
        }
        for change in receipt.moves
    ]
    return {
        "id": receipt.id,
        "command": receipt.command,
        "version": version or "",
        "outcome": str(receipt.outcome),
        "started": receipt.started,
        "moves": moves,
    }


def _is_own_page(path: str) -> bool:
    return path == "/" or path.startswith((_OWN, "/favicon"))

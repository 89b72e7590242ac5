"""Which layer stands under which name, in the archives that engines before 25 write."""

from __future__ import annotations

import hashlib
from itertools import product
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.model.digest import Digest

_DOCUMENT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MADE_LATER = ("id", "parent")


def chain_ids(diff_ids: Sequence[Digest]) -> tuple[str, ...]:
    """The chainID of each layer with all below it. Source: OCI image-spec, "Layer ChainID"."""
    chain: list[str] = []
    for diff_id in diff_ids:
        below = chain[-1] if chain else None
        text = f"{below} {diff_id}"
        chain.append(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" if below else str(diff_id))
    return tuple(chain)


def find_layer(document: bytes, chain: Sequence[str]) -> int | None:
    """The place in `chain` of the layer whose `json` file in an archive this is; None where it can't be told.

    The layer's name there is the hash of that file's fields with the layer's chainID and its parent's name among
    them, so the right place is the one whose hash is the name: nothing is taken on trust.
    Source: moby 20.10, image/v1/imagev1.go, CreateID; and image/tarexport/save.go, which sets `os` after hashing,
    but for the topmost layer.
    """
    try:
        fields = _DOCUMENT.decode(document)
        name = msgspec.json.decode(fields["id"], type=str)
        parent = msgspec.json.decode(fields["parent"], type=str) if "parent" in fields else ""
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError):
        return None
    known = {key: bytes(value) for key, value in fields.items() if key not in _MADE_LATER}
    if parent:
        known["parent"] = b'"sha256:%s"' % parent.encode()
    for place, with_os in product(range(len(chain)), (False, True)):
        if _name(known, chain[place], with_os=with_os) == name:
            return place
    return None


def _name(known: dict[str, bytes], chain_id: str, *, with_os: bool) -> str:
    """Go writes a map's keys sorted, and raw values as they are."""
    fields = {**known, "layer_id": b'"%s"' % chain_id.encode()}
    if not with_os:
        fields.pop("os", None)
    written = b",".join(b'"%s":%s' % (key.encode(), fields[key]) for key in sorted(fields))
    return hashlib.sha256(b"{%s}" % written).hexdigest()

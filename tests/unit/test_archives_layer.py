"""Names of layers in the archives of engines before 25."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from publisher.archives.layer import chain_ids, find_layer
from publisher.model.digest import Digest

DIFFS = tuple(Digest.of(str(number).encode()) for number in range(3))
CHAIN = chain_ids(DIFFS)


def document(place: int, *, top: bool = False, **changed: object) -> bytes:
    """What the engine writes beside the layer at `place`: its name is the hash of the rest with its chainID."""
    fields: dict[str, object] = {"created": "2026-01-01T00:00:00Z", "container_config": {"Cmd": ["a<b"], "Env": None}}
    hashed = {**fields, "layer_id": CHAIN[place], **({"os": "linux"} if top else {})}
    if place:
        hashed["parent"] = "sha256:" + "ab" * 32
        fields["parent"] = "ab" * 32
    name = sha256(json.dumps(hashed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    return json.dumps({**fields, "os": "linux", "id": name, **changed}, separators=(",", ":")).encode()


def test_chain_ids_follow_the_specification() -> None:
    """The lowest is its diffID, each other one hashes the one below with its own."""
    assert CHAIN[0] == str(DIFFS[0])
    assert CHAIN[1] == f"sha256:{sha256(f'{DIFFS[0]} {DIFFS[1]}'.encode()).hexdigest()}"
    assert chain_ids(()) == ()


@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("place", range(3))
def test_a_layer_is_found_by_the_hash_of_its_document(place: int, top: bool) -> None:
    """Whether or not the engine hashed the operating system."""
    assert find_layer(document(place, top=top), CHAIN) == place


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(document(1, created="2026-01-02T00:00:00Z"), id="changed"),
        pytest.param(document(1, parent="cd" * 32), id="other-parent"),
        pytest.param(document(1, id=5), id="name-of-another-type"),
        pytest.param(b"{}", id="no-name"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"\xff", id="no-json"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b"", id="empty"),
    ],
)
def test_what_doesnt_fit_tells_nothing(content: bytes) -> None:
    """Then the layer's bytes tell what it is."""
    assert find_layer(content, CHAIN) is None

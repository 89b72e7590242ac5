"""Which way an engine's image goes: exported and sent by us, or pushed by the engine to a relay of ours."""

from __future__ import annotations

from typing import Final

from publisher.model.value import Value

# Bytes a second, measured with Docker Engine 20.10 on two cores; only what they are to each other matters here.
_EXPORT: Final = 160e6
"""`docker save`: the whole image, always, before its first byte comes."""
_SEND: Final = 400e6
"""Read, hashed, compressed and sent by us, uncompressed bytes, on top of the export."""
_ENGINE: Final = 35e6
"""Compressed and sent by the engine."""
_ENGINE_STARTS: Final = 0.2
"""Seconds to begin and end the engine's push."""
_EXPORT_LAYER: Final = 0.025
_ENGINE_LAYER: Final = 0.018
"""Seconds that each layer takes besides, however small."""


class Cargo(Value, frozen=True, kw_only=True):
    """What there is to bring over. All sizes are of uncompressed layers, in bytes.

    total: the whole image. missing: layers that the registry isn't thought to hold. fresh: layers that the engine
    would compress and send, since it doesn't know them by the registry's digests. layers, fresh_layers: how many.
    bar: why the engine can't push to a relay; "" where it can.
    """

    total: int
    missing: int
    fresh: int
    layers: int
    fresh_layers: int
    bar: str = ""


class Way(Value, frozen=True):
    """The way, "direct" or "engine", and why, in half a sentence."""

    name: str
    reason: str


def choose(cargo: Cargo) -> Way:
    """The cheaper way, by estimate."""
    if cargo.bar:
        return Way("direct", cargo.bar)
    direct = cargo.total / _EXPORT + cargo.layers * _EXPORT_LAYER + cargo.missing / _SEND
    engine = _ENGINE_STARTS + cargo.fresh / _ENGINE + cargo.fresh_layers * _ENGINE_LAYER
    compared = (
        f"about {direct:.1f} s for {_megabytes(cargo.total)} exported and {_megabytes(cargo.missing)} sent, "
        f"{engine:.1f} s for {_megabytes(cargo.fresh)} pushed by the engine"
    )
    return Way("engine" if engine < direct else "direct", compared)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"

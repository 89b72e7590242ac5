"""Which way an engine's image goes to a registry: exported and sent by us, or pushed by the engine."""

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


class TransferCost(Value, frozen=True, kw_only=True):
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


class TransferRoute(Value, frozen=True):
    """The route, "direct" or "engine", and why, in half a sentence."""

    name: str
    reason: str


def choose_route(cost: TransferCost) -> TransferRoute:
    """The cheaper route, by estimate."""
    if cost.bar:
        return TransferRoute("direct", cost.bar)
    direct = cost.total / _EXPORT + cost.layers * _EXPORT_LAYER + cost.missing / _SEND
    engine = _ENGINE_STARTS + cost.fresh / _ENGINE + cost.fresh_layers * _ENGINE_LAYER
    reason = (
        f"about {direct:.1f} s for {_megabytes(cost.total)} exported and {_megabytes(cost.missing)} sent, "
        f"{engine:.1f} s for {_megabytes(cost.fresh)} pushed by the engine"
    )
    return TransferRoute("engine" if engine < direct else "direct", reason)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"

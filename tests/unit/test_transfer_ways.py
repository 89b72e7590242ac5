"""The way an engine's image goes."""

from __future__ import annotations

import pytest

from publisher.transfer.reuse import TransferCost, choose

MB = 1_000_000


def cargo(
    total: float, missing: float, fresh: float, layers: int = 2, fresh_layers: int = 1, bar: str = ""
) -> TransferCost:
    """Sizes in MB."""
    sizes = {"total": int(total * MB), "missing": int(missing * MB), "fresh": int(fresh * MB)}
    return TransferCost(**sizes, layers=layers, fresh_layers=fresh_layers, bar=bar)


@pytest.mark.parametrize(
    ("given", "way"),
    [
        pytest.param(cargo(340, 340, 340), "direct", id="all-new"),
        pytest.param(cargo(340, 0, 340), "direct", id="engine-knows-nothing"),
        pytest.param(cargo(341, 1, 1), "engine", id="small-layer-on-a-known-base"),
        pytest.param(cargo(340, 0, 0, fresh_layers=0), "engine", id="nothing-new"),
        pytest.param(cargo(5, 1, 1), "direct", id="small-image"),
        pytest.param(cargo(0, 0, 0, layers=0, fresh_layers=0), "direct", id="no-layer"),
        pytest.param(cargo(0.1, 0.1, 0.1, layers=125, fresh_layers=125), "engine", id="many-layers"),
        pytest.param(cargo(100, 100, 100, layers=5, fresh_layers=5), "direct", id="noise"),
        pytest.param(cargo(341, 1, 1, bar="no loopback"), "direct", id="barred"),
    ],
)
def test_the_cheaper_way_is_taken(given: TransferCost, way: str) -> None:
    """The export always reads the whole image; the engine compresses what is fresh to it."""
    assert choose(given).name == way


def test_the_reason_tells_both_estimates() -> None:
    """Or what bars the engine."""
    expected = "about 2.2 s for 340.0 MB exported and 20.0 MB sent, 0.2 s for 1.0 MB pushed by the engine"
    assert choose(cargo(340, 20, 1)).reason == expected
    assert choose(cargo(340, 20, 1, bar="no loopback")).reason == "no loopback"

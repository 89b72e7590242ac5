"""The route of an engine's image."""

from __future__ import annotations

import pytest

from publisher.transfer.route import TransferCost, choose_route

MB = 1_000_000


def cost(
    total: float, missing: float, fresh: float, layers: int = 2, fresh_layers: int = 1, bar: str = ""
) -> TransferCost:
    """Sizes in MB."""
    sizes = {"total": int(total * MB), "missing": int(missing * MB), "fresh": int(fresh * MB)}
    return TransferCost(**sizes, layers=layers, fresh_layers=fresh_layers, bar=bar)


@pytest.mark.parametrize(
    ("transfer_cost", "route"),
    [
        pytest.param(cost(340, 340, 340), "direct", id="all-new"),
        pytest.param(cost(340, 0, 340), "direct", id="engine-knows-nothing"),
        pytest.param(cost(341, 1, 1), "engine", id="small-layer-on-a-known-base"),
        pytest.param(cost(340, 0, 0, fresh_layers=0), "engine", id="nothing-new"),
        pytest.param(cost(5, 1, 1), "direct", id="small-image"),
        pytest.param(cost(0, 0, 0, layers=0, fresh_layers=0), "direct", id="no-layer"),
        pytest.param(cost(0.1, 0.1, 0.1, layers=125, fresh_layers=125), "engine", id="many-layers"),
        pytest.param(cost(100, 100, 100, layers=5, fresh_layers=5), "direct", id="noise"),
        pytest.param(cost(341, 1, 1, bar="no loopback"), "direct", id="barred"),
    ],
)
def test_the_cheaper_route_is_taken(transfer_cost: TransferCost, route: str) -> None:
    """The export always reads the whole image; the engine compresses what is fresh to it."""
    assert choose_route(transfer_cost).name == route


def test_the_reason_tells_both_estimates() -> None:
    """Or what bars the engine."""
    expected = "about 2.2 s for 340.0 MB exported and 20.0 MB sent, 0.2 s for 1.0 MB pushed by the engine"
    assert choose_route(cost(340, 20, 1)).reason == expected
    assert choose_route(cost(340, 20, 1, bar="no loopback")).reason == "no loopback"

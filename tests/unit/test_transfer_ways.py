"""The way an engine's image goes."""

from __future__ import annotations

import pytest

from publisher.transfer.ways import Cargo, choose

MB = 1_000_000


@pytest.mark.parametrize(
    ("cargo", "way"),
    [
        pytest.param(Cargo(total=340 * MB, missing=340 * MB, fresh=340 * MB), "direct", id="all-new"),
        pytest.param(Cargo(total=340 * MB, missing=0, fresh=340 * MB), "direct", id="engine-knows-nothing"),
        pytest.param(Cargo(total=341 * MB, missing=MB, fresh=MB), "engine", id="small-layer-on-a-known-base"),
        pytest.param(Cargo(total=340 * MB, missing=0, fresh=0), "engine", id="nothing-new"),
        pytest.param(Cargo(total=5 * MB, missing=MB, fresh=MB), "direct", id="small-image"),
        pytest.param(Cargo(total=0, missing=0, fresh=0), "direct", id="no-layer"),
        pytest.param(Cargo(total=341 * MB, missing=MB, fresh=MB, bar="no loopback"), "direct", id="barred"),
    ],
)
def test_the_cheaper_way_is_taken(cargo: Cargo, way: str) -> None:
    """The export always reads the whole image; the engine compresses what is fresh to it."""
    assert choose(cargo).name == way


def test_the_reason_tells_both_estimates() -> None:
    """Or what bars the engine."""
    found = choose(Cargo(total=340 * MB, missing=20 * MB, fresh=MB))
    assert found.reason == ("about 2.2 s for 340.0 MB exported and 20.0 MB sent, 0.2 s for 1.0 MB pushed by the engine")
    assert choose(Cargo(total=1, missing=1, fresh=1, bar="no loopback")).reason == "no loopback"

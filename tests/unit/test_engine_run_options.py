"""Which smoke runs can't go on side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from publisher.engine.run_options import RunOptions
from publisher.model.settings import SmokeSettings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        pytest.param({"ports": ("80",)}, {"ports": ("80",)}, True, id="free-ports"),
        pytest.param({"ports": ("8080:80",)}, {"ports": ("8080:90",)}, False, id="the-same-port-here"),
        pytest.param({"ports": ("8080:80",)}, {"ports": ("8081:80",)}, True, id="other-ports-here"),
        pytest.param({"ports": ("53:53/udp",)}, {"ports": ("53:53",)}, True, id="other-protocols"),
        pytest.param({"network": "host"}, {"network": "host"}, False, id="the-machines-network"),
        pytest.param({"volumes": ("data:/data",)}, {"volumes": ("data:/data",)}, True, id="volumes-have-the-runs-name"),
        pytest.param({"volumes": (".:/data",)}, {"volumes": (".:/data",)}, False, id="a-folder-to-write-to"),
        pytest.param({"volumes": (".:/data:ro",)}, {"volumes": (".:/data:ro",)}, True, id="a-folder-to-read"),
    ],
)
def test_claims(first: dict[str, object], second: dict[str, object], together: bool, tmp_path: Path) -> None:
    """Images that are released side by side run so too, but for those that want the same thing of the machine."""
    claims = [
        RunOptions.of(SmokeSettings(**settings), "app", f"run-{number}", tmp_path, {}).claims  # type: ignore[arg-type]
        for number, settings in enumerate((first, second))
    ]
    assert claims[0].isdisjoint(claims[1]) is together

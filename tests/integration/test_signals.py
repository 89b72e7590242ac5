"""Signals: 130 and 143, no traceback, and a receipt that tells the truth."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.layout import make_layout

if TYPE_CHECKING:
    from tests.support.command import Publish


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_in_the_middle_of_a_promotion(number: int, code: int, publish: Publish, tmp_path: Path) -> None:
    """A run that is stopped while a tag doesn't get through ends with the signal's code, and keeps its receipt."""
    from publisher.sandbox.server import Sandbox

    make_layout(tmp_path / "layout", "app")
    words = ["release", f"oci:{tmp_path / 'layout'}", "--image", "me/app", "--version", "1.0.0", "-y"]
    with Sandbox(faults=["PUT /manifests/latest every 503"]) as sandbox:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("publish")), *words],
            env={**publish.environ, "PUBLISH_SANDBOX": sandbox.url},
            cwd=publish.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        _wait_for(sandbox.requests, "/manifests/latest")
        process.send_signal(number)
        _out, told = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in told
    receipt = json.loads(next((publish.home / "state").rglob("*.json")).read_text())
    states = {move["reference"].rpartition(":")[2]: move["state"] for move in receipt["moves"]}
    assert states["1.0.0"] == "done"
    assert states["latest"] != "done"
    assert receipt["outcome"] == "incomplete"


def test_a_write_under_way_is_finished_and_no_other_begins(publish: Publish, tmp_path: Path) -> None:
    """A signal while a tag's answer is awaited: the write ends, the receipt says so, and nothing more is written."""
    from publisher.sandbox.server import Sandbox

    make_layout(tmp_path / "layout", "app")
    words = ["release", f"oci:{tmp_path / 'layout'}", "--image", "me/app", "--version", "1.0.0", "-y"]
    with Sandbox(faults=["PUT /manifests/1.0.0 1st slow:2"]) as sandbox:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("publish")), *words],
            env={**publish.environ, "PUBLISH_SANDBOX": sandbox.url},
            cwd=publish.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        _wait_for(sandbox.requests, "/manifests/sha256:", method="GET")
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        _out, told = process.communicate(timeout=60)
        time.sleep(2)
        held = set(sandbox.store.state().get("me/app", {}))
    assert process.returncode == 143, told
    receipt = json.loads(next((publish.home / "state").rglob("*.json")).read_text())
    states = {move["reference"].rpartition(":")[2]: move["state"] for move in receipt["moves"]}
    assert {tag for tag, state in states.items() if state == "done"} == held == {"1.0.0"}


def _wait_for(requests: list[dict[str, object]], path: str, method: str = "PUT") -> None:
    deadline = time.monotonic() + 20
    while not any(path in str(request["path"]) and request["method"] == method for request in tuple(requests)):
        assert time.monotonic() < deadline
        time.sleep(0.02)

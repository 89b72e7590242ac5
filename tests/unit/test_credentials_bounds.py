"""What a credential helper can't make us spend: memory, time."""

from __future__ import annotations

import os
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from publisher.credentials.chain import Chain
from publisher.credentials.helper import ask_helper
from publisher.model.credential import Answer, Broken, Found
from publisher.model.errors import BrokenCredential

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """echo '{"Username":"ann","Secret":"s"}'"""


def ask(tmp_path: Path, script: str, seconds: float = 20) -> Answer:
    """Ask a helper that runs `script`."""
    path = tmp_path / "docker-credential-test"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return ask_helper("test", "reg.example", {"PATH": f"{tmp_path}:{os.defpath}"}, seconds=seconds)


def test_endless_output(tmp_path: Path) -> None:
    """A helper that never ends talking is ended, and what it said is not collected."""
    tracemalloc.start()
    try:
        answer = ask(tmp_path, "exec cat /dev/zero")
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(answer, Broken)
    assert "more than a credential" in answer.reason
    assert most < 8 << 20


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("sleep 20", id="silent"),
        pytest.param(f"{GOOD}; sleep 20", id="after-its-answer"),
        pytest.param("exec >&-; sleep 20", id="stdout-closed"),
        pytest.param("while :; do echo; sleep 0.1; done", id="drop-by-drop"),
    ],
)
def test_a_helper_that_does_not_end(tmp_path: Path, script: str) -> None:
    """Time is counted for the whole call, whatever it does meanwhile."""
    began = time.monotonic()
    answer = ask(tmp_path, script, 0.5)
    assert isinstance(answer, Broken)
    assert "did not answer within 0.5 s" in answer.reason
    assert time.monotonic() - began < 5


def test_a_helper_that_does_not_listen(tmp_path: Path) -> None:
    """It may close stdin unread."""
    assert isinstance(ask(tmp_path, f"exec <&-; sleep 0.2; {GOOD}"), Found)


def test_a_broken_source_is_asked_once() -> None:
    """Threads that wait for it all get the first one's answer."""

    class Slow:
        name = "slow"
        calls = 0

        def find(self, registry: str, repository: str = "") -> Answer:
            self.calls += 1
            time.sleep(0.05)
            return Broken("it hangs")

    source = Slow()
    chain = Chain([source])

    def find(_number: int) -> None:
        with pytest.raises(BrokenCredential, match="it hangs"):
            chain.find("reg.example")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(find, range(4)))
    assert source.calls == 1

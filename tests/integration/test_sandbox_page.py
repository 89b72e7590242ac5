"""The sandbox's page, in a real browser."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import TYPE_CHECKING

import requests

from publisher.sandbox.server import Sandbox
from tests.contracts.client import Client

if TYPE_CHECKING:
    from pathlib import Path

# Programs with root's rights get no sandbox of Chromium's own; a container has little shared memory.
_CHROMIUM = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")


def browse(folder: Path, *words: str) -> bytes:
    """Run Chromium with a profile of its own; what it prints."""
    command = [*_CHROMIUM, f"--user-data-dir={folder / 'profile'}", *words]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


def test_the_page_shows_tags_and_where_they_point(tmp_path: Path) -> None:
    """Each floating tag beside the version that it holds, drawn."""
    with Sandbox() as sandbox, Client(sandbox.url) as client:
        client.send_image("acme/app", "one", "1.0.0", "1.0")
        client.send_image("acme/app", "two", "1.1.0", "latest")
        shown = browse(tmp_path, "--virtual-time-budget=2000", "--dump-dom", f"{sandbox.url}/").decode()
        picture = tmp_path / "page.png"
        browse(tmp_path, "--virtual-time-budget=2000", f"--screenshot={picture}", f"{sandbox.url}/")
    assert "<h2>acme/app</h2>" in shown
    assert "<td>latest</td><td>1.1.0</td>" in shown
    assert "<td>1.0</td><td>1.0.0</td>" in shown
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 5_000


def test_the_page_is_live(tmp_path: Path) -> None:
    """A tag that moves while it is open is seen there."""
    with Sandbox() as sandbox, Client(sandbox.url) as client:
        client.send_image("acme/app", "one", "1.0.0", "latest")
        newer = client.make_image("acme/app", "two")

        def move() -> None:
            deadline = time.monotonic() + 30
            while not any(one["path"] == "/_sandbox/state" for one in sandbox.requests) and time.monotonic() < deadline:
                time.sleep(0.001)
            client.put("acme/app", "1.1.0", newer)
            client.put("acme/app", "latest", newer)

        mover = threading.Thread(target=move)
        mover.start()
        # Virtual time: the page asks each of its seconds as soon as the last answer is there.
        shown = browse(tmp_path, "--virtual-time-budget=120000", "--dump-dom", f"{sandbox.url}/").decode()
        mover.join()
    assert "<td>latest</td><td>1.1.0</td>" in shown


def test_the_page_is_no_way_in() -> None:
    """It can be framed by nobody, loads nothing from elsewhere, and answers to loopback names only."""
    with Sandbox() as sandbox:
        answer = requests.get(sandbox.url, timeout=10)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        policy = answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'self'" in policy
        assert requests.get(sandbox.url, headers={"Host": "evil.example"}, timeout=10).status_code == 403

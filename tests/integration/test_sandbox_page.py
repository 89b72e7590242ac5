"""The sandbox's page, in a real browser."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import requests

from publisher.cli.sandbox import KeptRuns
from publisher.sandbox.server import Sandbox
from tests.contracts.client import Client
from tests.support.layout import make_layout

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Publish

# Programs with root's rights get no sandbox of Chromium's own; a container has little shared memory.
_CHROMIUM = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")


def browse(folder: Path, *words: str) -> bytes:
    """Run Chromium with a profile of its own; what it prints."""
    command = [*_CHROMIUM, f"--user-data-dir={folder / 'profile'}", *words]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


def cells(page: str) -> list[list[str]]:
    """The texts of its tables' rows."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", page)
    return [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row)] for row in rows]


def test_the_page_shows_all_that_is_known(publish: Publish, tmp_path: Path) -> None:
    """Tags in the order of versions with size, platforms and time; what the last run changed; the tags over time."""
    history = KeptRuns(publish.home / "state" / "publish" / "sandbox")
    with Sandbox(history=history) as sandbox:
        environ = {"PUBLISH_SANDBOX": sandbox.url, "COSIGN_PASSWORD": ""}
        for version in ("1.9.0", "1.10.0"):
            make_layout(tmp_path / version, version, ("linux/amd64", "linux/arm64"))
            words = ("release", f"oci:{version}", "--image", "acme/app", "--version", version)
            assert publish(*words, cwd=tmp_path, environ=environ).code == 0
        shown = browse(tmp_path, "--virtual-time-budget=2000", "--dump-dom", f"{sandbox.url}/").decode()
        picture = tmp_path / "page.png"
        look = ("--virtual-time-budget=2000", "--window-size=500,2000", "--force-dark-mode")
        browse(tmp_path, *look, f"--screenshot={picture}", f"{sandbox.url}/")
        drawn = requests.get(f"{sandbox.url}/_sandbox/history.svg", timeout=10)
    rows = cells(shown)
    tags = [row for row in rows if len(row) == 6 and row[0] != "tag"]
    assert [row[0] for row in tags] == ["latest", "1", "1.10", "1.10.0", "1.9", "1.9.0"]
    assert tags[0][1] == "1.10.0"
    assert tags[0][3].endswith(" B")
    assert tags[0][4] == "linux/amd64, linux/arm64"
    assert tags[0][5]
    assert "<h2>The last run</h2>" in shown
    assert ["acme/app:latest", "1.9.0", "1.10.0", "done"] in rows
    assert 'src="/_sandbox/history.svg?' in shown
    assert drawn.headers["Content-Type"].startswith("image/svg+xml")
    assert "1.10.0" in drawn.text
    assert any(row[:1] == ["PUT"] and row[1] == "/v2/acme/app/manifests/latest" for row in rows)
    assert not any(row[1:2] == ["/_sandbox/state"] for row in rows)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 5_000


def test_the_page_says_what_is_signed(tmp_path: Path) -> None:
    """By a referrer, or by a tag beside the image; the tag itself is no row."""
    with Sandbox() as sandbox, Client(sandbox.url) as client:
        image = client.send_image("acme/app", "one", "1.0.0")
        client.send_image("acme/app", "two", "1.1.0")
        client.send_image("acme/app", "signature", f"sha256-{image.digest.hex}.sig")
        page = requests.get(f"{sandbox.url}/_sandbox/page", timeout=10).json()
    assert {row["tag"]: row["signed"] for row in page["acme/app"]} == {"1.0.0": True, "1.1.0": False}


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
        shown = browse(tmp_path, "--virtual-time-budget=60000", "--dump-dom", f"{sandbox.url}/").decode()
        mover.join()
    assert ["latest", "1.1.0"] in [row[:2] for row in cells(shown)]


def test_the_page_is_no_way_in() -> None:
    """It can be framed by nobody, loads nothing from elsewhere, and answers to loopback names only."""
    with Sandbox() as sandbox:
        answer = requests.get(sandbox.url, timeout=10)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        policy = answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'self'" in policy
        assert requests.get(sandbox.url, headers={"Host": "evil.example"}, timeout=10).status_code == 403

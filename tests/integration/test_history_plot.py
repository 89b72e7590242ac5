"""`publish history --plot`, of real releases, in a real browser."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from publisher.report.history_plot import history_svg
from publisher.sandbox.server import Sandbox
from tests.integration.test_sandbox_page import browse
from tests.support.layout import make_layout
from tests.support.receipts import year_of_receipts

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Publish

# Every word's box against the picture's, and a version's against its bar.
_MEASURE = """
<script>
const svg = document.querySelector("svg"), frame = svg.getBoundingClientRect(), out = [];
for (const text of svg.querySelectorAll("text")) {
  const box = text.getBoundingClientRect(), bar = text.parentNode.querySelector(":scope > rect");
  const within = text.parentNode.classList.contains("stay") ? bar.getBoundingClientRect() : frame;
  if (box.right > within.right + 1 || box.left < within.left - 1 || box.top < frame.top) out.push(text.textContent);
}
const seen = {out, texts: svg.querySelectorAll("text").length, page: getComputedStyle(svg.querySelector(".page")).fill};
document.body.innerHTML = "<pre>" + JSON.stringify(seen) + "</pre>";
</script>
"""


@pytest.mark.parametrize(
    ("scheme", "page"), [("1", "rgb(255, 255, 255)"), ("0", "rgb(13, 17, 23)")], ids=["light", "dark"]
)
def test_the_picture_in_a_browser(scheme: str, page: str, tmp_path: Path) -> None:
    """No word leaves the picture or its bar, and the page follows the reader's setting."""
    file = tmp_path / "page.html"
    file.write_text(f"<!doctype html><meta charset=utf-8><body>{history_svg(year_of_receipts())}{_MEASURE}</body>")
    settings = f"--blink-settings=preferredColorScheme={scheme}"
    shown = browse(tmp_path, settings, "--dump-dom", file.as_uri()).decode()
    found = re.search(r"<pre>(.*)</pre>", shown)
    assert found, shown
    seen = json.loads(found[1])
    assert seen["out"] == []
    assert seen["texts"] > 40
    assert seen["page"] == page


def test_plot(publish: Publish, tmp_path: Path) -> None:
    """Two releases and a yank, drawn; without any receipt, or where nothing can be written, an error says so."""
    with Sandbox() as sandbox:
        environ = {"PUBLISH_SANDBOX": sandbox.url}
        early = publish("history", "--plot", "x.svg", environ=environ)
        assert (early.code, "a release leaves one" in early.stderr.lower()) == (2, True)
        for version in ("1.0.0", "1.1.0"):
            make_layout(tmp_path / version, version)
            words = ("release", f"oci:{tmp_path / version}", "--image", "acme/app", "--version", version)
            assert publish(*words, environ=environ).code == 0
        assert publish("yank", "1.1.0", "--image", "acme/app", environ=environ).code == 0
        done = publish("history", "--plot", str(tmp_path / "tags.svg"), environ=environ)
        bad = publish("history", "--plot", "/nowhere/tags.svg", environ=environ)
    assert done.code == 0, done.stderr
    assert (done.stdout.startswith("receipt "), "tags.svg" in done.stderr) == (True, True)
    picture = (tmp_path / "tags.svg").read_text()
    assert all(word in picture for word in (">yank 1.1.0<", ">1.0.0<", ">latest<", ">acme/app<"))
    assert (bad.code, "can't be written" in bad.stderr) == (2, True)

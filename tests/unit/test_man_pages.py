"""The man pages are what click's own help says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from publisher.cli.program import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = {path.name: path.read_text() for path in (ROOT / "publisher" / "man").iterdir()}


def test_they_are_written_from_the_commands() -> None:
    """`scripts/man` writes them anew."""
    made: dict[str, str] = runpy.run_path(str(ROOT / "scripts" / "man"))["pages"]()
    assert {name: text for name, text in PAGES.items() if made.get(name) != text} == {}
    assert made.keys() == PAGES.keys() >= {f"publish-{name}.1" for name in COMMANDS}


def test_each_has_what_a_reader_looks_for() -> None:
    """A name for whatis, the options with their variables, examples; what begins with a dot is a request of man(7)."""
    requests = {".TH", ".SH", ".PP", ".TP", ".B", ".BR", ".nf", ".fi"}
    for name, text in PAGES.items():
        title = name.removesuffix(".1").replace("-", "\\-")
        assert f"\n.SH NAME\n{title} \\- " in text
        assert "\n.SH EXAMPLES\n.nf\n" in text, name
        assert {line.split()[0] for line in text.splitlines() if line.startswith((".", "'"))} <= requests, name
    release = PAGES["publish-release.1"]
    assert re.search(r"^\.B \\-\\-dry\\-run\n.*\nEnvironment: PUBLISH_RELEASE_DRY_RUN\.$", release, re.MULTILINE)


def test_every_group_has_examples() -> None:
    """That of all commands too."""
    for group in ("publish", "publish-hub", "publish-sandbox"):
        assert ".SH COMMANDS" in PAGES[f"{group}.1"]
        assert ".SH EXAMPLES" in PAGES[f"{group}.1"]

"""The page on architecture: its names are the code's, and a release goes the way that it describes."""

from __future__ import annotations

import inspect
import os
import re
import sys
import threading
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from publisher.cli.program import COMMANDS, run
from publisher.sandbox.server import Sandbox
from tests.support.layout import make_layout

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from types import CodeType, FrameType

    import pytest

    from tests.support.command import Publish

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
QUOTED = tuple(dict.fromkeys(re.findall(r"`([^`\n]+)`", PAGE)))
DOTTED = re.compile(r"[a-z_]+(?:\.\w+)+")


def find(name: str) -> Any:
    """What a dotted name of the page stands for: a module, or what stands in one; raises where there is nothing."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: Any = import_module(".".join(["publisher", *parts[:end]]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"{name}: no such module")


def is_path(text: str) -> bool:
    return "/" in text or text.endswith((".toml", ".md", ".py"))


def test_every_quoted_name_exists() -> None:
    """Each is a path, a name in the code, a command, or a table of the configuration."""
    for text in QUOTED:
        if is_path(text) and " " not in text:
            assert (ROOT / text).exists() or (ROOT / "publisher" / text).exists(), text
        elif DOTTED.fullmatch(text):
            assert find(text) is not None, text
        else:
            assert text == "[smoke]" or text.removeprefix("publish ").split()[0] in COMMANDS, text


def test_every_room_is_listed() -> None:
    """The folders of the package, and no other."""
    rooms = {f"publisher/{path.parent.name}/" for path in (ROOT / "publisher").glob("*/__init__.py")}
    listed = set(re.findall(r"`(publisher/\w+/)`", PAGE[PAGE.index("| room |") : PAGE.index("What workflows")]))
    assert listed == rooms


def test_it_is_one_page() -> None:
    """It is read first, so it is short."""
    assert len(PAGE.splitlines()) <= 100


# The way of a release.

WAY = PAGE[PAGE.index("## The way of a release") : PAGE.index("## Where a new thing goes")]


def code_of(name: str) -> CodeType:
    found = find(name)
    function: Any = found.callback if isinstance(found, click.Command) else found
    code: CodeType = inspect.unwrap(function).__code__
    return code


@contextmanager
def recorded(codes: Collection[CodeType]) -> Iterator[list[CodeType]]:
    """Those of the functions that are called within the block, in all threads, in their order."""
    called: list[CodeType] = []

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code in codes:
            called.append(frame.f_code)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def test_a_release_goes_this_way(publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions are called in the order in which the page names them."""
    names = [name for name in re.findall(r"`([^`\n]+)`", WAY) if DOTTED.fullmatch(name)]
    codes = [code_of(name) for name in names]
    assert len(codes) > 20
    for name in set(os.environ) - set(publish.environ):
        monkeypatch.delenv(name)
    for name, value in publish.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    make_layout(tmp_path / "image", "1.0.0")
    with Sandbox() as sandbox:
        monkeypatch.setenv("PUBLISH_SANDBOX", sandbox.url)
        with recorded(frozenset(codes)) as called:
            assert run(["release", "oci:image", "--image", "me/app", "--version", "1.0.0", "-y"]) == 0
    later = iter(tuple(called))
    for name, code in zip(names, codes, strict=True):
        assert code in later, f"{name} is not called after what stands before it"

"""The index of what tests share."""

from __future__ import annotations

import re
from pathlib import Path

import tests.support


def test_every_shared_file_is_in_the_index() -> None:
    """And nothing that isn't there."""
    folder = Path(tests.support.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    listed = re.findall(r"^- `(\w+)`: \S", tests.support.__doc__ or "", re.MULTILINE)
    assert sorted(listed) == sorted(files)

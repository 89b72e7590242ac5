"""The files that a build takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from docker.utils.build import exclude_paths

from publisher.engine.builder import context_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("ignored", [None, "", "# nothing\n", "deep/*.log\n", "deep\n!deep/er\n"])
def test_files_of_a_context(ignored: str | None, tmp_path: Path) -> None:
    """They are docker's own, whether anything is ignored or not: folders too, links not followed."""
    (tmp_path / "deep" / "er" / "empty").mkdir(parents=True)
    for name in ("Dockerfile", "deep/a.log", "deep/er/b", "deeper"):
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("deep")
    if ignored is not None:
        (tmp_path / ".dockerignore").write_text(ignored)
    patterns = [line for line in (ignored or "").splitlines() if not line.startswith("#")]
    expected = set(exclude_paths(str(tmp_path), patterns))
    assert set(context_files(tmp_path, "Dockerfile")) == expected
    assert "link/er" not in expected

"""Where a user's files are, and what becomes of a user who has no place for any."""

from __future__ import annotations

from pathlib import Path

import pytest

from publisher.model.environment import NOWHERE, cache_folder, config_folder, home_folder, state_folder
from publisher.receipts.journal import Journal, receipts_folder


def test_folders_of_a_home(tmp_path: Path) -> None:
    """As the XDG specification has them; a relative path in a variable is ignored."""
    environ = {"HOME": str(tmp_path), "XDG_STATE_HOME": "state", "XDG_CONFIG_HOME": "./config", "XDG_CACHE_HOME": ""}
    folders = (config_folder(environ), state_folder(environ), cache_folder(environ))
    assert folders == tuple(tmp_path / each / "publish" for each in (".config", ".local/state", ".cache"))
    stated = {name: f"/somewhere/{name}" for name in environ if name != "HOME"}
    assert state_folder(stated) == Path("/somewhere/XDG_STATE_HOME/publish")


@pytest.mark.parametrize("kind", ["a-file", "nowhere"])
def test_a_home_that_takes_no_files(kind: str, tmp_path: Path) -> None:
    """Nothing is made until a receipt has to be kept, and then it is where the run says."""
    (tmp_path / "a-file").write_bytes(b"")
    environ = {"HOME": str(tmp_path / "a-file") if kind == "a-file" else str(NOWHERE)}
    assert str(home_folder(environ)) == environ["HOME"]
    assert state_folder(environ) == NOWHERE
    folder = tmp_path / "temporary"
    folder.mkdir()
    journal = Journal(receipts_folder(environ), lambda: folder)
    assert journal.list() == ((), ())
    with journal.open(["key"]):
        assert journal.folder == folder

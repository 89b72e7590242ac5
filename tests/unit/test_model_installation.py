"""How this copy was installed, and the command that does it once more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from publisher.model.installation import install_command

if TYPE_CHECKING:
    from pathlib import Path

COMMIT = "4b13901d6f0a4e2f9f6f9d3a2c1b0a9f8e7d6c5b"
GIT = {"url": "https://git.example/acme/publish", "vcs_info": {"vcs": "git", "commit_id": COMMIT}}
WHEEL = {"url": "https://files.example/p.whl", "archive_info": {"hashes": {"sha256": "ab12", "md5": "cd"}}}


@pytest.mark.parametrize(
    ("origin", "extra", "requirement"),
    [
        ({"url": "file:///src/it", "dir_info": {}}, "", "'publish-images @ file:///src/it'"),
        ({"url": "file:///src/it", "dir_info": {}}, "sign", "'publish-images[sign] @ file:///src/it'"),
        ({"url": "file:///my%20src", "dir_info": {"editable": True}}, "sign", "--editable '/my src[sign]'"),
        (GIT, "sign", f"'publish-images[sign] @ git+https://git.example/acme/publish@{COMMIT}'"),
        (
            {**GIT, "subdirectory": "tools"}, "",
            f"'publish-images @ git+https://git.example/acme/publish@{COMMIT}#subdirectory=tools'",
        ),
        (WHEEL, "sign", "'publish-images[sign] @ https://files.example/p.whl#sha256=ab12'"),
    ],
)  # fmt: skip
def test_it_is_installed_from_where_it_came(
    origin: dict[str, Any], extra: str, requirement: str, tmp_path: Path
) -> None:
    command = install_command(json.dumps(origin), extra, tmp_path)
    assert command == f"{tmp_path}/bin/python -m pip install --force-reinstall {requirement}"


@pytest.mark.parametrize(
    ("file", "words"),
    [("pipx_metadata.json", "pipx install --force "), ("uv-receipt.toml", "uv tool install --force ")],
)
def test_it_is_installed_by_what_installed_it(file: str, words: str, tmp_path: Path) -> None:
    (tmp_path / file).touch()
    assert install_command(json.dumps(GIT), "sign", tmp_path).startswith(f"{words}'publish-images[sign] @ git+")


@pytest.mark.parametrize("record", [None, "{}"])
def test_without_a_record_no_name_is_installed(record: str | None, tmp_path: Path) -> None:
    assert install_command(record, "sign", tmp_path) == ""

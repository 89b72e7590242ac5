"""Names of sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from publisher.archives.source import SourceName, Transport
from publisher.model.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "transport", "rest", "tag"),
    [
        pytest.param("app", Transport.DAEMON, "app", "", id="bare name"),
        pytest.param("app:dev", Transport.DAEMON, "app:dev", "", id="bare name and tag"),
        pytest.param("localhost:5000/app:1", Transport.DAEMON, "localhost:5000/app:1", "", id="bare with a port"),
        pytest.param("docker-daemon:app:dev", Transport.DAEMON, "app:dev", "", id="engine"),
        pytest.param("sha256:" + "a" * 64, Transport.DAEMON, "sha256:" + "a" * 64, "", id="image id"),
        pytest.param("0123456789ab", Transport.DAEMON, "0123456789ab", "", id="short id"),
        pytest.param("docker-archive:a/b.tar", Transport.DOCKER_ARCHIVE, "a/b.tar", "", id="docker archive"),
        pytest.param("docker-archive:b.tar:app:1", Transport.DOCKER_ARCHIVE, "b.tar", "app:1", id="one of several"),
        pytest.param("oci:folder", Transport.OCI, "folder", "", id="layout"),
        pytest.param("oci:/folder:v1", Transport.OCI, "/folder", "v1", id="layout and tag"),
        pytest.param("oci-archive:x.tar:v1", Transport.OCI_ARCHIVE, "x.tar", "v1", id="archive and tag"),
        pytest.param("docker://app:1", Transport.REGISTRY, "docker.io/library/app:1", "", id="Hub"),
        pytest.param("docker://h:5000/a:1", Transport.REGISTRY, "h:5000/a:1", "", id="registry"),
    ],
)
def test_a_name_is_read(text: str, transport: Transport, rest: str, tag: str) -> None:
    """Each transport takes its own kind of name."""
    assert SourceName.parse(text) == SourceName(transport, rest, tag)


@pytest.mark.parametrize("text", ["docker-daemon:app:dev", "oci:folder:v1", "docker-archive:b.tar:app:1"])
def test_a_name_is_written_as_it_was_read(text: str) -> None:
    """str and parse are inverse."""
    assert str(SourceName.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-v",
        "oci:",
        "oci-archive:",
        "docker-archive::tag",
        "dir:/x",
        "containers-storage:app",
        "docker:app",
        "App",
        "docker://",
        "docker-daemon:",
        "https://registry.example/app",
    ],
)
def test_what_is_no_source_is_a_usage_error(text: str) -> None:
    """It ends with exit code 2 and says what is right."""
    with pytest.raises(UsageError):
        SourceName.parse(text)


def test_a_path_is_written_as_what_is_there(tmp_path: Path) -> None:
    """A file is an archive, whatever it is called; a folder is a layout, and so is what isn't there."""
    (tmp_path / "saved").write_bytes(b"")
    for name, source in {"saved": "docker-archive", "app.tar.gz": "docker-archive", "layout": "oci"}.items():
        with pytest.raises(UsageError) as told:
            SourceName.parse(str(tmp_path / name))
        assert told.value.hint == f"write {source}:{tmp_path / name}"

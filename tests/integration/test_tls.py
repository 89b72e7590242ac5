"""A real registry behind TLS with an authority of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.layout import make_layout
from tests.support.registry import run_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Publish
    from tests.support.registry import RegistryProcess


@pytest.fixture(scope="module")
def tls_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """A registry that speaks HTTPS only."""
    with run_registry(tmp_path_factory.mktemp("registry"), tls=True) as running:
        yield running


@pytest.mark.parametrize("way", ["ca-bundle", "insecure"])
def test_a_configured_authority_is_trusted(
    way: str, tls_registry: RegistryProcess, publish: Publish, tmp_path: Path
) -> None:
    """`ca-bundle` names the authority; `insecure` does without, for this host only."""
    make_layout(tmp_path / "layout", way)
    value = f'"{tls_registry.log.parent / "ca.pem"}"' if way == "ca-bundle" else "true"
    (publish.home / "publish.toml").write_text(f'[registry."{tls_registry.host}"]\n{way} = {value}\n')
    words = ["release", f"oci:{tmp_path / 'layout'}", "--image", f"{tls_registry.host}/tls/{way}", "--version", "1.0.0"]
    result = publish(*words)
    assert result.code == 0, result.stderr


def test_an_unknown_authority_is_refused(tls_registry: RegistryProcess, publish: Publish, tmp_path: Path) -> None:
    """Without either nothing is sent: exit 6, and the hint says what to configure."""
    make_layout(tmp_path / "layout", "app")
    words = ["release", f"oci:{tmp_path / 'layout'}", "--image", f"{tls_registry.host}/tls/no", "--version", "1.0.0"]
    result = publish(*words, "--format", "json")
    assert result.code == 6, result.stderr
    assert result.document["kind"] == "tls"
    assert "ca-bundle" in result.document["hint"]

"""How hosts are reached: the configuration, docker's certs.d, and what comes of them."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
import trustme

from publisher.http.tls import HostSettings
from publisher.model.errors import ConfigError
from publisher.model.settings import RegistrySettings

if TYPE_CHECKING:
    from pathlib import Path

HOST = "registry.example:5000"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority."""
    return trustme.CA()


@pytest.fixture
def files(tmp_path: Path, authority: trustme.CA) -> Path:
    """A folder with an authority, a certificate and its key."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    leaf = authority.issue_cert("client.example")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    leaf.private_key_pem.write_to_path(tmp_path / "client.key")
    (tmp_path / "garbage.pem").write_text("not a certificate")
    return tmp_path


def gather(table: RegistrySettings | None, folder: Path, host: str = HOST) -> HostSettings:
    """The settings, docker's certs.d being `folder/certs.d`."""
    return HostSettings.gather(host, table, folder, folder / "certs.d")


def test_nothing_is_assumed(files: Path) -> None:
    """Without a table and without certs.d: TLS, verified."""
    settings = gather(None, files)
    assert settings == HostSettings()
    assert not settings.speaks_tls
    context = settings.context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_paths_are_relative_to_the_file(files: Path) -> None:
    """And become absolute."""
    table = RegistrySettings(ca_bundle="ca.pem", client_cert="client.pem", client_key="client.key")
    settings = gather(table, files)
    assert settings.ca_bundle == files / "ca.pem"
    assert settings.client_key == files / "client.key"
    assert settings.speaks_tls
    assert len(settings.context().get_ca_certs()) == 1


def test_docker_s_files_are_read(files: Path) -> None:
    """Every *.crt is an authority beside the usual ones; *.cert and *.key of one name are ours."""
    folder = files / "certs.d" / HOST
    folder.mkdir(parents=True)
    for name, source in {"a.crt": "ca.pem", "us.cert": "client.pem", "us.key": "client.key"}.items():
        (folder / name).write_bytes((files / source).read_bytes())
    trustme.CA().cert_pem.write_to_path(folder / "b.crt")
    settings = gather(None, files)
    usual = len(HostSettings().context().get_ca_certs())
    assert len(settings.context().get_ca_certs()) == usual + 2
    assert settings.client_cert == folder / "us.cert"
    assert gather(None, files, "other.example") == HostSettings()


def test_docker_s_certificate_needs_its_key(files: Path) -> None:
    """As docker says too."""
    folder = files / "certs.d" / HOST
    folder.mkdir(parents=True)
    (folder / "us.cert").write_bytes((files / "client.pem").read_bytes())
    with pytest.raises(ConfigError, match=r"us\.key"):
        gather(None, files)


@pytest.mark.parametrize(
    ("table", "named"),
    [
        pytest.param(RegistrySettings(ca_bundle="absent.pem"), "absent.pem", id="absent-bundle"),
        pytest.param(RegistrySettings(ca_bundle="garbage.pem"), "garbage.pem", id="garbage-bundle"),
        pytest.param(RegistrySettings(client_cert="garbage.pem"), "garbage.pem", id="garbage-certificate"),
        pytest.param(RegistrySettings(client_cert="client.pem"), "client.pem", id="certificate-without-key"),
        pytest.param(RegistrySettings(client_cert="client.pem", client_key="ca.pem"), "client.pem", id="wrong-key"),
    ],
)
def test_files_that_cannot_be_used_are_named(table: RegistrySettings, named: str, files: Path) -> None:
    """As an error of the configuration, not of the network."""
    with pytest.raises(ConfigError, match=named):
        gather(table, files).context()


@pytest.mark.parametrize(
    "host",
    ["docker.io", "registry-1.docker.io", "index.docker.io", "auth.docker.io", "hub.docker.com", "Docker.IO:443"],
)
def test_docker_hub_is_never_insecure(host: str, files: Path) -> None:
    """Whatever the configuration says."""
    with pytest.raises(ConfigError, match="never allowed"):
        gather(RegistrySettings(insecure=True), files, host)


def test_insecure_is_as_it_says(files: Path) -> None:
    """No certificate is checked, for this host's context."""
    context = gather(RegistrySettings(insecure=True), files).context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)
    assert HostSettings().context().verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_the_environments_bundle_is_used(name: str, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As OpenSSL and requests name it."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv(name, str(files / "ca.pem"))
    assert len(HostSettings().context().get_ca_certs()) == 1

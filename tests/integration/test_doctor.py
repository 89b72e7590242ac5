"""`publish doctor`: each check seen well and seen failing."""

from __future__ import annotations

import base64
import json
import shutil
from typing import TYPE_CHECKING

from tests.support.attest import DATA
from tests.support.registry import SECRET, USER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Publish, Result
    from tests.support.engine import EngineProcess
    from tests.support.registry import RegistryProcess


ALL = ["configuration", "git", "engine", "disk", "dangling images", "credential", "keyring", "rights"]


def health(result: Result) -> dict[str, str]:
    """Each check's name and how it ended."""
    return {
        check["name"].partition(" at ")[0].partition(" for ")[0]: check["health"] for check in result.document["checks"]
    }


def test_all_is_well(
    publish_with_engine: Publish, engine: EngineProcess, registry: RegistryProcess, tmp_path: Path
) -> None:
    """With git, engine, configuration and a registry that answers everything is fine, and the exit code 0."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "publish.toml").write_text(f'images = ["{registry.host}/doctor/app"]\n')
    publish_with_engine.git("init", "-q", cwd=tree)
    publish_with_engine.git("add", ".", cwd=tree)
    publish_with_engine.git("commit", "-qm", "one", cwd=tree)
    result = publish_with_engine("doctor", "--format", "json", cwd=tree)
    # The machine of the tests has no keyring; a release does without one.
    assert health(result) == dict.fromkeys(ALL, "ok") | {"keyring": "warning"}
    assert result.code == 0


def test_the_engine(any_engine: EngineProcess, publish_with_any: Publish, tmp_path: Path) -> None:
    """Kind, version and storage driver of the engine; what lies about without a name, with what to run."""
    for number in (1, 2):
        any_engine.build("rebuilt", f"I am {number}", tmp_path / "rebuilt")
    checks = {check["name"]: check for check in publish_with_any("doctor", "--format", "json").document["checks"]}
    version = any_engine.docker("version", "-f", "{{.Server.Version}}")
    driver = any_engine.docker("info", "-f", "{{.Driver}}")
    kind = {"docker": "Docker", "podman": "podman"}[any_engine.kind]
    assert checks["engine"]["detail"] == f"{kind} {version} at {any_engine.host}, storage {driver}"
    assert "GB left in" in checks["disk"]["detail"]
    if any_engine.store == "classic":  # containerd forgets an image with its last name
        assert "without a name" in checks["dangling images"]["detail"]
        assert checks["dangling images"]["advice"] == "docker image prune"


def test_no_engine(publish: Publish) -> None:
    """Without an engine the check is broken and says what to do; outside git is only a warning."""
    result = publish("doctor", "--format", "json")
    assert health(result)["engine"] == "broken"
    assert health(result)["git"] == "warning"
    assert result.code == 6


def test_bad_configuration(publish: Publish, tmp_path: Path) -> None:
    """An unknown key is found, and named with its line."""
    (publish.home / "publish.toml").write_text('images = ["a/b"]\nimagse = 1\n')
    result = publish("doctor", "--format", "json")
    assert health(result)["configuration"] == "broken"
    detail = result.document["checks"][0]["detail"]
    assert "imagse" in detail
    assert "2" in detail


def test_no_rights(publish: Publish, private_registry: RegistryProcess) -> None:
    """A registry that wants a login is named, with what is missing."""
    (publish.home / "publish.toml").write_text(f'images = ["{private_registry.host}/doctor/app"]\n')
    result = publish("doctor", "--format", "json")
    assert health(result)["rights"] == "broken"


def test_changed_files(publish: Publish, tmp_path: Path) -> None:
    """Changes that are not committed are a warning."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("one")
    publish.git("init", "-q", cwd=tree)
    publish.git("add", ".", cwd=tree)
    publish.git("commit", "-qm", "one", cwd=tree)
    (tree / "file").write_text("two")
    assert health(publish("doctor", "--format", "json", cwd=tree))["git"] == "warning"


def test_credentials(publish: Publish, private_registry: RegistryProcess) -> None:
    """Whose they are and where they are from; what lies open, with what to do; a broken source with its reason."""
    host = private_registry.host
    (publish.home / "publish.toml").write_text(f'images = ["{host}/doctor/app"]\n')
    (publish.home / "docker").mkdir()
    config = publish.home / "docker" / "config.json"
    config.write_text(json.dumps({"auths": {host: {"auth": base64.b64encode(f"{USER}:{SECRET}".encode()).decode()}}}))
    result = publish("doctor", "--format", "json")
    found = health(result)
    assert (found["credential"], found["plain text"], found["rights"]) == ("ok", "warning", "ok")
    assert f"publish login {host} --docker" in result.stdout
    assert SECRET not in result.stdout
    config.write_text('{"credsStore": "absent"}')
    result = publish("doctor", "--format", "json")
    assert health(result)["credential"] == "broken"
    assert "docker-credential-absent" in result.stdout


def test_what_signing_needs(publish: Publish, registry: RegistryProcess, tmp_path: Path) -> None:
    """With `[sign]` alone: the key opens or not, the job has an identity or not, and where signatures are listed."""
    image = f'images = ["{registry.host}/doctor/signed"]\n'

    def checks(by: str, **environ: str) -> dict[str, tuple[str, str]]:
        (tmp_path / "publish.toml").write_text(f'{image}[sign]\nby = "{by}"\n')
        found = publish("doctor", "--format", "json", cwd=tmp_path, environ=environ).document["checks"]
        return {check["name"].partition(" at ")[0]: (check["health"], check["detail"]) for check in found}

    shutil.copy(DATA / "cosign3" / "cosign.key", tmp_path / "cosign.key")
    signing = checks("cosign.key", COSIGN_PASSWORD="fixture")
    assert signing["signing"][0] == "ok"
    assert signing["signatures"] == ("ok", "they are listed under a tag sha256-…")
    assert checks("cosign.key", COSIGN_PASSWORD="wrong")["signing"][0] == "broken"
    assert checks("absent.key")["signing"] == ("broken", "there is no key absent.key")
    assert checks("ci")["signing"][0] == "warning"
    assert checks("ci", SIGSTORE_ID_TOKEN="x")["signing"][0] == "ok"
    (tmp_path / "publish.toml").write_text(image)
    assert "signing" not in health(publish("doctor", "--format", "json", cwd=tmp_path))

"""Images of today's Docker Engine, which keeps manifests and compressed blobs: released as they are, and whole."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from publisher.model import media
from publisher.model.digest import Digest
from tests.support.command import Publish
from tests.support.engine import BUSYBOX
from tests.support.engine_requests import watch
from tests.support.registry import SECRET, USER, run_registry

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Result
    from tests.support.engine import EngineProcess
    from tests.support.registry import RegistryProcess

EXPORT = r"GET \S+/images/\S+/get"
# Nothing that is spooled finds a place: as in a container whose /tmp is read-only.
NO_ROOM = {"TMPDIR": "/proc/nowhere", "TEMP": "/proc/nowhere", "TMP": "/proc/nowhere"}


@pytest.fixture
def docker(containerd_engine: EngineProcess) -> EngineProcess:
    """Today's engine."""
    return containerd_engine


@pytest.fixture
def publish(tmp_path: Path, docker: EngineProcess) -> Publish:
    """`publish` with that engine at hand."""
    return publish_with(tmp_path, docker.host)


def publish_with(folder: Path, host: str) -> Publish:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return Publish(home, {"DOCKER_HOST": host})


def build(docker: EngineProcess, name: str, folder: Path, *words: str, content: str = "") -> str:
    """Build by BuildKit, with provenance; returns the image id, which is the digest of what it made."""
    folder.mkdir(exist_ok=True)
    shutil.copy(BUSYBOX, folder / "busybox")
    (folder / "content").write_text(content or name)
    text = 'FROM scratch\nCOPY busybox /bin/busybox\nCOPY content /content\nCMD ["/bin/busybox", "cat", "/content"]\n'
    (folder / "Dockerfile").write_text(text)
    docker.docker("buildx", "build", "-q", "--provenance=mode=max", *words, "-t", name, str(folder))
    return docker.docker("image", "inspect", "-f", "{{.Id}}", name)


def release(publish: Publish, source: str, image: str, *words: str) -> Result:
    return publish("release", source, "--image", image, "--version", "1.0.0", "--format", "json", *words)


def raw(reference: str) -> bytes:
    """A manifest as an independent tool reads it."""
    words = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}"]
    return subprocess.run(words, capture_output=True, check=True).stdout


BOTH = ("--platform", "linux/amd64,linux/arm64")


@pytest.mark.parametrize("via", ["auto", "engine", "direct"])
def test_an_index_is_released_as_the_engine_has_it(
    via: str, docker: EngineProcess, publish: Publish, registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """Two platforms and what attests them, byte for byte, by either way; other tools take it; nothing is spooled."""
    digest = build(docker, name, tmp_path / "context", *BOTH, content=f"{name}{via}")
    image = f"{registry.host}/{name}"
    done = publish(
        "release", name, "--image", image, "--version", "1.0.0", "--via", via, "--format", "json", environ=NO_ROOM
    )
    assert done.code == 0, done.stderr
    found = done.document
    assert (found["image"]["digest"], found["via"]) == (digest, "direct" if via == "direct" else "engine")
    assert found["image"]["platforms"] == ["linux/amd64", "linux/arm64"]
    assert found["verification"]["level"] == "pull"
    assert str(Digest.of(raw(f"{image}:1.0.0"))) == digest
    assert sum("attestation-manifest" in json.dumps(one) for one in json.loads(raw(f"{image}:1.0.0"))["manifests"]) == 2
    copied = ["skopeo", "--insecure-policy", "copy", "--all", "--src-tls-verify=false", f"docker://{image}:1.0.0"]
    subprocess.run([*copied, f"dir:{tmp_path / 'copied'}"], check=True, capture_output=True)


def test_a_receipt_tells_the_config_of_an_image_in_an_index(
    docker: EngineProcess, publish: Publish, registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """BuildKit makes an index of one image and its provenance: it is for one platform all the same."""
    build(docker, name, tmp_path / "context")
    image = f"{registry.host}/{name}"
    done = release(publish, name, image, "--verify", "none")
    assert done.code == 0, done.stderr
    entries = json.loads(raw(f"{image}:1.0.0"))["manifests"]
    child = next(one["digest"] for one in entries if one["platform"]["architecture"] != "unknown")
    assert done.document["image"]["config"] == json.loads(raw(f"{image}@{child}"))["config"]["digest"]


def test_nothing_is_exported_to_plan_adopt_or_compare(
    docker: EngineProcess, registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """Manifests tell what an image is; the blobs of a release go by the relay."""
    digest = build(docker, name, tmp_path / "context")
    image = f"{registry.host}/{name}"
    with watch(docker) as requests:
        publish = publish_with(tmp_path, requests.host)
        planned = publish("plan", name, "--image", image, "--version", "1.0.0", "--format", "json", environ=NO_ROOM)
        assert {move["to"] for move in planned.document["moves"]} == {digest}
        assert release(publish, name, image).document["via"] == "engine"
        assert release(publish, name, image).document["adopted"]
        again = publish("plan", name, "--image", image, "--version", "1.0.0", "--format", "json")
        assert {move["action"] for move in again.document["moves"]} == {"unchanged"}
        assert publish("verify", f"{image}:1.0.0", "--source", name).code == 0
        assert requests.matching(EXPORT) == []
    left = docker.docker("image", "ls", "--format", "{{.Repository}}").split()
    assert [one for one in left if one.endswith(("/image", f"/{name}"))] == []


def test_another_image_is_told_apart_without_an_export(
    docker: EngineProcess, registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """The same config is the same image, whatever attests it; another content is refused."""
    image = f"{registry.host}/{name}"
    with watch(docker) as requests:
        publish = publish_with(tmp_path, requests.host)
        build(docker, name, tmp_path / "context")
        assert release(publish, name, image).code == 0
        before = docker.docker("image", "inspect", "-f", "{{.Id}}", name)
        docker.docker("buildx", "build", "-q", "--provenance=false", "-t", name, str(tmp_path / "context"))
        assert docker.docker("image", "inspect", "-f", "{{.Id}}", name) != before
        assert release(publish, name, image).document["adopted"]
        build(docker, name, tmp_path / "context", content="another")
        refused = release(publish, name, image)
        assert (refused.code, refused.document["kind"]) == (4, "exact-tag-taken")
        assert publish("verify", f"{image}:1.0.0", "--source", name).code == 5
        assert requests.matching(EXPORT) == []


@pytest.mark.parametrize("via", ["engine", "direct"])
def test_a_registry_with_a_login_and_tls_takes_large_blobs(
    via: str, docker: EngineProcess, publish: Publish, name: str, tmp_path: Path
) -> None:
    """They pass through us, who alone know credential and authority; the engine is given neither."""
    digest = build(docker, name, tmp_path / "context", content=os.urandom(3 << 20).hex())
    with run_registry(tmp_path / "private", htpasswd=True, tls=True) as private:
        table = f'[registry."{private.host}"]\nca-bundle = "private/ca.pem"\n'
        (tmp_path / "publish.toml").write_text(table)
        done = publish(
            *("release", name, "--image", f"{private.host}/{name}", "--version", "1.0.0", "--via", via),
            *("--verify", "digest", "--format", "json"),
            cwd=tmp_path,
            environ={"PUBLISH_USERNAME": USER, "PUBLISH_PASSWORD": SECRET},
        )
    assert done.code == 0, done.stderr
    assert (done.document["image"]["digest"], done.document["via"]) == (digest, via)


@pytest.mark.parametrize("via", ["auto", "engine"])
def test_an_engine_elsewhere_exports_once(
    via: str, docker: EngineProcess, registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """Its loopback isn't ours: each blob is sent while the export is read, and --via engine is told to be in vain."""
    digest = build(docker, name, tmp_path / "context", *BOTH, content=f"{name}{via}")
    image = f"{registry.host}/{name}"
    with watch(docker, far=True) as requests:
        publish = publish_with(tmp_path, requests.host)
        done = publish(
            *("release", name, "--image", image, "--version", "1.0.0", "--via", via, "--format", "json"),
            *("--verify", "digest"),
            environ=NO_ROOM,
        )
        assert done.code == 0, done.stderr
        assert (done.document["image"]["digest"], done.document["via"]) == (digest, "direct")
        assert ("does not share our loopback" in done.stderr) == (via == "engine")
        assert len(requests.matching(EXPORT)) == 1
        assert release(publish, name, image).document["adopted"]
        assert len(requests.matching(EXPORT)) == 1
    assert str(Digest.of(raw(f"{image}:1.0.0"))) == digest


def test_a_name_that_is_moved_meanwhile_changes_nothing(
    docker: EngineProcess, registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """The image that was looked at is asked for by its id."""
    build(docker, name, tmp_path / "context")
    with watch(docker, far=True) as requests:
        assert release(publish_with(tmp_path, requests.host), name, f"{registry.host}/{name}").code == 0
        identifier = docker.docker("image", "inspect", "-f", "{{.Id}}", name)
        assert all(identifier in request for request in requests.matching(EXPORT))


# Not all of it here.


def pulled(docker: EngineProcess, name: str, image: str, folder: Path) -> str:
    """An index of two platforms that was pushed and pulled again, for this machine alone; returns its digest."""
    digest = build(docker, name, folder, *BOTH)
    docker.docker("tag", name, f"{image}:1")
    docker.docker("push", "-q", f"{image}:1")
    docker.docker("image", "rm", "-f", name, f"{image}:1")
    docker.docker("pull", "-q", f"{image}:1")
    return digest


@pytest.mark.parametrize("via", ["auto", "direct"])
def test_what_the_engine_did_not_pull_comes_from_where_it_pulled(
    via: str,
    docker: EngineProcess,
    publish: Publish,
    registry: RegistryProcess,
    name: str,
    tmp_path: Path,
) -> None:
    """Into another registry and into the same, the whole index arrives, attestations too."""
    origin = f"{registry.host}/{name}/origin"
    digest = pulled(docker, name, origin, tmp_path / "context")
    with run_registry(tmp_path / "other") as other:
        for image in (f"{other.host}/{name}", origin):
            done = release(publish, f"{origin}:1", image, "--via", via)
            assert done.code == 0, done.stderr
            assert done.document["image"]["digest"] == digest
            assert str(Digest.of(raw(f"{image}:1.0.0"))) == digest


def test_what_can_not_be_had_refuses_the_release(
    docker: EngineProcess, publish: Publish, registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """It names what is missing, where the whole is, and how to release the rest; nothing is sent."""
    with run_registry(tmp_path / "origin") as gone:
        origin = f"{gone.host}/{name}"
        digest = pulled(docker, name, origin, tmp_path / "context")
    image = f"{registry.host}/{name}"
    saved = tmp_path / "saved.tar"
    docker.docker("save", "-o", str(saved), f"{origin}:1")
    for source in (f"{origin}:1", f"docker-archive:{saved}"):
        done = release(publish, source, image)
        assert done.code == 4, done.stderr
        assert "lacks linux/arm64" in done.document["message"]
        assert "--platform linux/amd64" in done.document["hint"]
        assert f"@{digest}" in done.document["hint"]
        assert "docker://" in done.document["hint"]
    alone = release(publish, f"{origin}:1", image, "--platform", "linux/amd64")
    assert alone.code == 0, alone.stderr
    assert alone.document["image"]["platforms"] == ["linux/amd64"]
    assert "the attestation of linux/amd64 can't be had" in alone.stderr


def test_layers_that_the_engine_never_fetched_come_from_their_registry(
    docker: EngineProcess, publish: Publish, registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """containerd doesn't fetch a blob whose layer it has unpacked from another; a release needs it all the same."""
    saved = loose_archive(tmp_path / "saved.tar", name)
    twins = f"{registry.host}/{name}/zstd", f"{registry.host}/{name}/gzip"
    for image, kind in zip(twins, ("zstd", "gzip"), strict=True):
        done = release(publish, f"docker-archive:{saved}", image, "--compression", kind, "--verify", "none")
        assert done.code == 0, done.stderr
    for image in twins:
        docker.docker("pull", "-q", f"{image}:1.0.0")
    with run_registry(tmp_path / "other") as other:
        done = release(publish, f"{twins[1]}:1.0.0", f"{other.host}/{name}")
        assert done.code == 0, done.stderr
        assert raw(f"{other.host}/{name}:1.0.0") == raw(f"{twins[1]}:1.0.0")
    here = release(publish, f"{twins[1]}:1.0.0", f"{registry.host}/{name}/third")
    assert here.code == 0, here.stderr


def loose_archive(path: Path, name: str) -> Path:
    """What old tools write: a config, and a layer that is not compressed."""
    raw_layer = io.BytesIO()
    with tarfile.open(fileobj=raw_layer, mode="w") as layer:
        add(layer, "content", (name * 300_000)[:2_000_000].encode())
    diff_id = str(Digest.of(raw_layer.getvalue()))
    config = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/x"]}}
    config["rootfs"] = {"type": "layers", "diff_ids": [diff_id]}
    listing = [{"Config": "config.json", "RepoTags": [f"{name}:latest"], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as archive:
        add(archive, "layer.tar", raw_layer.getvalue())
        add(archive, "config.json", json.dumps(config).encode())
        add(archive, "manifest.json", json.dumps(listing).encode())
    return path


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


# Compression.


@pytest.mark.parametrize("far", [False, True], ids=["near", "elsewhere"])
def test_layers_that_are_not_compressed_are(
    far: bool, docker: EngineProcess, registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """The same bytes as those of the archive that was loaded, and in the way that was asked for."""
    saved = loose_archive(tmp_path / "saved.tar", name)
    docker.docker("load", "-q", "-i", str(saved))
    image = f"{registry.host}/{name}"
    with watch(docker, far=far) as requests:
        publish = publish_with(tmp_path, requests.host)
        plan = tmp_path / "plan.json"
        planned = publish("plan", name, "--image", f"{image}/daemon", "--version", "1.0.0", "-o", str(plan))
        assert planned.code == 0, planned.stderr
        for source, tail, words in ((name, "daemon", ("--plan", str(plan))), (f"docker-archive:{saved}", "file", ())):
            done = release(publish, source, f"{image}/{tail}", "--verify", "digest", *words)
            assert done.code == 0, done.stderr
            assert done.document["via"] == "direct"
        assert raw(f"{image}/daemon:1.0.0") == raw(f"{image}/file:1.0.0")
        asked = release(publish, name, f"{image}/zstd", "--compression", "zstd", "--verify", "digest")
        assert asked.code == 0, asked.stderr
        layer = json.loads(raw(f"{image}/zstd:1.0.0"))["layers"][0]
        assert layer["mediaType"] == media.OCI_LAYER_ZSTD


def test_a_compression_that_is_not_applied_is_told(
    docker: EngineProcess, publish: Publish, registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """Blobs of a store pass as they are; without the option nothing needs to be said."""
    build(docker, name, tmp_path / "context")
    image = f"{registry.host}/{name}"
    told = release(publish, name, f"{image}/asked", "--compression", "zstd")
    assert (told.code, "no compression is applied" in told.stderr) == (0, True), told.stderr
    silent = release(publish, name, f"{image}/silent")
    assert (silent.code, "warning" in silent.stderr) == (0, False), silent.stderr


# Other platforms.


def test_an_image_for_other_machines_is_pulled_by_its_own_platform(
    docker: EngineProcess, publish: Publish, registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """The engine holds it, and its default pull doesn't find it."""
    build(docker, name, tmp_path / "context", "--platform", "linux/arm64")
    done = release(publish, name, f"{registry.host}/{name}")
    assert done.code == 0, done.stderr
    assert done.document["verification"]["level"] == "pull"


# Smoke runs.

SMOKE = '[smoke]\ncommand = ["/bin/busybox", "true"]\n'


def test_a_smoke_run_tells_no_registry_of_local_names(
    docker: EngineProcess, publish: Publish, name: str, tmp_path: Path
) -> None:
    """This store knows every image by a digest, built here or not: that doesn't make it a registry's."""
    local = f"m/{name}:1"
    build(docker, local, tmp_path / "context")
    (tmp_path / "publish.toml").write_text(SMOKE)
    done = publish("-v", "smoke", local, cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert "warning" not in done.stderr
    assert "http" not in done.stderr


@pytest.mark.parametrize("prefix", ["docker-daemon:", ""])
def test_a_local_name_that_is_not_there_is_not_looked_for_elsewhere(
    prefix: str, publish: Publish, name: str, tmp_path: Path
) -> None:
    """It may be a private one."""
    (tmp_path / "publish.toml").write_text(SMOKE)
    done = publish("-v", "smoke", f"{prefix}m/{name}:1", cwd=tmp_path)
    assert (done.code, "has no image" in done.stderr, "http" in done.stderr) == (2, True, False), done.stderr

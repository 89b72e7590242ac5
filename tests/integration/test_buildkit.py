"""`publish build`, and releases that build first, by BuildKit through the real buildx."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.builds import (
    BUILDS,
    CONTAINERD,
    files_of,
    index_of,
    login,
    manifest_of,
    read_blob,
    record_buildx,
    registry_manifest,
    serve_buildkit,
)
from tests.support.engine import BUSYBOX
from tests.support.process import wait_until

if TYPE_CHECKING:
    from tests.support.command import Publish
    from tests.support.engine import EngineProcess
    from tests.support.registry import RegistryProcess

SHELL = 'FROM scratch\nCOPY busybox /bin/busybox\nSHELL ["/bin/busybox", "sh", "-c"]\n'


@pytest.fixture
def project(publish_with_engine: Publish, name: str, tmp_path: Path) -> Path:
    """A git repository with a version; its Dockerfile is written by each test."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(BUSYBOX, folder / "busybox")
    (folder / "page").write_text("one")
    (folder / "Dockerfile").write_text(f"{SHELL}COPY page /page\n")
    (folder / "publish.toml").write_text(f'images = ["me/{name}"]\n[build]\n')
    publish_with_engine.git("init", "-q", cwd=folder)
    publish_with_engine.git("add", ".", cwd=folder)
    publish_with_engine.git("commit", "-q", "-m", "x", cwd=folder)
    publish_with_engine.git("tag", "v1.2.3", cwd=folder)
    return folder


@CONTAINERD
@pytest.mark.parametrize(("instructions", "shown"), BUILDS.values(), ids=BUILDS)
def test_what_only_buildkit_understands_is_built(
    instructions: str, shown: str, project: Path, engine: EngineProcess, publish_with_engine: Publish, name: str
) -> None:
    """Today's Dockerfiles mean here what they mean to `docker build`."""
    (project / "Dockerfile").write_text(f"{SHELL}{instructions}\n")
    result = publish_with_engine("build", "-t", f"{name}:x", cwd=project)
    assert result.code == 0, result.stderr
    assert engine.docker("run", "--rm", f"{name}:x", "/bin/busybox", "cat", "/out") == shown


@CONTAINERD
def test_the_cache_and_what_broke_it(project: Path, publish_with_engine: Publish, name: str) -> None:
    """Each step is told with its stage, whether it was cached and its time; what ended the cache is named."""
    (project / "Dockerfile").write_text(
        "FROM scratch AS tools\nCOPY busybox /bin/busybox\nFROM scratch\nWORKDIR /app\n"
        'COPY --from=tools /bin/busybox /bin/busybox\nCOPY page .\nRUN ["/bin/busybox", "sleep", "1"]\n'
    )
    words = ("build", "-t", f"{name}:x", "--format", "json")
    first = publish_with_engine(*words, cwd=project)
    assert first.code == 0, first.stderr
    slept = next(step for step in first.document["steps"] if "sleep" in step["instruction"])
    assert (slept["stage"], slept["number"], slept["cached"]) == ("stage-1", 4, False)
    assert 0.9 < slept["seconds"] < 30
    again = publish_with_engine(*words, cwd=project).document
    assert all(step["cached"] for step in again["steps"]), again
    assert not again["miss"]
    (project / "page").write_text("two")
    third = publish_with_engine(*words, cwd=project)
    assert third.code == 0, third.stderr
    changed = third.document
    cached = {step["instruction"]: step["cached"] for step in changed["steps"]}
    assert cached["COPY --from=tools /bin/busybox /bin/busybox"]
    assert not cached["COPY page ."]
    assert "COPY page .: page has changed; all after it" in changed["miss"]


@CONTAINERD
@pytest.mark.parametrize(
    ("instructions", "said", "lines"),
    [
        ("RUN echo some words; echo last words; exit 3", "at step 2 (RUN echo some", ("some words", "last words")),
        ("COPY absent /", '(COPY absent /): "/absent": not found', ()),
        ("NOPE x", "dockerfile parse error on line 4: unknown instruction: NOPE", (">>> NOPE x",)),
        ("FROM scratch AS other\nCOPY --from=absent /x /", "absent", ()),
    ],
    ids=["run", "copy", "parse", "stage"],
)
def test_a_failing_build_is_told(
    instructions: str, said: str, lines: tuple[str, ...], project: Path, publish_with_engine: Publish, name: str
) -> None:
    """Exit 1 with the step, and with the last lines that it printed."""
    (project / "Dockerfile").write_text(f"{SHELL}{instructions}\n")
    result = publish_with_engine("build", "-t", f"{name}:x", cwd=project)
    assert result.code in {1, 3, 6} if "absent /x" in instructions else result.code == 1, result.stderr
    assert said in result.stderr
    for line in lines:
        assert line in result.stderr


@CONTAINERD
def test_the_same_bytes_again(project: Path, publish_with_engine: Publish, tmp_path: Path, name: str) -> None:
    """With SOURCE_DATE_EPOCH two builds without a cache give the same config and layers, by either way out."""
    (project / "Dockerfile").write_text(f"{SHELL}WORKDIR /made\nCOPY page .\nRUN echo hi > /made/hi\n")
    epoch = {"SOURCE_DATE_EPOCH": "1700000000"}
    roots, configs, layers = set(), set(), set()
    for number in range(2):
        (project / "page").unlink()
        (project / "page").write_text("one")
        layout = tmp_path / f"layout{number}"
        words = ("build", "--no-cache", "-o", f"oci:{layout}", "--provenance", "mode=max")
        assert publish_with_engine(*words, cwd=project, environ=epoch).code == 0
        manifest = manifest_of(layout)
        configs.add(manifest["config"]["digest"])
        layers.add(tuple(layer["digest"] for layer in manifest["layers"]))
        plain = ("build", "--no-cache", "-t", f"{name}:x", "--provenance", "false", "--format", "json")
        result = publish_with_engine(*plain, cwd=project, environ=epoch)
        assert result.code == 0, result.stderr
        assert "time of" not in result.stderr
        roots.add(result.document["id"])
    assert (len(configs), len(layers), len(roots)) == (1, 1, 1)


@CONTAINERD
def test_every_key(project: Path, publish_with_engine: Publish, tmp_path: Path) -> None:
    """What [build] says reaches BuildKit, paths as they are relative to the file."""
    (project / "lib").mkdir()
    (project / "lib" / "code").write_text("from the library")
    (project / "Dockerfile").write_text(
        f"{SHELL.replace('scratch', 'scratch AS wanted')}"
        "COPY --from=lib code /code\nARG WHO\n"
        "RUN --mount=type=secret,id=word --mount=type=secret,id=file cat /run/secrets/* > /secrets\n"
        "RUN echo $WHO > /who; ulimit -n > /files; df /dev/shm > /shm; ls /sys/class/net > /net\n"
        "FROM scratch\nENV LAST=1\n"
    )
    (project / "token").write_text("secret of a file\n")
    (project / "publish.toml").write_text(
        'images = ["me/app"]\n[build]\ntarget = "wanted"\nargs = { WHO = "me" }\nplatforms = ["linux/amd64"]\n'
        'secrets = ["id=word,env=WORD", "id=file,src=token"]\ncontexts = { lib = "lib" }\nprovenance = "mode=max"\n'
        'network = "none"\nshm-size = "32m"\nulimits = ["nofile=500:500"]\nssh = []\n'
        'cache-to = ["type=local,dest=kept"]\ncache-from = ["type=local,src=kept"]\n'
    )
    layout = tmp_path / "layout"
    result = publish_with_engine(
        "build", "-o", f"oci:{layout}", "--format", "json", cwd=tmp_path / "project", environ={"WORD": "hidden word"}
    )
    assert result.code == 0, result.stderr
    assert (project / "kept" / "index.json").is_file()
    assert result.document["id"] == index_of(layout)["manifests"][0]["digest"]
    files = files_of(layout)
    assert (files["code"], files["who"], files["files"]) == ("from the library", "me\n", "500\n")
    assert files["secrets"] == "secret of a file\nhidden word"
    assert " 32768 " in files["shm"]
    assert files["net"] == "lo\n"
    assert "LAST=1" not in str(read_blob(layout, manifest_of(layout)["config"]["digest"]))
    # From the cache that was kept, into an engine that has none of it.
    shutil.rmtree(layout)
    again = publish_with_engine(
        "build", "-o", f"oci:{layout}", "--format", "json", cwd=project, environ={"WORD": "hidden word"}
    )
    assert all(step["cached"] for step in again.document["steps"]), again.stdout


SECRET = "canary-hunter2-\u00e9"


@CONTAINERD
def test_a_secret_is_seen_by_its_step_alone(
    project: Path, publish_with_engine: Publish, registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """It is in no argument, no line, no JSON, no receipt, no provenance and no layer, whoever prints it."""
    recorded = record_buildx(publish_with_engine.home, tmp_path / "recorded")
    (project / "file").write_text(f"//registry.example/:_authToken={SECRET}2\n")
    (project / ".dockerignore").write_text("file\n.git\n")
    (project / "Dockerfile").write_text(
        f"{SHELL}RUN --mount=type=secret,id=a --mount=type=secret,id=b "
        "cat /run/secrets/a /run/secrets/b && test -s /run/secrets/a && test -s /run/secrets/b\n"
    )
    keys = 'provenance = "mode=max"\nsecrets = ["id=a,env=TOKEN", "id=b,src=file"]\n'
    (project / "publish.toml").write_text(f'images = ["{registry.host}/{name}"]\n[build]\n{keys}')
    environ = {"TOKEN": SECRET, "OTHER": SECRET, "PUBLISH_REGISTRY": "elsewhere.example"}
    environ |= {"PUBLISH_USERNAME": "me", "PUBLISH_PASSWORD": "pw-of-publish", "DOCKERHUB_TOKEN": "hub-token"}
    environ |= {"DOCKERHUB_USERNAME": "me"}
    words = ("-v", "release", "--allow-dirty", "--format", "json", "--receipt", str(tmp_path / "receipt.json"))
    result = publish_with_engine(*words, cwd=project, environ=environ)
    assert result.code == 0, result.stderr
    (project / "Dockerfile").write_text(f"{SHELL}RUN --mount=type=secret,id=a cat /run/secrets/a; exit 1\n")
    failed = publish_with_engine(*words, "--version", "1.2.4", cwd=project, environ=environ)
    assert failed.code == 1, failed.stderr
    assert "***" in failed.stderr
    texts = [result.stdout, result.stderr, failed.stdout, failed.stderr, (recorded / "words").read_text()]
    texts += [path.read_text(errors="replace") for path in tmp_path.rglob("*.json")]
    blobs = (path for path in (registry.log.parent / "data").rglob("data") if path.stat().st_size < 1 << 20)
    texts += [path.read_text(errors="replace") for path in (*tmp_path.rglob("*.json"), *blobs)]
    for text in texts:
        assert SECRET not in text
        assert json.dumps(SECRET)[1:-1] not in text
    seen = (recorded / "environ").read_text()
    assert f"TOKEN={SECRET}" in seen
    for other in ("OTHER=", "pw-of-publish", "hub-token"):
        assert other not in seen


@CONTAINERD
@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("id=a,env=TOKEN", "the variable TOKEN, which is not set"),
        ("id=a,src=absent", "can't be read"),
        ("id=a,env=PUBLISH_PASSWORD", "credential of publish itself"),
        ("id=PUBLISH_PASSWORD", "credential of publish itself"),
        ("a", "is not KEY=VALUE"),
    ],
)
def test_a_secret_that_is_not_there(secret: str, said: str, project: Path, publish_with_engine: Publish) -> None:
    """Exit 2 before anything is built."""
    environ = {"PUBLISH_PASSWORD": "pw-of-publish"}
    result = publish_with_engine("build", "--secret", secret, cwd=project, environ=environ)
    assert (result.code, said in result.stderr, "build    " in result.stderr) == (2, True, False), result.stderr


@CONTAINERD
def test_the_builder_knows_the_registries_that_it_needs(
    project: Path,
    engine: EngineProcess,
    publish_with_engine: Publish,
    private_registry: RegistryProcess,
    name: str,
    tmp_path: Path,
) -> None:
    """It gets the credentials of a base and of caches, in a file that only this user can read, and that goes."""
    recorded = record_buildx(publish_with_engine.home, tmp_path / "recorded")
    host = private_registry.host
    own = publish_with_engine.home / "docker" / "config.json"
    own.write_text(json.dumps({"auths": {host: login(private_registry), "other.example": {"auth": "YTpi"}}}))
    base = f"{host}/{name}-base:1"
    engine.build(base, "base", tmp_path / "base")
    engine.docker("--config", str(own.parent), "push", "-q", base)
    engine.docker("rmi", "-f", base)
    (project / "Dockerfile").write_text("ARG BASE\nFROM ${BASE:-nobody}\nWORKDIR /app\n")
    words = ("build", "-t", f"{name}:x", "--no-cache", "--build-arg", f"BASE={base}")
    cached = ("--cache-to", f"type=registry,ref={host}/{name}:cache", "--cache-from", f"{host}/{name}:cache")
    result = publish_with_engine(*words, *cached, cwd=project)
    assert result.code == 0, result.stderr
    seen = json.loads((recorded / "config.json").read_text())
    assert list(seen["auths"]) == [host]
    assert (recorded / "mode").read_text().split() == ["600", "700"]
    folder = (recorded / "folder").read_text().strip()
    assert folder != str(own.parent)
    assert not (tmp_path / folder).exists()
    own.unlink()
    denied = publish_with_engine(*words, "--pull", cwd=project)
    assert denied.code == 3, denied.stderr


@CONTAINERD
def test_several_platforms_are_released(
    project: Path, engine: EngineProcess, publish_with_engine: Publish, registry: RegistryProcess, name: str
) -> None:
    """A release takes them from the builder, attestations too; the engine holds nothing of it."""
    (project / "Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nCOPY page /page-$TARGETARCH\n")
    image = f"{registry.host}/{name}"
    (project / "publish.toml").write_text(
        f'images = ["{image}"]\n[build]\nplatforms = ["linux/amd64", "linux/arm64"]\nprovenance = "mode=min"\n'
    )
    words = ("release", "--allow-dirty", "--format", "json", "--verify", "digest")
    result = publish_with_engine(*words, cwd=project)
    assert result.code == 0, result.stderr
    assert result.document["image"]["platforms"] == ["linux/amd64", "linux/arm64"]
    index = registry_manifest(registry, name, "1.2.3")
    kinds = [entry.get("annotations", {}).get("vnd.docker.reference.type", "image") for entry in index["manifests"]]
    assert sorted(kinds) == ["attestation-manifest"] * 2 + ["image"] * 2
    assert name not in engine.docker("image", "ls", "--format", "{{.Repository}}")
    again = publish_with_engine(*words, cwd=project)
    assert (again.code, again.document["adopted"]) == (0, True), again.stderr


@CONTAINERD
def test_the_engine_sends_what_it_has_built(
    project: Path,
    engine: EngineProcess,
    publish_with_engine: Publish,
    registry: RegistryProcess,
    name: str,
    tmp_path: Path,
) -> None:
    """The bytes are those of a layout of the same build, and no name is left in the engine, whatever comes of it."""
    words = ("release", "--build", "--image", f"{registry.host}/{name}", "--allow-dirty", "--format", "json")
    built = publish_with_engine("build", "-o", f"oci:{tmp_path / 'layout'}", "--format", "json", cwd=project)
    result = publish_with_engine(*words, cwd=project)
    assert result.code == 0, (result.document, result.stderr)
    assert (result.code, result.document["via"]) == (0, "engine"), result.stderr
    assert result.document["image"]["digest"] == built.document["id"]
    again = publish_with_engine(*words, cwd=project)
    assert (again.code, again.document["adopted"]) == (0, True), again.stderr
    asked = publish_with_engine(*words, "--via", "direct", "--version", "1.3.0", cwd=project)
    assert (asked.code, asked.document["via"]) == (0, "copy"), asked.stderr
    (project / "page").write_text("two")
    assert publish_with_engine(*words, cwd=project).code == 4
    shown = engine.docker("image", "ls", "-a", "--format", "{{.Repository}}")
    assert "publish-" not in shown
    assert name not in shown


SCANNER = """\
#!/bin/busybox sh
test -f "$BUILDKIT_SCAN_SOURCE/page" || exit 1
cat > "$BUILDKIT_SCAN_DESTINATION/found.spdx.json" <<END
{"_type": "https://in-toto.io/Statement/v0.1", "subject": [], "predicateType": "https://spdx.dev/Document",
 "predicate": {"spdxVersion": "SPDX-2.3", "name": "what the scanner found"}}
END
"""


@CONTAINERD
def test_a_scanner_of_the_users_own(
    project: Path,
    engine: EngineProcess,
    publish_with_engine: Publish,
    private_registry: RegistryProcess,
    registry: RegistryProcess,
    name: str,
    tmp_path: Path,
) -> None:
    """`sbom` names the image that makes it: BuildKit pulls it by this user's login, and its words are released."""
    own = publish_with_engine.home / "docker" / "config.json"
    own.write_text(json.dumps({"auths": {private_registry.host: login(private_registry)}}))
    scanner = f"{private_registry.host}/{name}-scanner:1"
    folder = tmp_path / "scanner"
    folder.mkdir()
    shutil.copy(BUSYBOX, folder / "busybox")
    (folder / "scan").write_text(SCANNER)
    (folder / "Dockerfile").write_text(f'{SHELL}COPY --chmod=755 scan /scan\nENTRYPOINT ["/scan"]\n')
    engine.docker("build", "-q", "-t", scanner, str(folder))
    engine.docker("--config", str(own.parent), "push", "-q", scanner)
    engine.docker("rmi", "-f", scanner)
    (project / "publish.toml").write_text(
        f'images = ["{registry.host}/{name}"]\n[build]\nsbom = "generator={scanner}"\n'
    )
    result = publish_with_engine("release", "--allow-dirty", "--verify", "digest", cwd=project)
    assert result.code == 0, result.stderr
    *_, attestation = registry_manifest(registry, name, "1.2.3")["manifests"]
    assert attestation["annotations"]["vnd.docker.reference.type"] == "attestation-manifest"
    layers = registry_manifest(registry, name, attestation["digest"])["layers"]
    kinds = {layer["annotations"]["in-toto.io/predicate-type"]: layer["digest"] for layer in layers}
    with urllib.request.urlopen(f"{registry.url}/v2/{name}/blobs/{kinds['https://spdx.dev/Document']}") as response:
        statement = json.load(response)
    assert statement["predicate"]["name"] == "what the scanner found"
    assert statement["subject"], "the statement is about the image"


@CONTAINERD
def test_several_platforms_in_the_engine(
    project: Path, engine: EngineProcess, publish_with_engine: Publish, name: str
) -> None:
    """`--platform` may be repeated, or hold commas."""
    (project / "Dockerfile").write_text("FROM scratch\nCOPY page /page\n")
    words = ("build", "-t", f"{name}:x", "-t", f"{name}:y", "--platform", "linux/amd64,linux/arm64")
    result = publish_with_engine(*words, "--platform", "linux/s390x", "--format", "json", cwd=project)
    assert result.code == 0, result.stderr
    for tag in ("x", "y"):
        assert result.document["id"] == engine.docker("image", "inspect", "-f", "{{.Id}}", f"{name}:{tag}")


@CONTAINERD
def test_a_layout_instead_of_the_engine(
    project: Path, publish_with_engine: Publish, registry: RegistryProcess, name: str, tmp_path: Path
) -> None:
    """A folder or an archive, which a release takes; what holds something else is left alone."""
    for output in (f"oci:{tmp_path / 'layout'}", f"oci-archive:{tmp_path / 'image.tar'}"):
        built = publish_with_engine("build", "-o", output, "--format", "json", cwd=project)
        assert built.code == 0, built.stderr
        words = ("release", output, "--image", f"{registry.host}/{name}", "--format", "json", "--verify", "digest")
        released = publish_with_engine(*words, cwd=project)
        assert released.document["image"]["digest"] == built.document["id"], released.stderr
    assert publish_with_engine("build", "-o", f"oci:{tmp_path / 'layout'}", cwd=project).code == 0
    for bad in (f"oci:{project}", "docker:x", "oci:"):
        assert publish_with_engine("build", "-o", bad, cwd=project).code == 2
    (project / "Dockerfile").write_text("FROM scratch\nCOPY absent /\n")
    assert publish_with_engine("build", "-o", f"oci-archive:{tmp_path / 'no.tar'}", cwd=project).code == 1
    assert not list(tmp_path.glob("*no.tar*"))


@CONTAINERD
def test_compression_is_obeyed(
    project: Path, publish_with_engine: Publish, registry: RegistryProcess, name: str
) -> None:
    """The builder compresses as the release asks."""
    image = f"{registry.host}/{name}"
    words = ("release", "--build", "--image", image, "--verify", "digest", "--compression", "zstd")
    result = publish_with_engine(*words, cwd=project)
    assert result.code == 0, result.stderr
    kinds = {layer["mediaType"] for layer in registry_manifest(registry, name, "1.2.3")["layers"]}
    assert kinds == {"application/vnd.oci.image.layer.v1.tar+zstd"}


@CONTAINERD
def test_a_cache_is_kept_under_no_tag_of_a_release(
    project: Path, publish_with_engine: Publish, registry: RegistryProcess, name: str
) -> None:
    """The rules could write it: exit 2, before anything is built; another name of the same repository is fine."""
    image = f"{registry.host}/{name}"
    for tag in (":1.9.0", ":1", "", ":sha-abcdef0", ":yanked-1.2.3"):
        refused = publish_with_engine("build", "--image", image, "--cache-to", f"{image}{tag}", cwd=project)
        assert (refused.code, "which the rules may give an image" in refused.stderr) == (2, True), refused.stderr
        assert "build    " not in refused.stderr
    done = publish_with_engine("build", "--image", image, "--cache-to", f"{image}:buildcache", cwd=project)
    assert done.code == 0, done.stderr


@CONTAINERD
def test_what_cannot_be_released_is_not_built(
    project: Path, publish_with_engine: Publish, private_registry: RegistryProcess, registry: RegistryProcess, name: str
) -> None:
    """Rights, tags and caches are looked at first: nobody waits for a build in vain."""
    words = ("release", "--build", "--allow-dirty", "--image")
    for more, code in (
        ((f"{private_registry.host}/{name}",), 3),
        ((f"{registry.host}/{name}", "--rule", "type=ref,event=pr"), 4),
        ((f"{registry.host}/{name}", "--rule", "type=nonsense"), 2),
        (("127.0.0.1:1/x",), 6),
    ):
        result = publish_with_engine(*words, *more, cwd=project)
        assert (result.code, "build    " in result.stderr) == (code, False), result.stderr


@CONTAINERD
def test_a_dry_run_needs_no_secret(project: Path, publish_with_engine: Publish, registry: RegistryProcess) -> None:
    """Nothing is built, so that a stranger's pull request, which gets none, is planned all the same."""
    (project / "publish.toml").write_text(
        f'images = ["{registry.host}/t/dry"]\n[build]\nsecrets = ["id=a,env=TOKEN"]\nssh = "default"\n'
    )
    words = ("release", "--allow-dirty", "--dry-run")
    assert publish_with_engine(*words, cwd=project, environ={"SSH_AUTH_SOCK": ""}).code == 0
    built = publish_with_engine("build", cwd=project, environ={"SSH_AUTH_SOCK": ""})
    assert (built.code, "TOKEN, which is not set" in built.stderr) == (2, True), built.stderr


@CONTAINERD
def test_another_builder(
    project: Path,
    publish_with_engine: Publish,
    engine: EngineProcess,
    registry: RegistryProcess,
    name: str,
    tmp_path: Path,
) -> None:
    """--builder names one of those that buildx knows, also those that only this user has made, and needs no engine."""
    absent = publish_with_engine("build", "-t", f"{name}:x", "--builder", "absent", cwd=project)
    assert (absent.code, "docker buildx ls" in absent.stderr) == (2, True), absent.stderr
    own = publish_with_engine("build", "-t", f"{name}:x", "--builder", "default", cwd=project)
    assert own.code == 0, own.stderr
    with serve_buildkit(engine, tmp_path / "buildkit") as address:
        buildx = ("--config", str(publish_with_engine.home / "docker"), "buildx")
        engine.docker(*buildx, "create", "--name", "far", "--driver", "remote", address)
        platforms = 'platforms = ["linux/amd64", "linux/arm64"]\nprovenance = true\n'
        image = f"{registry.host}/{name}"
        (project / "publish.toml").write_text(f'images = ["{image}"]\n[build]\nbuilder = "far"\n{platforms}')
        nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/nowhere"}
        words = ("release", "--allow-dirty", "--format", "json")
        released = publish_with_engine(*words, cwd=project, environ=nowhere)
        assert released.code == 0, released.stderr
        assert len(registry_manifest(registry, name, "1.2.3")["manifests"]) == 4
        loaded = publish_with_engine("build", "-t", f"{name}:far", "--platform", "linux/amd64", cwd=project)
        assert loaded.code == 0, loaded.stderr
        assert engine.docker("run", "--rm", f"{name}:far", "/bin/busybox", "cat", "/page") == "one"
        # The same for all builds of this user.
        engine.docker(*buildx, "use", "far")
        (project / "publish.toml").write_text(f'images = ["{image}"]\n[build]\n')
        chosen = publish_with_engine(*words, "--version", "1.3.0", cwd=project)
        assert (chosen.code, chosen.document["via"]) == (0, "copy"), chosen.stderr


@CONTAINERD
def test_a_rehearsal_keeps_caches_in_the_sandbox(
    project: Path, publish_with_engine: Publish, sandbox_url: str, name: str, tmp_path: Path
) -> None:
    """Nothing else is written to, and nobody's credentials are read."""
    recorded = record_buildx(publish_with_engine.home, tmp_path / "recorded")
    own = publish_with_engine.home / "docker" / "config.json"
    own.write_text(json.dumps({"auths": {"registry.example": {"auth": "YTpi"}}}))
    cache = f"registry.example/me/{name.rpartition('/')[2]}:cache"
    words = ("release", "--build", "--allow-dirty", "--verify", "digest")
    (project / "publish.toml").write_text(f'images = ["me/{name}"]\n[build]\ncache-to = ["{cache}"]\n')
    result = publish_with_engine(*words, cwd=project, environ={"PUBLISH_SANDBOX": sandbox_url})
    assert result.code == 0, result.stderr
    assert "127.0.0.1" in (recorded / "words").read_text()
    assert cache not in (recorded / "words").read_text().splitlines()
    assert json.loads((recorded / "config.json").read_text())["auths"] == {}


@CONTAINERD
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_build_that_is_interrupted(number: int, project: Path, publish_with_engine: Publish, tmp_path: Path) -> None:
    """The builder is ended with it, at once, and nothing is left of the run's docker configuration."""
    recorded = record_buildx(publish_with_engine.home, tmp_path / "recorded")
    (project / "Dockerfile").write_text(f"{SHELL}RUN sleep 60\n")
    words = [publish_with_engine.program, "build", "--no-cache"]
    process = subprocess.Popen(words, env=publish_with_engine.environ, cwd=project, stderr=subprocess.PIPE, text=True)
    wait_until((recorded / "mode").is_file, seconds=30, what="buildx")
    folder = Path((recorded / "folder").read_text().strip())
    assert folder.is_dir()
    process.send_signal(number)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 128 + number, told
    assert not folder.exists()

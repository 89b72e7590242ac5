"""buildx's spelling, and what of it a configuration file may say."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.facts.build_checks import check_build_paths
from publisher.facts.config_errors import InvalidSetting
from publisher.facts.configuration import load
from publisher.model.build_values import BuildCache, BuildContext, BuildSecret, read_fields, write_fields
from publisher.model.errors import ConfigError
from publisher.model.settings import BuildSettings, Settings

FOLDER = Path("/src")


@pytest.mark.parametrize(
    ("text", "variable", "file"),
    [
        ("id=npm,env=NPM_TOKEN", "NPM_TOKEN", ""),
        ("id=npm,src=token", "", "token"),
        ("ID=npm,source=token", "", "token"),
        ("type=file,id=npm,src=token", "", "token"),
        ("type=env,id=npm,src=NPM_TOKEN", "NPM_TOKEN", ""),
        ('id=npm,"src=a,b"', "", "a,b"),
        ("id=npm", "", ""),
    ],
)
def test_secrets(text: str, variable: str, file: str) -> None:
    """A variable's value or a file's content, in every spelling of buildx."""
    assert BuildSecret.parse(text) == BuildSecret("npm", variable, file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("npm", "is not KEY=VALUE"),
        ("env=X", "has an id"),
        ("id=npm,mode=0400", "has no 'mode'"),
        ("id=npm,type=keyring,src=x", "env or file"),
        ("id=npm,env=X,src=x", "not both"),
        ('id=npm,"src=x', "end of data"),
        ("id=npm,env=PUBLISH_PASSWORD", "credential of publish itself"),
        ("id=npm,env=PUBLISH_CREDENTIALS", "credential of publish itself"),
        ("id=npm,env=DOCKERHUB_TOKEN", "credential of publish itself"),
        ("id=npm,type=env,src=DOCKER_AUTH_CONFIG", "credential of publish itself"),
        ("id=npm,env=COSIGN_PASSWORD", "credential of publish itself"),
    ],
)
def test_bad_secrets(text: str, said: str) -> None:
    """What buildx wouldn't take is refused, and what publish must not give away."""
    with pytest.raises(ValueError, match=said):
        BuildSecret.parse(text)


@pytest.mark.parametrize(
    ("text", "reference", "paths", "within"),
    [
        ("me/app:cache", "me/app:cache", (), "type=registry,ref=me/app:cache"),
        ("type=registry,ref=me/app:cache,mode=max", "me/app:cache", (), "type=registry,ref=me/app:cache,mode=max"),
        ("type=local,dest=out", "", ("out",), "type=local,dest=/src/out"),
        ("type=local,src=/in,tag=x", "", ("/in",), "type=local,src=/in,tag=x"),
        ("type=inline", "", (), "type=inline"),
        ("type=gha,scope=main", "", (), "type=gha,scope=main"),
    ],
)
def test_caches(text: str, reference: str, paths: tuple[str, ...], within: str) -> None:
    """An image by itself is one in a registry; a local one has a folder."""
    cache = BuildCache.parse(text)
    assert (cache.reference, cache.paths, str(cache.within(FOLDER))) == (reference, paths, within)


@pytest.mark.parametrize("text", ["", "ref=x", "type=local,dest"])
def test_bad_caches(text: str) -> None:
    """A cache has a type."""
    with pytest.raises(ValueError, match=r"a cache has a type|is not KEY=VALUE"):
        BuildCache.parse(text)


@pytest.mark.parametrize(
    ("text", "path", "within"),
    [
        ("lib=../lib", "../lib", "lib=/src/../lib"),
        ("lib=/abs", "/abs", "lib=/abs"),
        ("base=docker-image://me/base:1", "", "base=docker-image://me/base:1"),
        ("base=oci-layout://out/image:1", "out/image", "base=oci-layout:///src/out/image:1"),
        ("base=oci-layout://out@sha256:ab", "out", "base=oci-layout:///src/out@sha256:ab"),
        ("src=https://example.org/me.git#main", "", "src=https://example.org/me.git#main"),
        ("src=git@example.org:me.git", "", "src=git@example.org:me.git"),
    ],
)
def test_contexts(text: str, path: str, within: str) -> None:
    """A folder, a layout, an image or an address."""
    context = BuildContext.parse(text)
    assert (context.path, str(context.within(FOLDER))) == (path, within)


@given(st.lists(st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"])), min_size=1))
def test_records_read_back(fields: list[str]) -> None:
    """What is written for buildx is read as it was meant, whatever commas and quotes there are."""
    assert read_fields(write_fields(fields)) == fields


BAD = [
    ('secrets = ["id=x,src=../secret"]', "secrets.[0]", "a path inside"),
    ('secrets = ["id=../secret"]', "secrets.[0]", "a path inside"),
    ('secrets = ["id=x,src=/etc/passwd"]', "secrets.[0]", "a path inside"),
    ('secrets = ["id=x,src=link"]', "secrets.[0]", "a path inside"),
    ('secrets = ["id=x,env=PUBLISH_PASSWORD"]', "secrets.[0]", "credential of publish itself"),
    ('secrets = ["npm"]', "secrets.[0]", "is not KEY=VALUE"),
    ('ssh = "id=/root/.ssh/id_rsa"', "ssh", "only 'default'"),
    ('ssh = ["default", "other"]', "ssh.[1]", "only 'default'"),
    ('cache-to = ["type=local,dest=../out"]', "cache-to.[0]", "a path inside"),
    ('cache-from = ["type=local,src=/var"]', "cache-from.[0]", "a path inside"),
    ('cache-from = ["ref=x"]', "cache-from.[0]", "a cache has a type"),
    ('contexts = ["lib=../lib"]', "contexts.[0]", "a path inside"),
    ('contexts = { lib = "../lib" }', "contexts.lib", "a path inside"),
    ('contexts = ["lib=oci-layout://../lib:1"]', "contexts.[0]", "a path inside"),
    ('context = ".."', "context", "a path inside"),
    ('context = "link"', "context", "a path inside"),
    ('dockerfile = "../../Dockerfile"', "dockerfile", "a path inside"),
    ('dockerfile = "/etc/passwd"', "dockerfile", "a path inside"),
    ('platforms = ["amd64"]', "platforms.[0]", "not a platform"),
    ('network = "mine"', "network", "'default' or 'none' or 'host'"),
    ("provenance = 1", "provenance", "true or false"),
    ('secret = ["id=x"]', "secret", "one of"),
]


@pytest.mark.parametrize(("line", "key", "said"), BAD, ids=[line for line, _, _ in BAD])
def test_bad_keys(line: str, key: str, said: str, tmp_path: Path) -> None:
    """A configuration that came with the sources reads and writes nothing outside them; exit 2 with the key."""
    (tmp_path / "outside").mkdir()
    project = tmp_path / "project"
    subprocess.run(["git", "init", "--quiet", str(project)], check=True)
    (project / "link").symlink_to(tmp_path / "outside")
    (project / "publish.toml").write_text(f"[build]\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        load(None, project)
    assert f"build.{key}".replace(".[", "[") in caught.value.message
    assert said in caught.value.message


@pytest.mark.parametrize(
    "line",
    [
        'secrets = ["id=x,env=TOKEN", "id=y,src=../token", "id=z"]',
        'ssh = "default"',
        'ssh = ["default"]',
        'cache-from = ["me/app:cache", "type=local,src=cache"]',
        'cache-to = ["type=registry,ref=me/app:cache,mode=max", "type=inline"]',
        'contexts = { lib = "../lib", base = "docker-image://me/base" }',
        'contexts = ["lib=../lib", "src=https://example.org/x.git"]',
        "provenance = false",
        'provenance = "mode=max"',
        "sbom = true",
        'builder = "remote"\nnetwork = "none"\nshm-size = "64m"\nulimits = ["nofile=1024:1024"]',
        'context = ".."\ndockerfile = "docker/Dockerfile"',
    ],
)
def test_good_keys(line: str, tmp_path: Path) -> None:
    """Paths may go up to the root of the repository, also from a folder within it."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "publish.toml").write_text(f'images = ["me/app"]\n[build]\n{line}\n')
    assert load(None, tmp_path / "app").settings.build is not None


def test_without_a_repository_the_working_directory_is_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration in a folder below may build what stands beside it, and nothing outside."""
    folder = tmp_path / "work" / ".github"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    check_build_paths(Settings(build=BuildSettings(context="..")), folder, os.environ)
    with pytest.raises(InvalidSetting):
        check_build_paths(Settings(build=BuildSettings(context="../..")), folder, os.environ)

"""The configuration file."""

from __future__ import annotations

import contextlib
import os
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.facts.checks import check
from publisher.facts.config_errors import InvalidSetting, dotted_key, find_line
from publisher.facts.configuration import Configuration, load
from publisher.facts.conversion import convert
from publisher.model.errors import BadRule, ConfigError
from publisher.model.facts import Facts
from publisher.model.settings import HttpCheck, ImageSettings, RegistrySettings, Settings
from publisher.model.value import Place
from publisher.planning.candidates import PlanRequest, candidates

if TYPE_CHECKING:
    from pathlib import Path

# Every table, and most keys.
EXAMPLE = r"""
images = ["yeongyin/goalapp"]
source = "docker-daemon:goalapp"

[tags]
rules  = ["type=semver,pattern={{version}}"]
flavor = ["latest=auto"]

[build]
context = "."
dockerfile = "Dockerfile"
args = { NODE_ENV = "production" }
target = "runtime"
platforms = ["linux/amd64", "linux/arm64"]
secrets = ["id=npm,env=NPM_TOKEN"]

[smoke]
command = ["node", "app.js"]
env     = { PORT = "80" }
ports   = ["80"]
volumes = ["feedback:/app/feedback", "./fixtures:/app/fixtures:ro", "/app/node_modules"]
http    = { path = "/health", status = 200, contains = "ok" }
timeout = 30

[labels]
"org.opencontainers.image.licenses" = "MIT"

[transfer]
compression = "gzip"
level = 1

[hub]
description = "…"
readme      = "README.md"
immutable   = ["^[0-9]+\\.[0-9]+\\.[0-9]+$"]
create      = false
private     = false

[retention]
keep-last = 10
keep = ["^latest$", "^[0-9]+$"]
max-age-days = 90

[registry."registry.example:5000"]
insecure = false
ca-bundle = "ca.pem"
trusted-realms = ["auth.example"]
"""


def write(folder: Path, text: str, name: str = "publish.toml") -> Path:
    """Write a configuration."""
    file = folder / name
    file.write_text(text)
    return file


def complaint(folder: Path, text: str) -> ConfigError:
    """The error that a configuration gives."""
    write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load(None, folder)
    return caught.value


def test_example(tmp_path: Path) -> None:
    """Everything that the documentation shows is read."""
    file = write(tmp_path, EXAMPLE)
    found = load(None, tmp_path)
    assert (found.file, found.folder, found.path("ca.pem")) == (file, tmp_path, tmp_path / "ca.pem")
    assert found.settings.images == ("yeongyin/goalapp",)
    assert found.settings.smoke is not None
    assert found.settings.smoke.http == HttpCheck(path="/health", status=200, contains="ok")
    host = RegistrySettings(insecure=False, ca_bundle="ca.pem", trusted_realms=("auth.example",))
    assert found.settings.registry == {"registry.example:5000": host}


def test_no_file(tmp_path: Path) -> None:
    """No file at all works."""
    assert load(None, tmp_path) == Configuration(Settings(), None, tmp_path)


def test_pyproject(tmp_path: Path) -> None:
    """[tool.publish] in pyproject.toml serves too."""
    file = write(tmp_path, '[project]\nname = "x"\n[tool.publish]\nimages = ["a/b"]\n', "pyproject.toml")
    found = load(None, tmp_path)
    assert (found.file, found.settings.images) == (file, ("a/b",))


def test_pyproject_without_a_table(tmp_path: Path) -> None:
    """A pyproject.toml of something else is no configuration."""
    write(tmp_path, '[project]\nname = "x"\n', "pyproject.toml")
    assert load(None, tmp_path).file is None


def test_both_in_one_folder(tmp_path: Path) -> None:
    """Two configurations in one folder are an error."""
    write(tmp_path, "[tool.publish]\n", "pyproject.toml")
    assert "two configurations" in complaint(tmp_path, "").message


def test_upwards_to_the_root_of_git(tmp_path: Path) -> None:
    """The nearest file counts, up to git's root and no further."""
    root, deep = tmp_path / "root", tmp_path / "root" / "a" / "b"
    deep.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    write(tmp_path, 'images = ["too/far"]')
    assert load(None, deep).file is None
    file = write(root, 'images = ["a/b"]')
    assert load(None, deep) == Configuration(Settings(images=("a/b",)), file, root)
    nearer = write(root / "a", 'images = ["c/d"]')
    assert load(None, deep).file == nearer


@pytest.mark.parametrize("kind", ["foreign", "empty", "trusted"])
def test_whose_words_are_obeyed(kind: str, tmp_path: Path) -> None:
    """Above the folder only within a repository that git accepts: it is ours, or safe.directory names it."""
    if os.geteuid() != 0:
        pytest.xfail("only root can give a folder to another user")
    root, inner, home = tmp_path / "root", tmp_path / "root" / "inner", tmp_path / "home"
    for folder in (inner, home):
        folder.mkdir(parents=True)
    file = write(root, 'images = ["their/image"]')
    if kind == "empty":
        (root / ".git").mkdir()
    else:
        subprocess.run(["git", "init", "--quiet", str(root)], check=True)
        for path in (root, root / ".git"):
            os.chown(path, 12345, 12345)
    if kind == "trusted":
        (home / ".gitconfig").write_text(f"[safe]\n\tdirectory = {root}\n")
    environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
    assert load(None, inner, environ).file == (file if kind == "trusted" else None)
    assert load(None, root, environ).file == file
    assert load(file, inner, environ).file == file


def test_outside_git_only_the_folder(tmp_path: Path) -> None:
    """Outside git nothing above the working directory is read."""
    write(tmp_path, 'images = ["a/b"]')
    inner = tmp_path / "inner"
    inner.mkdir()
    assert load(None, inner).file is None


def test_stated_file(tmp_path: Path) -> None:
    """A file that is named counts alone, and its folder is the base of paths."""
    write(tmp_path, 'images = ["a/b"]')
    (tmp_path / "other").mkdir()
    stated = write(tmp_path / "other", 'images = ["c/d"]', "any.toml")
    assert load(stated, tmp_path) == Configuration(Settings(images=("c/d",)), stated, tmp_path / "other")


def test_stated_file_is_missing(tmp_path: Path) -> None:
    """A named file that isn't there is an error."""
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "none.toml", tmp_path)


def test_stated_pyproject_without_a_table(tmp_path: Path) -> None:
    """A named pyproject.toml must have the table."""
    with pytest.raises(ConfigError, match=r"has no table \[tool.publish\]"):
        load(write(tmp_path, "", "pyproject.toml"), tmp_path)


def test_named_images(tmp_path: Path) -> None:
    """Several images, each with tables of its own; a table at the top serves those without one."""
    write(
        tmp_path,
        '[labels]\na = "1"\n[images.api]\nrepositories = ["a/api"]\nversion-prefix = "api/"\n'
        '[images.web]\nrepositories = ["a/web"]\nlabels = {}\n',
    )
    assert load(None, tmp_path).settings.images == {
        "api": ImageSettings(repositories=("a/api",), version_prefix="api/", labels={"a": "1"}),
        "web": ImageSettings(repositories=("a/web",)),
    }


@pytest.mark.parametrize(
    ("text", "line", "key", "found", "allowed"),
    [
        pytest.param('images = ["a/b"]\n[smok]', 2, "smok", "the unknown key 'smok'", "smoke", id="unknown-table"),
        pytest.param("\n[smoke]\ntimout = 3", 3, "smoke.timout", "'timout'", "timeout", id="unknown-key"),
        pytest.param("[smoke]\nhttp = [{}, {pth = '/'}]", 2, "smoke.http[1].pth", "'pth'", "path", id="in-a-list"),
        pytest.param("[smoke]\ntimeout = 'x'", 2, "smoke.timeout", "'x'", "a number", id="wrong-type"),
        pytest.param("[smoke]\ntimeout = 0", 2, "smoke.timeout", "0", "a number, > 0", id="out-of-bounds"),
        pytest.param("images = 3", 1, "images", "3", "a table or a list", id="two-types"),
        pytest.param("images = ['a/b', 3]", 1, "images[1]", "3", "a string", id="wrong-item"),
        pytest.param("images = ['a/b:1']", 1, "images[0]", "'a/b:1'", "a repository without a tag", id="tag-in-image"),
        pytest.param("[labels]\na = 'x'\nb = 3", 3, "labels.b", "3", "a string", id="wrong-label"),
        pytest.param("[labels]\n'' = 'x'", 2, 'labels.""', "an empty key", "a label's name", id="empty-label"),
        pytest.param("[images.a]\nsource = 'x'", 1, "images.a", "no 'repositories'", "must be there", id="missing-key"),
        pytest.param(
            "[images.a]\nrepositories = ['A B']",
            2,
            "images.a.repositories[0]",
            "'A B'",
            "a repository",
            id="named-image",
        ),
        pytest.param(
            "source = 'x'\n[images.a]\nrepositories = ['a/b']",
            1,
            "source",
            "a source for all",
            "within",
            id="shared-source",
        ),
        pytest.param(
            "[transfer]\ncompression = 'lz4'", 2, "transfer.compression", "'lz4'", "'gzip' or 'zstd'", id="lz4"
        ),
        pytest.param("[transfer]\nlevel = 12", 2, "transfer.level", "12", "0 to 9 for gzip", id="gzip-level"),
        pytest.param(
            "transfer = {compression = 'zstd', level = 0}",
            1,
            "transfer.level",
            "0",
            "1 to 22 for zstd",
            id="zstd-level",
        ),
        pytest.param("[transfer]\nlevel = 99", 2, "transfer.level", "99", "a whole number, <= 22", id="level-bound"),
        pytest.param(
            "[hub]\nimmutable = ['a(']", 2, "hub.immutable[0]", "'a('", "a regular expression", id="immutable"
        ),
        pytest.param("[retention]\nkeep = ['', '*']", 2, "retention.keep[1]", "'*'", "a regular expression", id="keep"),
        pytest.param("[smoke]\noutput = '['", 2, "smoke.output", "'['", "a regular expression", id="output"),
        pytest.param("[smoke]\nhttp = {path = 'x'}", 2, "smoke.http.path", "'x'", "starts with /", id="http-path"),
        pytest.param("[smoke]\nhttp = {status = 7}", 2, "smoke.http.status", "7", "100 to 599", id="http-status"),
        pytest.param("[smoke]\nhttp = {port = 0}", 2, "smoke.http.port", "0", "a whole number, >= 1", id="http-port"),
        pytest.param("[smoke]\ncpus = 0", 2, "smoke.cpus", "0.0", "a number above 0", id="cpus"),
        pytest.param(
            '[registry."docker.io"]\ninsecure = true',
            2,
            'registry."docker.io".insecure',
            "true",
            "only false",
            id="hub-tls",
        ),
        pytest.param(
            '[registry."https://x"]', 1, 'registry."https://x"', "'https://x'", "a registry's host", id="url-as-host"
        ),
        pytest.param("[registry.word]", 1, "registry.word", "'word'", "a registry's host", id="word-as-host"),
        pytest.param("registry = 3", 1, "registry", "3", "a table", id="registry-type"),
        pytest.param("[registry]\n'a.b' = 3", 2, 'registry."a.b"', "3", "a table", id="registry-entry"),
        pytest.param(
            "[registry.'a.b']\nclient-key = 'k'",
            2,
            'registry."a.b".client-key',
            "a key",
            "client-cert",
            id="half-a-pair",
        ),
        pytest.param("source = 2020-01-01", 1, "source", "2020-01-01", "a string", id="date"),
    ],
)
def test_complaints(*, tmp_path: Path, text: str, line: int, key: str, found: str, allowed: str) -> None:
    """A complaint names file, line, key, what was found and what is allowed."""
    message = complaint(tmp_path, text).message
    assert message.startswith(f"{tmp_path / 'publish.toml'}, line {line}: {key}: found ")
    assert found in message.partition(": found ")[2].partition(", allowed is ")[0]
    assert allowed in message.partition(", allowed is ")[2]


def test_did_you_mean(tmp_path: Path) -> None:
    """An unknown key that is nearly right gets a guess."""
    assert complaint(tmp_path, "[retention]\nkeep_last = 3").hint == "did you mean 'keep-last'?"


def test_line_in_pyproject(tmp_path: Path) -> None:
    """Lines are found under [tool.publish] too, not under another tool's table."""
    write(tmp_path, "[tool.other]\nlevel = 99\n\n[tool.publish.transfer]\nlevel = 99\n", "pyproject.toml")
    with pytest.raises(ConfigError, match=r"pyproject.toml, line 5: tool.publish.transfer.level: found 99"):
        load(None, tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"a = 1\na = 2\n", "is not TOML", id="key-twice"),
        pytest.param(b"a = [\n", "is not TOML", id="cut"),
        pytest.param(b'a = "\xff"', "is not UTF-8", id="not-utf-8"),
    ],
)
def test_broken_file(tmp_path: Path, content: bytes, said: str) -> None:
    """A file that isn't TOML is an error, not an empty configuration."""
    (tmp_path / "publish.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        load(None, tmp_path)


def test_tool_publish_is_no_table(tmp_path: Path) -> None:
    """tool.publish must be a table."""
    write(tmp_path, "[tool]\npublish = 3\n", "pyproject.toml")
    with pytest.raises(ConfigError, match="is not a table"):
        load(None, tmp_path)


IN_TABLES = """images = ["a/b"]
[tags]
rules = [
  "type=sha",
  "type=semver",  # no pattern
]
flavor = ["latest=perhaps"]
"""
BY_IMAGE = """[images.api]
repositories = ["a/api"]
tags.rules = ['type=nope']
[images.web]
repositories = ["a/web"]
[images.web.tags]
rules = ["type=sha"]
flavor = [
  '''
  prefix={{nope}}
  ''']
"""


@pytest.mark.parametrize(
    ("text", "job", "line", "key"),
    [
        pytest.param(IN_TABLES.replace("perhaps", "auto"), None, 5, "tags.rules", id="rule"),
        pytest.param(IN_TABLES.replace('"type=semver", ', ""), None, 7, "tags.flavor", id="flavor"),
        pytest.param(BY_IMAGE, "api", 3, "images.api.tags.rules", id="of-an-image"),
        pytest.param(BY_IMAGE, "web", 10, "images.web.tags.flavor", id="in-a-block"),
    ],
)
def test_a_wrong_rule_is_told_with_its_line(tmp_path: Path, text: str, job: str | None, line: int, key: str) -> None:
    """As an unknown key is, whether it is found out when it is read or when it is applied."""
    file = write(tmp_path, text)
    configuration = load(None, tmp_path)
    images = configuration.settings.images
    tags = images[job].tags if isinstance(images, dict) and job else configuration.settings.tags
    facts = Facts(now=datetime(2026, 1, 1, tzinfo=UTC), ref="refs/heads/main", revision="a" * 40)
    with pytest.raises(ConfigError) as caught, configuration.locate_rules():
        candidates(PlanRequest(images=("a/b",), rules=tags.rules, flavor=tags.flavor), facts)
    assert caught.value.message.startswith(f"{file}, line {line}: {key}: the ")
    assert caught.value.place == Place(str(file), line)


def test_a_rule_of_the_command_line_has_no_line(tmp_path: Path) -> None:
    write(tmp_path, IN_TABLES)
    with pytest.raises(BadRule) as caught, load(None, tmp_path).locate_rules():
        raise BadRule("the rule 'type=sem' is wrong", rule="type=sem")
    assert caught.value.place is None


def test_a_mistake_in_toml_has_its_line(tmp_path: Path) -> None:
    file = write(tmp_path, "images = []\n[tags\n")
    with pytest.raises(ConfigError) as caught:
        load(None, tmp_path)
    assert caught.value.place == Place(str(file), 2)


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("a",), 1),
        (("t", "b"), 3),
        (("t", "u", "c"), 4),
        (("t", "x.y", "d"), 6),
        (("t", "x.y"), 5),
        (("l", "e"), 8),
        (("t", "none"), 2),
        (("none",), None),
    ],
)
def test_find_line(key: tuple[str, ...], line: int | None) -> None:
    """A key is found in its table, dotted or quoted; else the table around it."""
    text = "a = 1\n[t]\nb = 1\nu.c = 1\n[t.'x.y']\nd = 1\n[[l]]\ne = 1\n"
    assert find_line(text, key) == line


def test_dotted() -> None:
    """A key is written as in TOML."""
    assert dotted_key(("registry", "a.b", "list", "[0]", "x")) == 'registry."a.b".list[0].x'


@given(st.text(max_size=200))
def test_find_line_takes_any_text(text: str) -> None:
    """No text breaks the search for a line."""
    line = find_line(text, ("a", "b"))
    assert line is None or 1 <= line <= len(text.splitlines())


VALUES = st.recursive(
    st.booleans() | st.integers(-5, 500) | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(["images", "smoke", "http", "tags", "labels", "registry", "env", "exec", "hub", "a", ""])
DOCUMENTS = st.dictionaries(KEYS, st.one_of(VALUES, st.dictionaries(KEYS, VALUES, max_size=3)), max_size=4)


@given(DOCUMENTS)
def test_any_document_is_typed_or_complained_of(document: dict[str, object]) -> None:
    """Whatever a document holds, the answer is settings or a complaint, never another error."""
    with contextlib.suppress(InvalidSetting):
        check(convert(document))

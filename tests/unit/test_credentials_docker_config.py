"""Docker's own configuration."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from publisher.credentials.docker_config import DockerConfig
from publisher.model.credential import Absent, Answer, Broken, Present

if TYPE_CHECKING:
    from pathlib import Path


HUB = "https://index.docker.io/v1/"


def auth(text: str = "ann:canary") -> dict[str, str]:
    """An entry as docker login writes it."""
    return {"auth": base64.b64encode(text.encode()).decode()}


def ask(tmp_path: Path, document: object, registry: str = "reg.example", **environ: str) -> Answer:
    """Ask a config.json that holds `document`."""
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    (tmp_path / "config.json").write_bytes(content)
    return DockerConfig({"DOCKER_CONFIG": str(tmp_path), "PATH": str(tmp_path), **environ}).find(registry)


def pair(answer: Answer) -> tuple[str, str]:
    """User and secret of what was found."""
    assert isinstance(answer, Present), answer
    return answer.credential.username, answer.credential.secret


def write_helper(tmp_path: Path, name: str, script: str) -> None:
    """A credential helper on PATH."""
    path = tmp_path / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param(auth(), ("ann", "canary"), id="auth"),
        pytest.param(auth("ann:can:ary"), ("ann", "can:ary"), id="colon-in-secret"),
        pytest.param(auth("ann:canary\0\0"), ("ann", "canary"), id="padded"),
        pytest.param({"username": "ann", "password": "canary"}, ("ann", "canary"), id="plain"),
        pytest.param({"identitytoken": "canary", **auth()}, ("<token>", "canary"), id="identity-token"),
        pytest.param({"registrytoken": "canary"}, ("<registrytoken>", "canary"), id="registry-token"),
        pytest.param({"auth": f"{auth()['auth'][:4]}\n{auth()['auth'][4:]}\r\n"}, ("ann", "canary"), id="line-breaks"),
    ],
)
def test_entries(tmp_path: Path, entry: dict[str, str], expected: tuple[str, str]) -> None:
    """Each form of an entry of `auths`."""
    assert pair(ask(tmp_path, {"auths": {"reg.example": entry}})) == expected


@pytest.mark.parametrize(
    ("key", "registry", "matches"),
    [
        pytest.param(HUB, "docker.io", True, id="hub"),
        pytest.param("index.docker.io", "docker.io", True, id="hub-index"),
        pytest.param("docker.io", "docker.io", True, id="hub-short"),
        pytest.param("registry-1.docker.io", "docker.io", True, id="hub-api"),
        pytest.param("https://reg.example/v2/", "reg.example", True, id="address"),
        pytest.param("http://reg.example", "reg.example", True, id="http"),
        pytest.param("reg.example:5000", "reg.example:5000", True, id="port"),
        pytest.param("reg.example:5000", "reg.example", False, id="other-port"),
        pytest.param("reg.example", "reg.example.evil", False, id="suffix"),
        pytest.param("reg.example.evil", "reg.example", False, id="prefix"),
        pytest.param("a.reg.example", "reg.example", False, id="subdomain"),
        pytest.param(HUB, "reg.example", False, id="hub-for-another"),
        pytest.param("reg.example", "docker.io", False, id="another-for-hub"),
    ],
)
def test_keys(tmp_path: Path, key: str, registry: str, matches: bool) -> None:
    """A registry is found under each of its names, and never under another's."""
    answer = ask(tmp_path, {"auths": {key: auth()}}, registry)
    assert isinstance(answer, Present if matches else Absent)


def test_exact_key_comes_first(tmp_path: Path) -> None:
    """Of two keys for one host the exact one counts."""
    auths = {"https://reg.example/v1/": auth("old:x"), "reg.example": auth("new:y")}
    assert pair(ask(tmp_path, {"auths": auths})) == ("new", "y")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"auths": {}},
        {"auths": {"reg.example": {}}},
        {"auths": None, "credHelpers": None, "credsStore": None},
        {"auths": {"reg.example": None}},
        {"auths": {"reg.example": {"auth": ""}}},
        {"credsStore": ""},
    ],
    ids=json.dumps,
)
def test_absent(tmp_path: Path, document: dict[str, Any]) -> None:
    """What says nothing of this registry."""
    assert ask(tmp_path, document) == Absent()


@pytest.mark.parametrize("content", [b"", b" \n", b"null", b"null\n"], ids=ascii)
def test_an_empty_file_is_no_login(tmp_path: Path, content: bytes) -> None:
    """As docker takes it."""
    assert ask(tmp_path, content) == Absent()


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-8-sig", "a byte order mark,"), ("utf-16", "UTF-16"), ("utf-16-be", "UTF-16")],
)
def test_a_byte_order_mark_is_named(tmp_path: Path, encoding: str, name: str) -> None:
    """What is wrong isn't to be seen in an editor."""
    text = json.dumps({"auths": {"reg.example": auth()}})
    answer = ask(tmp_path, ("\ufeff" + text if encoding == "utf-16-be" else text).encode(encoding))
    assert isinstance(answer, Broken)
    assert name in answer.reason
    assert "without a byte order mark" in answer.hint


def test_without_a_file(tmp_path: Path) -> None:
    """No configuration is no credential."""
    assert DockerConfig({"HOME": str(tmp_path)}).find("reg.example") == Absent()


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"{", id="cut"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"\xff\xfe", id="not-utf-8"),
        pytest.param(b'{"a":' * 100_000, id="deep"),
        pytest.param({"auths": ["canary"]}, id="auths-list"),
        pytest.param({"auths": "canary"}, id="auths-text"),
        pytest.param({"auths": {"reg.example": "canary"}}, id="entry-text"),
        pytest.param({"auths": {"other.example": ["canary"]}}, id="other-entry-list"),
        pytest.param({"auths": {"reg.example": {"auth": 5}}}, id="auth-number"),
        pytest.param({"auths": {"reg.example": {"username": "me", "password": ["canary"]}}}, id="password-list"),
        pytest.param({"auths": {"reg.example": {"identitytoken": {"canary": 1}}}}, id="token-object"),
        pytest.param({"credHelpers": ["canary"]}, id="helpers-list"),
        pytest.param({"credHelpers": {"reg.example": 5}}, id="helper-number"),
        pytest.param({"credsStore": ["canary"]}, id="store-list"),
        pytest.param({"auths": []}, id="auths-empty-list"),
        pytest.param({"auths": {"reg.example": {"auth": 0}}}, id="auth-zero"),
        pytest.param({"credsStore": 0}, id="store-zero"),
        pytest.param({"auths": {"reg.example": {"auth": "!canary!"}}}, id="not-base64"),
        pytest.param({"auths": {"reg.example": {"auth": "canäry"}}}, id="not-ascii"),
        pytest.param({"auths": {"reg.example": {"auth": "/////w=="}}}, id="not-text"),
        pytest.param({"auths": {"reg.example": auth("canary")}}, id="no-colon"),
        pytest.param({"auths": {"reg.example": auth(":canary")}}, id="no-user"),
        pytest.param({"credsStore": "absent"}, id="no-such-helper"),
        pytest.param({"credsStore": "../../bin/sh"}, id="helper-elsewhere"),
    ],
)
def test_broken(tmp_path: Path, document: object) -> None:
    """What can't be read is broken, never absent, and its secret isn't told."""
    answer = ask(tmp_path, document)
    assert isinstance(answer, Broken)
    assert "canary" not in answer.reason


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    """A file that can't be read is broken."""
    (tmp_path / "config.json").mkdir()
    answer = DockerConfig({"DOCKER_CONFIG": str(tmp_path)}).find("reg.example")
    assert isinstance(answer, Broken)
    assert "can't be read" in answer.reason


def test_helper_of_the_registry_comes_first(tmp_path: Path) -> None:
    """credHelpers, then credsStore, then auths."""
    for name in ("mine", "all"):
        write_helper(tmp_path, name, f"""echo '{{"Username":"{name}","Secret":"s"}}'""")
    document = {"credHelpers": {"reg.example": "mine"}, "credsStore": "all", "auths": {"reg.example": auth()}}
    assert pair(ask(tmp_path, document))[0] == "mine"
    assert pair(ask(tmp_path, document, "other.example"))[0] == "all"


def test_helper_without_one_leaves_auths(tmp_path: Path) -> None:
    """A helper that has none leaves the file's own entry."""
    write_helper(tmp_path, "none", "echo credentials not found in native keychain; exit 1")
    assert pair(ask(tmp_path, {"credsStore": "none", "auths": {"reg.example": auth()}})) == ("ann", "canary")


def test_empty_helper_means_the_file(tmp_path: Path) -> None:
    """As docker reads it, a helper of no name takes the registry out of credsStore."""
    document = {"credHelpers": {"reg.example": ""}, "credsStore": "absent", "auths": {"reg.example": auth()}}
    assert pair(ask(tmp_path, document)) == ("ann", "canary")


def test_helper_is_asked_for_the_hub_by_its_old_name(tmp_path: Path) -> None:
    """Docker Hub's key is a historical address."""
    write_helper(tmp_path, "echo", """read -r server; echo "{\\"Username\\":\\"$server\\",\\"Secret\\":\\"s\\"}" """)
    assert pair(ask(tmp_path, {"credsStore": "echo"}, "docker.io"))[0] == HUB


def test_variable_comes_before_the_file(tmp_path: Path) -> None:
    """DOCKER_AUTH_CONFIG is asked first, and only what it lacks is left to the file."""
    variable = json.dumps({"auths": {"reg.example": auth("bob:s")}})
    document = {"auths": {"reg.example": auth(), "other.example": auth()}}
    assert pair(ask(tmp_path, document, DOCKER_AUTH_CONFIG=variable))[0] == "bob"
    assert pair(ask(tmp_path, document, "other.example", DOCKER_AUTH_CONFIG=variable))[0] == "ann"


@pytest.mark.parametrize("text", ["canary", "[]", "\udcff"], ids=ascii)
def test_broken_variable(tmp_path: Path, text: str) -> None:
    """A variable that is no JSON object stops the search."""
    answer = ask(tmp_path, {"auths": {"reg.example": auth()}}, DOCKER_AUTH_CONFIG=text)
    assert isinstance(answer, Broken)
    assert "canary" not in answer.reason


def who(tmp_path: Path, keys: list[str], registry: str, repository: str) -> str | None:
    """The key whose credential is taken; each key's user is the key itself."""
    auths = {
        key: {"auth": base64.b64encode(f"{key.replace(':', '_')}:s".encode()).decode()} for key in keys
    }  # a colon would end the user
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    answer = DockerConfig({"DOCKER_CONFIG": str(tmp_path)}).find(registry, repository)
    return answer.credential.username if isinstance(answer, Present) else None


@pytest.mark.parametrize(
    ("keys", "registry", "repository", "expected"),
    [
        pytest.param(["r.example/a"], "r.example", "a/app", "r.example/a", id="folder"),
        pytest.param(["r.example/a"], "r.example", "b/app", None, id="other-folder"),
        pytest.param(["r.example/a"], "r.example", "ab/app", None, id="half-a-part"),
        pytest.param(["r.example/a"], "r.example", "", None, id="no-repository"),
        pytest.param(["r.example/a", "r.example/a/app"], "r.example", "a/app", "r.example/a/app", id="closest"),
        pytest.param(["r.example", "r.example/a"], "r.example", "a/app", "r.example/a", id="before-the-host"),
        pytest.param(["r.example", "r.example/a"], "r.example", "b/app", "r.example", id="the-host"),
        pytest.param(["r.example/a"], "r.example.evil", "a/app", None, id="other-host"),
        pytest.param(["docker.io/ann"], "docker.io", "ann/app", "docker.io/ann", id="hub"),
        pytest.param(["docker.io/ann"], "docker.io", "bob/app", None, id="hub-other-folder"),
        pytest.param(["https://r.example/v2/"], "r.example", "v2/app", "https_//r.example/v2/", id="address"),
        pytest.param(["r.example/v1/"], "r.example", "a/app", "r.example/v1/", id="address-without-scheme"),
    ],
)
def test_closest_key(tmp_path: Path, keys: list[str], registry: str, repository: str, expected: str | None) -> None:
    """A key with a path holds for what is below it, part by part, and the closest key is taken."""
    assert who(tmp_path, keys, registry, repository) == expected


def test_hub_under_another_name_in_a_helper(tmp_path: Path) -> None:
    """`docker login registry-1.docker.io` is kept apart; it is found too."""
    helper = tmp_path / "docker-credential-apart"
    helper.write_text(
        "#!/bin/sh\nread -r server\n"
        '[ "$server" = registry-1.docker.io ] && echo \'{"Username":"ann","Secret":"s"}\' && exit\n'
        "echo credentials not found in native keychain; exit 1\n"
    )
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "apart"}))
    answer = DockerConfig({"DOCKER_CONFIG": str(tmp_path), "PATH": str(tmp_path)}).find("docker.io", "ann/app")
    assert isinstance(answer, Present)

"""Signing in and out, with a real registry, a real keyring and docker's own CLI."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from publisher.model.errors import UsageError
from publisher.sandbox.options import Options
from publisher.sandbox.server import Sandbox
from publisher.workflows.login import LoginTarget
from tests.support.layout import make_layout
from tests.support.registry import SECRET, USER
from tests.support.terminal import run_terminal

if TYPE_CHECKING:
    from tests.support.command import Publish
    from tests.support.engine import EngineProcess
    from tests.support.registry import RegistryProcess

UNLOCK = "printf pass | gnome-keyring-daemon --unlock --components=secrets >/dev/null; "


def in_session(publish: Publish, script: str, before: str = UNLOCK) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a session bus of its own, with a keyring."""
    folder = Path(sys.executable).parent
    environ = {
        **publish.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "XDG_RUNTIME_DIR": str(publish.home),
        "XDG_DATA_HOME": str(publish.home / "data"),
    }
    words = ["dbus-run-session", "--", "sh", "-c", before + script]
    return subprocess.run(
        words, env=environ, cwd=publish.home, capture_output=True, text=True, timeout=120, check=False
    )


def login_words(host: str, *more: str) -> str:
    """A login with the secret on stdin."""
    words = " ".join(["publish login", host, "-u", USER, "--password-stdin", *more])
    return f"printf %s {shlex.quote(SECRET)} | {words}; echo code $?; "


def files_with(secret: str, *folders: Path) -> list[str]:
    """The files that hold a secret, raw or in base64."""
    forms = [secret.encode(), base64.b64encode(secret.encode()), base64.b64encode(f"{USER}:{secret}".encode())]
    found = (file for folder in folders for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return [str(file) for file in found if any(form in file.read_bytes() for form in forms)]


def test_the_keyring_keeps_it(private_registry: RegistryProcess, publish: Publish, name: str) -> None:
    """After a login a release needs nothing else; whoami names the source; after a logout nobody is signed in."""
    host = private_registry.host
    make_layout(publish.home / "layout", "one")
    script = (
        login_words(host)
        + f"publish -q release oci:layout --image {host}/{name} --version 1.0.0 >/dev/null; echo release $?; "
        + f"publish whoami {host} --format json; publish logout {host}; publish whoami {host}; echo whoami $?"
    )
    done = in_session(publish, script)
    lines = done.stdout.splitlines()
    assert f"{host}: {USER}, by a password or token" in lines, done.stdout + done.stderr
    assert "code 0" in lines
    assert "release 0" in lines
    who = json.loads(next(line for line in lines if line.startswith("{")))
    assert (who["username"], who["source"], who["proven"]) == (USER, "the keyring", True)
    assert lines[-1] == "whoami 3"
    assert "still valid" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert not files_with(SECRET, publish.home / "config", publish.home / "state", publish.home / "docker")


def test_a_refused_credential_is_not_stored(private_registry: RegistryProcess, publish: Publish) -> None:
    """A wrong password is denied, exit 3, and nothing is kept."""
    host = private_registry.host
    done = in_session(publish, f"printf wrong | publish login {host} -u {USER} --password-stdin; echo code $?")
    assert "code 3" in done.stdout
    assert not (publish.home / "config" / "publish" / "logins.json").exists()


@pytest.mark.parametrize("secret", ["", " x", "x ", "a\\nb", "a\\tb"])
def test_pasted_secrets(secret: str, private_registry: RegistryProcess, publish: Publish) -> None:
    """What was pasted with more than it should hold is refused with a message."""
    script = f"printf '{secret}' | publish login {private_registry.host} -u {USER} --password-stdin; echo code $?"
    done = in_session(publish, script, "")
    assert "code 3" in done.stdout, done.stderr


def test_without_a_keyring(private_registry: RegistryProcess, publish: Publish) -> None:
    """Without a Secret Service a login says which ways are left, and the environment works all the same."""
    host = private_registry.host
    result = publish("login", host, "-u", USER, "--password-stdin", stdin=SECRET)
    assert result.code == 3
    assert "This machine has no keyring" in result.stderr
    assert {"--store", "docker'", "PUBLISH_USERNAME", "PUBLISH_PASSWORD"} <= set(re.split(r"[ ,.\n]+", result.stderr))
    given = {"PUBLISH_USERNAME": USER, "PUBLISH_PASSWORD": SECRET, "PUBLISH_REGISTRY": host}
    who = publish("whoami", host, "--format", "json", environ=given)
    assert (who.code, who.document["source"]) == (0, "PUBLISH_USERNAME and PUBLISH_PASSWORD")


def test_an_unsafe_backend_is_refused(private_registry: RegistryProcess, publish: Publish) -> None:
    """A backend that keeps nothing safe is refused by its name."""
    given = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    result = publish("login", private_registry.host, "-u", USER, "--password-stdin", stdin=SECRET, environ=given)
    assert result.code == 3
    assert "keyring.backends.null.Keyring does not keep secrets safe" in result.stderr


def test_docker_s_own_file(private_registry: RegistryProcess, publish: Publish) -> None:
    """--store docker writes what docker would, keeps everything else, says where, and only the owner reads it."""
    host = private_registry.host
    config = publish.home / "docker" / "config.json"
    config.parent.mkdir()
    config.write_text('{\n  "psFormat": "x",\n  "auths": {\n    "other.example": {}\n  }\n}\n')
    config.chmod(0o644)
    words = ["login", host, "-u", USER, "--password-stdin", "--store", "docker"]
    result = publish(*words, stdin=SECRET)
    assert result.code == 0, result.stderr
    assert str(config) in result.stderr
    found = json.loads(config.read_text())
    assert list(found) == ["psFormat", "auths"]
    assert found["auths"]["other.example"] == {}
    assert base64.b64decode(found["auths"][host]["auth"]).decode() == f"{USER}:{SECRET}"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert config.read_text().startswith('{\n  "psFormat"')
    who = publish("whoami", host, "--format", "json")
    assert who.document["source"] == str(config)
    out = publish("logout", host)
    assert (out.code, f"{host}: forgotten" in out.stdout) == (0, True)
    assert json.loads(config.read_text()) == {"psFormat": "x", "auths": {"other.example": {}}}
    assert not files_with(SECRET, publish.home / "config", publish.home / "docker")
    assert "there was no login" in publish("logout", host).stdout


@pytest.mark.parametrize(
    ("content", "code"), [(b"", 0), (b"null", 0), (b"\xef\xbb\xbf{}", 3), ("{}".encode("utf-16"), 3)], ids=ascii
)
def test_docker_s_file_as_it_is_found(
    content: bytes, code: int, private_registry: RegistryProcess, publish: Publish
) -> None:
    """An empty one is filled; one that docker itself can't read is named and left."""
    config = publish.home / "docker" / "config.json"
    config.parent.mkdir()
    config.write_bytes(content)
    words = ["login", private_registry.host, "-u", USER, "--password-stdin", "--store", "docker"]
    done = publish(*words, stdin=SECRET)
    assert (done.code, str(config) in done.stderr) == (code, True), done.stderr
    assert (config.read_bytes() == content) is (code != 0)


def test_a_missing_keyring_is_known_before_anything_is_asked(publish: Publish) -> None:
    """On a terminal neither user nor password is asked for in vain."""
    environ = {**publish.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
    environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
    with run_terminal(["publish", "login", "registry.example"], environ, cwd=publish.home) as terminal:
        assert terminal.end() == 3
        assert "no keyring" in terminal.screen()
        assert "Username" not in terminal.screen()


def test_a_keyring_that_nobody_unlocks(private_registry: RegistryProcess, publish: Publish) -> None:
    """Without a display it can't ask for a password: one sentence says so, and what to do."""
    start = "gnome-keyring-daemon --start --components=secrets >/dev/null 2>&1; "
    done = in_session(publish, login_words(private_registry.host), start)
    assert "code 3" in done.stdout, done.stderr
    assert "keyring is locked" in done.stderr
    assert "--store docker" in " ".join(done.stderr.split())
    assert "Prompt dismissed" not in done.stderr


def test_what_docker_wrote_is_left_and_named(publish: Publish) -> None:
    """A login of docker's own is not publish's to take out, unless --docker says so; nor are variables."""
    config = publish.home / "docker" / "config.json"
    config.parent.mkdir()
    entry = base64.b64encode(f"{USER}:{SECRET}".encode()).decode()
    auths = {"registry.example": {"auth": entry}, "ours.example": {}}
    text = json.dumps({"auths": auths, "credHelpers": {"ours.example": "publish"}})
    config.write_text(text)
    variables = {"PUBLISH_USERNAME": USER, "PUBLISH_PASSWORD": SECRET, "PUBLISH_REGISTRY": "registry.example"}
    kept = publish("logout", "registry.example", "--format", "json", environ=variables)
    assert kept.document["forgotten"] is False
    assert [sentence.rpartition(": ")[2] for sentence in kept.document["left"]] == [
        "docker logout registry.example", "unset them",
    ]  # fmt: skip
    assert "publish logout ours.example --docker" in publish("logout", "ours.example").stderr
    assert config.read_text() == text
    for host in ("registry.example", "ours.example"):
        assert f"{host}: forgotten" in publish("logout", host, "--docker").stdout
    assert json.loads(config.read_text()) == {}


def test_a_login_in_dockers_general_store_is_named(publish: Publish) -> None:
    """Docker asks it for every registry: what it holds still signs in."""
    helper = publish.home / "bin" / "docker-credential-general"
    helper.parent.mkdir()
    helper.write_text(
        "#!/bin/sh\nread server\n"
        'case $server in held.example) echo \'{"ServerURL":"x","Username":"me","Secret":"s"}\';;\n'
        "*) echo credentials not found in native keychain; exit 1;; esac\n"
    )
    helper.chmod(0o755)
    (publish.home / "docker").mkdir()
    (publish.home / "docker" / "config.json").write_text('{"credsStore": "general"}')
    environ = {"PATH": f"{helper.parent}:{publish.environ['PATH']}"}
    held = " ".join(publish("logout", "held.example", environ=environ).stderr.split())
    assert "credsStore, docker-credential-general, holds a login for held.example: docker logout held.example" in held
    assert "general" not in publish("logout", "other.example", environ=environ).stderr


def test_nobody_types_a_password_for_a_registry_that_is_not_there(publish: Publish) -> None:
    with run_terminal(["publish", "login", "nowhere.invalid", "--store", "docker"], _environ(publish)) as terminal:
        assert terminal.end() == 6
        assert "nowhere.invalid is not known to DNS" in " ".join(terminal.screen().split())
        assert "Username" not in terminal.screen()


def test_the_prompts_name_the_registry(private_registry: RegistryProcess, publish: Publish) -> None:
    """And a password that isn't taken is told as that."""
    words = ["publish", "login", private_registry.host, "--store", "docker"]
    with run_terminal(words, _environ(publish)) as terminal:
        terminal.wait_for(f"Username at {private_registry.host}")
        terminal.type(f"{USER}\r")
        terminal.wait_for(f"Password or token of {USER} at {private_registry.host}")
        terminal.type("wrong\r")
        assert terminal.end() == 3
        assert "does not accept this password or token" in " ".join(terminal.screen().split())


def _environ(publish: Publish) -> dict[str, str]:
    return {**publish.environ, "PATH": f"{Path(sys.executable).parent}:{publish.environ['PATH']}"}


def test_an_entry_that_docker_wrote_over_ours_is_docker_s(private_registry: RegistryProcess, publish: Publish) -> None:
    """Another user stands there now: it is left, and named."""
    host = private_registry.host
    assert publish("login", host, "-u", USER, "--password-stdin", "--store", "docker", stdin=SECRET).code == 0
    config = publish.home / "docker" / "config.json"
    text = json.dumps({"auths": {host: {"auth": base64.b64encode(b"another:secret").decode()}}})
    config.write_text(text)
    out = publish("logout", host)
    assert f"docker logout {host}" in out.stderr
    assert config.read_text() == text


def test_docker_asks_our_keyring(
    private_registry: RegistryProcess, engine: EngineProcess, publish: Publish, name: str
) -> None:
    """docker's real CLI, set up by --docker, pushes and pulls; its logout forgets the login, its login stores one."""
    host = private_registry.host
    image = f"{host}/{name}:1"
    engine.build(f"src-{name[2:]}", "docker cli", publish.home / "context")
    script = (
        f"export DOCKER_HOST={engine.host}; docker tag src-{name[2:]} {image}; "
        f"docker push -q {image}; echo before $?; "
        + login_words(host, "--docker")
        + f"docker push -q {image}; echo push $?; docker pull -q {image}; echo pull $?; "
        + f"docker logout {host}; docker push -q {image}; echo after $?; "
        + f"printf %s {shlex.quote(SECRET)} | docker login -u {USER} --password-stdin {host}; echo by hand $?; "
        + f"docker push -q {image}; echo again $?; publish -v whoami {host}"
    )
    done = in_session(publish, script)
    lines = done.stdout.splitlines()
    for said in ("before 1", "code 0", "push 0", "pull 0", "after 1", "by hand 0", "again 0"):
        assert said in lines, done.stdout + done.stderr
    assert f"credential for {host}: {USER}, from the keyring" in done.stderr
    assert not files_with(SECRET, publish.home / "docker")


def test_a_namespace_is_nothing_for_docker(private_registry: RegistryProcess, publish: Publish) -> None:
    """--docker for one namespace is refused before anything is stored."""
    done = in_session(publish, login_words(f"{private_registry.host}/team", "--docker"))
    assert "code 2" in done.stdout, done.stderr
    assert "knows no logins for one namespace" in done.stderr
    assert not (publish.home / "config" / "publish" / "logins.json").exists()


def test_two_writers(publish: Publish) -> None:
    """Two that change docker's file at once both find their change in it."""
    code = (
        "import sys; from pathlib import Path; from publisher.credentials.docker_config_file import DockerConfigFile;"
        "from publisher.receipts.atomic import write_atomically;"
        "file = DockerConfigFile(Path(sys.argv[1]), write_atomically);"
        "[file.use_helper(f'{sys.argv[2]}{n}.example') for n in range(20)]"
    )
    file = publish.home / "docker" / "config.json"
    children = [subprocess.Popen([sys.executable, "-c", code, str(file), who]) for who in ("a", "b")]
    assert [child.wait(60) for child in children] == [0, 0]
    assert len(json.loads(file.read_text())["credHelpers"]) == 40


def test_nobody_to_ask(publish: Publish) -> None:
    """Without a terminal, and without a secret on stdin or in the environment, the way forward is told."""
    result = publish("login", "registry.example", "--store", "docker")
    assert (result.code, "--password-stdin" in result.stderr) == (3, True)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("docker.io", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io/my-org", "docker.io/my-org"),
        ("localhost:5000", "localhost:5000"),
        ("ghcr.io/me", "ghcr.io/me"),
    ],
)
def test_places(text: str, place: str) -> None:
    """A registry by any of its names, or one namespace of it."""
    assert str(LoginTarget.parse(text)) == place


@pytest.mark.parametrize("text", ["not a host", "me/app:1", "http://x y", "user@host.example", "-x.example", "me"])
def test_bad_places(text: str) -> None:
    """What is no registry is refused."""
    with pytest.raises(UsageError):
        LoginTarget.parse(text)


def test_a_registry_that_lets_strangers_in_by_a_token_is_asked_all_the_same(publish: Publish) -> None:
    """As Docker Hub: a stranger's token opens the front door, and a wrong secret is not stored."""
    with Sandbox(options=Options(auth=True)) as sandbox:
        host = sandbox.url.removeprefix("http://")
        login = f"publish login {host} -u sandbox --password-stdin --format json; echo code $?; "
        done = in_session(publish, f"printf wrong | {login} printf sandbox | {login} publish logout {host}")
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("code")] == ["code 3", "code 0"], done.stderr
    assert '"proven":true' in done.stdout


def test_a_locked_keyring_ends_with_the_way_forward(private_registry: RegistryProcess, publish: Publish) -> None:
    """Nobody is there to unlock it: exit 3 within seconds, never an anonymous run; the environment still serves."""
    host = private_registry.host
    lock = (
        "import secretstorage; bus = secretstorage.dbus_init(); "
        "[one.lock() for one in secretstorage.get_all_collections(bus)]"
    )
    pair = f"PUBLISH_REGISTRY={host} PUBLISH_USERNAME={USER} PUBLISH_PASSWORD={shlex.quote(SECRET)}"
    script = (
        login_words(host)
        + f"python -c {shlex.quote(lock)}; "
        + f"publish whoami {host} --format json; echo code $?; "
        + f"publish plan --image {host}/app --version 1.0.0; echo code $?; "
        + f"{pair} publish whoami {host} --format json; echo code $?"
    )
    began = time.monotonic()
    done = in_session(publish, script)
    assert [line for line in done.stdout.splitlines() if line.startswith("code")] == [
        "code 0",
        "code 3",
        "code 3",
        "code 0",
    ]
    assert time.monotonic() - began < 60
    assert '"kind":"broken-credential"' in done.stdout
    assert "unlock" in done.stderr
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize("words", [(), ("-u", "sandbox", "--password-stdin")], ids=["no terminal", "stdin"])
def test_in_a_sandbox_nobody_is_asked_for_a_password(publish: Publish, words: tuple[str, ...]) -> None:
    """There a login would prove nothing, and is refused before a secret is asked for or a keyring looked for."""
    with Sandbox() as sandbox:
        refused = publish("login", *words, environ={"PUBLISH_SANDBOX": sandbox.url})
    assert (refused.code, "A sandbox needs no login. Unset PUBLISH_SANDBOX." in refused.stderr) == (4, True)


def test_what_was_denied_is_said_in_a_sentence(publish: Publish) -> None:
    """Of a look as well as of a push."""
    with Sandbox(faults=["GET /tags/list every 403"]) as sandbox:
        denied = publish("status", "--image", "me/app", environ={"PUBLISH_SANDBOX": sandbox.url})
    assert (denied.code, "publish: Listing the tags of docker.io/me/app as " in denied.stderr) == (3, True)

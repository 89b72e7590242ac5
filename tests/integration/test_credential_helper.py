"""`docker-credential-publish` by docker's protocol, with a real Secret Service."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.command import Publish

HELPER = str(Path(sys.executable).with_name("docker-credential-publish"))
SECRET = 'it\'s "quoted" \\ and ünicode'

# In one session bus with an unlocked keyring: store, get, list, erase, get.
SCRIPT = """
printf 'pass' | gnome-keyring-daemon --unlock --components=secrets >/dev/null
printf '%s' "$PAYLOAD" | "$HELPER" store; echo "store $?"
printf 'https://index.docker.io/v1/' | "$HELPER" get; echo "get $?"
"$HELPER" list; echo "list $?"
printf 'https://index.docker.io/v1/' | "$HELPER" erase; echo "erase $?"
printf 'https://index.docker.io/v1/' | "$HELPER" get; echo "get $?"
pkill -P $$ 2>/dev/null || true
"""


def test_a_real_keyring_keeps_and_forgets(publish: Publish) -> None:
    """What was stored comes back to the byte, is listed without its secret, and is gone after erase."""
    assert shutil.which("gnome-keyring-daemon")
    payload = json.dumps({"ServerURL": "https://index.docker.io/v1/", "Username": "me", "Secret": SECRET})
    environ = {**publish.environ, "HELPER": HELPER, "PAYLOAD": payload, "XDG_RUNTIME_DIR": str(publish.home)}
    environ["XDG_DATA_HOME"] = str(publish.home / "data")
    done = subprocess.run(
        ["dbus-run-session", "--", "sh", "-c", SCRIPT],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "store 0", done.stdout + done.stderr
    assert json.loads(lines[1]) == {"ServerURL": "https://index.docker.io/v1/", "Username": "me", "Secret": SECRET}
    assert lines[2:] == [
        "get 0",
        '{"https://index.docker.io/v1/":"me"}',
        "list 0",
        "erase 0",
        "credentials not found in native keychain",
        "get 1",
    ]
    index = publish.home / "config" / "publish" / "logins.json"
    assert SECRET not in index.read_text()


@pytest.mark.parametrize(
    ("words", "given", "code", "said"),
    [
        pytest.param([], "", 1, "Usage: docker-credential-publish <store|get|erase|list|version>\n", id="no-word"),
        pytest.param(["a", "b"], "", 1, "Usage: docker-credential-publish <store|get|erase|list|version>\n", id="two"),
        pytest.param(["sell"], "", 1, "docker-credential-publish: unknown action: sell\n", id="unknown"),
        pytest.param(["get"], "", 1, "no credentials server URL\n", id="get-nothing"),
        pytest.param(["erase"], " \n", 1, "no credentials server URL\n", id="erase-nothing"),
        pytest.param(["get"], "example.com\n", 1, "credentials not found in native keychain\n", id="absent"),
        pytest.param(["store"], '{"ServerURL":"a"}', 1, "no credentials username\n", id="no-user"),
        pytest.param(["store"], '{"Username":"a"}', 1, "no credentials server URL\n", id="no-server"),
        pytest.param(["list"], "unused", 0, "{}\n", id="empty-list"),
    ],
)
def test_protocol(words: list[str], given: str, code: int, said: str, publish: Publish) -> None:
    """Errors go to stdout with exit code 1, in docker's own words."""
    done = subprocess.run(
        [HELPER, *words], input=given, env=publish.environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (code, said)


def test_an_unsafe_keyring_is_refused(publish: Publish) -> None:
    """A backend that keeps nothing, or in plain text, is refused by name."""
    environ = {**publish.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring", "PATH": os.environ["PATH"]}
    payload = json.dumps({"ServerURL": "example.com", "Username": "me", "Secret": SECRET})
    done = subprocess.run([HELPER, "store"], input=payload, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "keyring.backends.null.Keyring" in done.stdout
    assert SECRET not in done.stdout + done.stderr

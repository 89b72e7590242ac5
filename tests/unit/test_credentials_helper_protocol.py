"""docker-credential-publish, replayed against docker's protocol.

Source: docker-credential-helpers, credentials/credentials.go and credentials/error.go.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from publisher.credentials.helper_protocol import LARGEST, Helper, HelperError
from publisher.model.credential import Absent, Answer, Broken, Credential, Present

HUB = "https://index.docker.io/v1/"
NOT_FOUND = "credentials not found in native keychain"
NO_SERVER = "no credentials server URL"
NO_USER = "no credentials username"


@dataclass
class Memory:
    """A keyring of the test's own."""

    logins: dict[str, tuple[str, str]] = field(default_factory=dict)

    def find(self, registry: str, repository: str = "") -> Answer:
        """Ask for one; what is called broken is."""
        del repository
        if registry == "broken.example":
            return Broken("the keyring is locked")
        pair = self.logins.get(registry)
        return Present(Credential(*pair)) if pair else Absent()

    def store(self, registry: str, username: str, secret: str) -> None:
        """Keep one."""
        self.logins[registry] = (username, secret)

    def erase(self, registry: str) -> None:
        """Forget one."""
        self.logins.pop(registry, None)


class Shop:
    """A helper with two logins, one of which can't be read."""

    def __init__(self) -> None:
        self.keeper = Memory({HUB: ("me", "s3cret"), "reg.example:5000": ("<token>", "refresh")})
        self.index = {HUB: "me", "reg.example:5000": "<token>", "broken.example": "me"}

    def __call__(self, action: str, text: str) -> str:
        """One call of the helper, as docker makes it."""
        try:
            return Helper(self.keeper, self.index, lambda changed: self.save(dict(changed))).answer(action, text)
        except HelperError as error:
            return f"error: {error}"

    def save(self, changed: dict[str, str]) -> None:
        """Keep the list of logins."""
        self.index = changed


def got(server: str, user: str, secret: str) -> str:
    """What `get` answers, byte for byte."""
    return json.dumps({"ServerURL": server, "Username": user, "Secret": secret}, separators=(",", ":")) + "\n"


GET = [
    (HUB, got(HUB, "me", "s3cret")),
    (f"{HUB}\n", got(HUB, "me", "s3cret")),
    (f"  {HUB}\r\n", got(HUB, "me", "s3cret")),
    ("reg.example:5000", got("reg.example:5000", "<token>", "refresh")),
    ("reg.example", f"error: {NOT_FOUND}"),
    ("reg.example:5001", f"error: {NOT_FOUND}"),
    ("https://reg.example:5000", f"error: {NOT_FOUND}"),
    ("REG.EXAMPLE:5000", f"error: {NOT_FOUND}"),
    ("index.docker.io", f"error: {NOT_FOUND}"),
    (f"{HUB}x", f"error: {NOT_FOUND}"),
    ("{}", f"error: {NOT_FOUND}"),
    ("reg.example:5000\nhost=evil", f"error: {NOT_FOUND}"),
    ("ünïcode.example", f"error: {NOT_FOUND}"),
    ("a b", f"error: {NOT_FOUND}"),
    ("broken.example", "error: the keyring is locked"),
    ("", f"error: {NO_SERVER}"),
    (" ", f"error: {NO_SERVER}"),
    ("\n", f"error: {NO_SERVER}"),
    ("\r\n\t", f"error: {NO_SERVER}"),
    ("x" * (LARGEST + 1), "error: the input is too large"),
    ("x" * 65_537, f"error: {NOT_FOUND}"),
]


@pytest.mark.parametrize(("text", "expected"), GET, ids=lambda text: ascii(text[:30]))
def test_get(text: str, expected: str) -> None:
    """One line of JSON that echoes the trimmed request; one answer alone means "not found"."""
    assert Shop()("get", text) == expected


def payload(server: object = "new.example", user: object = "you", secret: object = "s", **more: object) -> str:
    """What docker's CLI sends."""
    return json.dumps({"ServerURL": server, "Username": user, "Secret": secret, **more})


STORE = [
    (payload(), ("you", "s")),
    (payload() + "\n", ("you", "s")),
    ("\n  " + payload(), ("you", "s")),
    (payload() + " trailing", ("you", "s")),
    (payload() + payload(user="other"), ("you", "s")),
    (payload(More="ignored"), ("you", "s")),
    (payload(More={"deep": [1]}), ("you", "s")),
    (payload(user="<token>", secret="refresh"), ("<token>", "refresh")),
    (payload(secret=""), ("you", "")),
    (payload(secret='qu"ote\\'), ("you", 'qu"ote\\')),
    (payload(secret="pässwörd ☃"), ("you", "pässwörd ☃")),
    (payload(secret="new\nline"), ("you", "new\nline")),
    (payload(secret="nul\0"), ("you", "nul\0")),
    (payload(secret="x" * 65_536), ("you", "x" * 65_536)),
    (payload(secret="x" * 500_000), ("you", "x" * 500_000)),
    (payload(user="user@example.com"), ("user@example.com", "s")),
    (payload(user=" padded "), (" padded ", "s")),
    ('{"serverurl":"new.example","username":"you","secret":"s"}', ("you", "s")),
    ('{"SERVERURL":"new.example","USERNAME":"you","SECRET":"s"}', ("you", "s")),
    ('{\n"ServerURL":"new.example",\n"Username":"you",\n"Secret":"s"\n}', ("you", "s")),
    ('{"ServerURL":"new.example","Username":"you","Secret":"\\u0073"}', ("you", "s")),
]


@pytest.mark.parametrize(("text", "login"), STORE, ids=lambda value: ascii(str(value)[:40]))
def test_store(text: str, login: tuple[str, str]) -> None:
    """It says nothing, keeps exactly what came, and lists it; what was there stays."""
    shop = Shop()
    assert shop("store", text) == ""
    assert shop.keeper.logins["new.example"] == login
    assert shop.index["new.example"] == login[0]
    assert shop("get", HUB) == got(HUB, "me", "s3cret")
    assert shop("get", "new.example") == got("new.example", *login)


REFUSED = [
    (payload(server=""), NO_SERVER),
    (payload(server=None), NO_SERVER),
    (payload(server=5), NO_SERVER),
    (payload(user=""), NO_USER),
    (payload(user=None), NO_USER),
    (payload(user=["you"]), NO_USER),
    ('{"Username":"you","Secret":"s"}', NO_SERVER),
    ('{"ServerURL":"new.example","Secret":"s"}', NO_USER),
    ("{}", NO_SERVER),
    ("[]", NO_SERVER),
    ("null", NO_SERVER),
    ("", "the input is not JSON"),
    ("not json", "the input is not JSON"),
    ('{"ServerURL":', "the input is not JSON"),
    ("x" * (LARGEST + 1), "the input is too large"),
]


@pytest.mark.parametrize(("text", "expected"), REFUSED, ids=lambda text: ascii(text[:40]))
def test_store_of_too_little(text: str, expected: str) -> None:
    """In docker's own words; nothing is kept, and nothing of the input is told."""
    shop = Shop()
    before = dict(shop.keeper.logins)
    answer = shop("store", text)
    assert answer.startswith(f"error: {expected}")
    assert "you" not in answer.removeprefix(f"error: {expected}")
    assert shop.keeper.logins == before


ERASE = [
    (HUB, "", {"reg.example:5000"}),
    (f" {HUB}\n", "", {"reg.example:5000"}),
    ("reg.example:5000", "", {HUB}),
    ("absent.example", "", {HUB, "reg.example:5000"}),
    ("", f"error: {NO_SERVER}", {HUB, "reg.example:5000"}),
    ("\n", f"error: {NO_SERVER}", {HUB, "reg.example:5000"}),
]


@pytest.mark.parametrize(("text", "expected", "servers"), ERASE, ids=[ascii(row[0]) for row in ERASE])
def test_erase(text: str, expected: str, servers: set[str]) -> None:
    """That one and no other; one that isn't there is gone already."""
    shop = Shop()
    assert shop("erase", text) == expected
    assert set(shop.keeper.logins) == servers
    assert shop("get", text.strip() or "x") == f"error: {NOT_FOUND}"


@pytest.mark.parametrize("text", ["", "unused", "unused\n"], ids=ascii)
def test_list(text: str) -> None:
    """Servers and users, no secret, and the keyring isn't asked."""
    answer = Shop()("list", text)
    assert json.loads(answer) == {HUB: "me", "reg.example:5000": "<token>", "broken.example": "me"}
    assert answer.endswith("}\n")
    assert "s3cret" not in answer


def test_list_of_nothing() -> None:
    """An empty store is an empty object."""
    assert Helper(Memory(), {}, lambda _changed: None).answer("list", "") == "{}\n"

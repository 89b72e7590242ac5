"""The order in which sources of credentials are asked."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from publisher.credentials.chain import Chain
from publisher.model.credential import Absent, Answer, Broken, Credential, Present
from publisher.model.errors import BrokenCredential


@dataclass
class Source:
    """A source with one answer, that counts who was asked for."""

    answer: Answer
    name: str = "a source"
    registries: list[str] = field(default_factory=list)

    def find(self, registry: str, repository: str = "") -> Answer:
        """Ask for `registry`."""
        self.registries.append(registry)
        return self.answer


def credential_of(username: str = "ann", secret: str = "canary") -> Present:
    """An answer that has one."""
    return Present(Credential(username, secret, "a test"))


def test_first_found_decides() -> None:
    """Who comes after the first that has one is not asked."""
    first, second, third = Source(Absent()), Source(credential_of("ann")), Source(credential_of("bob"))
    credential = Chain([first, second, third]).find("reg.example")
    assert credential is not None
    assert credential.username == "ann"
    assert not third.registries


def test_whose_it_is_is_told_once() -> None:
    """With the source, and never the secret."""
    lines: list[str] = []
    chain = Chain([Source(credential_of("ann"))], lines.append)
    assert chain.find("reg.example") == chain.find("reg.example")
    assert lines == ["credential for reg.example: ann, from a test"]


def test_all_absent_is_anonymous() -> None:
    """Nobody has one: nobody is logged in."""
    assert Chain([Source(Absent()), Source(Absent())]).find("reg.example") is None
    assert Chain([]).find("reg.example") is None


def test_broken_stops() -> None:
    """A broken source ends the search with its name, reason and hint; the next one is not asked."""
    last = Source(credential_of())
    with pytest.raises(BrokenCredential, match="a keychain can't be used: locked") as caught:
        Chain([Source(Broken("locked", "unlock it"), "a keychain"), last]).find("reg.example")
    assert (caught.value.hint, caught.value.reference, caught.value.exit_code) == ("unlock it", "reg.example", 3)
    assert not last.registries


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_has_one_name(host: str) -> None:
    """Whatever Docker Hub is called, sources are asked for docker.io."""
    source = Source(Absent())
    Chain([source]).find(host)
    assert source.registries == ["docker.io"]


def test_each_registry_is_asked_for_once() -> None:
    """An answer is kept for the run, and for its own registry only."""
    source = Source(credential_of())
    chain = Chain([source])
    for host in ("a.example", "a.example", "b.example", "docker.io", "index.docker.io"):
        chain.find(host)
    assert source.registries == ["a.example", "b.example", "docker.io"]


@pytest.mark.parametrize(
    ("username", "secret", "reason"),
    [
        pytest.param("ann", "canary\n", "secret for reg.example .*control character", id="newline"),
        pytest.param("ann", "canary\r\nX: 1", "secret for reg.example .*control character", id="header"),
        pytest.param("ann", "can\0ary", "secret for reg.example .*control character", id="nul"),
        pytest.param("ann", "canary\x7f", "secret for reg.example .*control character", id="delete"),
        pytest.param("ann\n", "canary", "user name for reg.example .*control character", id="user"),
        pytest.param("a:b", "canary", "colon", id="colon"),
        pytest.param("ann", "", "secret is empty", id="empty"),
    ],
)
def test_what_no_header_can_carry(username: str, secret: str, reason: str) -> None:
    """Such a credential is refused, and its secret not shown."""
    with pytest.raises(BrokenCredential, match=reason) as caught:
        Chain([Source(credential_of(username, secret))]).find("reg.example")
    assert "canary" not in str(caught.value)


def test_a_secret_may_have_any_letter() -> None:
    """Colons, spaces and letters beyond ASCII are a secret's own matter."""
    credential = Chain([Source(credential_of("ann", "pä: ss"))]).find("reg.example")
    assert credential is not None
    assert credential.secret == "pä: ss"
    assert "pä" not in repr(credential)


def test_a_broken_source_is_asked_once() -> None:
    """Threads that wait for it all get the first one's answer."""

    class Slow:
        name = "slow"
        calls = 0

        def find(self, registry: str, repository: str = "") -> Answer:
            self.calls += 1
            time.sleep(0.05)
            return Broken("it hangs")

    source = Slow()
    chain = Chain([source])

    def find(_number: int) -> None:
        with pytest.raises(BrokenCredential, match="it hangs"):
            chain.find("reg.example")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(find, range(4)))
    assert source.calls == 1

"""Credentials in environment variables and on the command line."""

from __future__ import annotations

import pytest

from publisher.credentials.environment import CommandLineCredential, EnvironmentCredentials
from publisher.model.credential import Absent, Answer, Broken, Credential, Present
from publisher.model.environment import SECRET_VARIABLES, clean_environment, secrets_in
from publisher.model.errors import ConfigError, UsageError

PAIR = {"PUBLISH_USERNAME": "ann", "PUBLISH_PASSWORD": "canary"}
HUB = {"DOCKERHUB_USERNAME": "hub", "DOCKERHUB_TOKEN": "canary"}


def ask(environ: dict[str, str], registry: str, *destinations: str) -> Answer:
    """Ask the environment for `registry`."""
    return EnvironmentCredentials(environ, frozenset(destinations)).find(registry)


@pytest.mark.parametrize(
    ("environ", "registry", "destinations", "user"),
    [
        pytest.param({}, "docker.io", ["docker.io"], None, id="nothing"),
        pytest.param(HUB, "docker.io", ["docker.io"], "hub", id="hub"),
        pytest.param(HUB, "ghcr.io", ["ghcr.io"], None, id="hub-elsewhere"),
        pytest.param(PAIR, "ghcr.io", ["ghcr.io"], "ann", id="only-destination"),
        pytest.param(PAIR, "docker.io", ["docker.io"], "ann", id="hub-by-pair"),
        pytest.param(PAIR | HUB, "docker.io", ["docker.io"], "hub", id="hub-first"),
        pytest.param(PAIR, "quay.io", ["ghcr.io"], None, id="source"),
        pytest.param(PAIR, "quay.io", [], None, id="no-destination"),
        pytest.param(PAIR | {"PUBLISH_REGISTRY": "ghcr.io"}, "ghcr.io", ["ghcr.io", "quay.io"], "ann", id="named"),
        pytest.param(PAIR | {"PUBLISH_REGISTRY": "ghcr.io"}, "quay.io", ["quay.io"], None, id="named-another"),
        pytest.param(PAIR | {"PUBLISH_REGISTRY": "index.docker.io"}, "docker.io", [], "ann", id="hub-by-other-name"),
        pytest.param(PAIR | {"PUBLISH_REGISTRY": "docker.io"}, "docker.io", [], "ann", id="hub-by-name"),
        pytest.param(PAIR | {"PUBLISH_REGISTRY": "localhost:5000"}, "localhost:5000", [], "ann", id="port"),
        pytest.param(PAIR | {"PUBLISH_REGISTRY": "ghcr.io"}, "ghcr.io.evil", [], None, id="suffix"),
    ],
)
def test_whose_it_is(environ: dict[str, str], registry: str, destinations: list[str], user: str | None) -> None:
    """Each pair belongs to one host."""
    answer = ask(environ, registry, *destinations)
    assert (answer.credential.username if isinstance(answer, Present) else None) == user


@pytest.mark.parametrize("lacking", [*PAIR, *HUB])
def test_half_a_pair(lacking: str) -> None:
    """Half a pair is broken, and the other half is never taken from elsewhere."""
    environ = {name: text for name, text in (PAIR | HUB).items() if name != lacking}
    if lacking in PAIR:
        environ = {name: text for name, text in environ.items() if name in PAIR}
    answer = ask(environ, "docker.io", "docker.io")
    assert isinstance(answer, Broken)
    assert f"{lacking} is not" in answer.reason
    assert "canary" not in answer.reason


def test_several_destinations() -> None:
    """A pair that could be anybody's is given to nobody."""
    with pytest.raises(ConfigError, match=r"any of a\.example, b\.example"):
        ask(PAIR, "a.example", "a.example", "b.example")


@pytest.mark.parametrize("named", ["https://ghcr.io", "ghcr.io/", "ghcr.io/team", "team", "user@ghcr.io", "ghcr.io:0"])
def test_a_registry_that_is_no_host(named: str) -> None:
    """PUBLISH_REGISTRY must be a host: no name without a dot is taken for Docker Hub's."""
    with pytest.raises((ConfigError, UsageError)):
        ask(PAIR | {"PUBLISH_REGISTRY": named}, "docker.io", "docker.io")


def test_the_command_lines_is_for_the_destination() -> None:
    """What the command line gives goes to the one destination and to no source."""
    command_line = CommandLineCredential(Credential("ann", "canary"), frozenset({"ghcr.io"}))
    assert isinstance(command_line.find("ghcr.io"), Present)
    assert command_line.find("docker.io") == Absent()


def test_the_command_lines_for_several_destinations() -> None:
    """--username can't be for two hosts."""
    with pytest.raises(ConfigError, match="which registry"):
        CommandLineCredential(Credential("ann", "canary"), frozenset({"ghcr.io", "docker.io"}))


def test_clean_environment() -> None:
    """A child's environment lacks the secrets and nothing else."""
    secrets = dict.fromkeys(SECRET_VARIABLES, "canary")
    assert clean_environment(PAIR | HUB | secrets | {"PATH": "/bin"}) == {
        "PUBLISH_USERNAME": "ann",
        "DOCKERHUB_USERNAME": "hub",
        "PATH": "/bin",
    }


LIST = "ghcr.io ann canary\n\n  index.docker.io bob a canary with blanks\n"


@pytest.mark.parametrize(
    ("environ", "registry", "pair"),
    [
        ({}, "ghcr.io", ("ann", "canary")),
        ({}, "docker.io", ("bob", "a canary with blanks")),
        ({}, "quay.io", None),
        (PAIR | {"PUBLISH_USERNAME": "first", "PUBLISH_REGISTRY": "ghcr.io"}, "ghcr.io", ("first", "canary")),
        (PAIR | {"PUBLISH_USERNAME": "first", "PUBLISH_REGISTRY": "quay.io"}, "ghcr.io", ("ann", "canary")),
        (HUB, "docker.io", ("hub", "canary")),
    ],
)
def test_several_in_one_variable(environ: dict[str, str], registry: str, pair: tuple[str, str] | None) -> None:
    """Each belongs to its host alone, and comes after the named pairs."""
    answer = ask({"PUBLISH_CREDENTIALS": LIST, **environ}, registry, "ghcr.io", "docker.io")
    got = (answer.credential.username, answer.credential.secret) if isinstance(answer, Present) else None
    assert got == pair


@pytest.mark.parametrize(
    "text",
    ["ghcr.io", "ghcr.io canary", "ghcr.io  canary", "ghcr.io/acme ann canary", "can:ary:x ann canary", "# canary x y"],
)
def test_a_line_that_cannot_be_read(text: str) -> None:
    """It is told by its number, without its text."""
    with pytest.raises(ConfigError, match="line 2 of PUBLISH_CREDENTIALS") as failure:
        ask({"PUBLISH_CREDENTIALS": f"quay.io ann other\n{text}\n"}, "quay.io", "quay.io")
    assert "canary" not in f"{failure.value.message} {failure.value.hint}"


def test_a_host_twice() -> None:
    with pytest.raises(ConfigError, match=r"two lines for docker\.io"):
        ask({"PUBLISH_CREDENTIALS": "docker.io a canary\nindex.docker.io b canary"}, "quay.io", "quay.io")


def test_each_secret_of_several_is_known() -> None:
    """To be blanked where it comes up alone."""
    assert {"canary", "a canary with blanks"} <= set(secrets_in({"PUBLISH_CREDENTIALS": LIST}))

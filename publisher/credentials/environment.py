"""Credentials in environment variables, and those given on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.credential import Absent, Answer, Broken, Credential, Present
from publisher.model.environment import split_credential
from publisher.model.errors import BadReference, ConfigError
from publisher.model.reference import DOCKER_HUB, Repository

if TYPE_CHECKING:
    from collections.abc import Mapping


class SandboxCredentials:
    """A sandbox's own user, for whatever is asked: a rehearsal reads nobody's credentials."""

    name = "the sandbox"

    def find(self, registry: str, repository: str = "") -> Answer:
        """The same for every registry."""
        del registry, repository
        return Present(Credential("sandbox", "sandbox", self.name, known=True))


class EnvironmentCredentials:
    """DOCKERHUB_USERNAME and DOCKERHUB_TOKEN for Docker Hub; PUBLISH_USERNAME and PUBLISH_PASSWORD for one host.

    PUBLISH_CREDENTIALS holds several, each for its own host, and comes after them.

    destinations: the hosts that this run writes to; without PUBLISH_REGISTRY the pair belongs to their only one.
    """

    name = "the environment"

    def __init__(self, environ: Mapping[str, str], destinations: frozenset[str]) -> None:
        self._environ = environ
        self._destinations = destinations

    def find(self, registry: str, repository: str = "") -> Answer:
        """Ask for `registry`; half a pair is broken."""
        del repository
        if registry == DOCKER_HUB:
            # With OIDC the name stands alone: the secret is the job's own.
            by_oidc = self._environ.get("DOCKERHUB_OIDC_CONNECTIONID") and not self._environ.get("DOCKERHUB_TOKEN")
            answer = Absent() if by_oidc else self._pair("DOCKERHUB_USERNAME", "DOCKERHUB_TOKEN")
            if not isinstance(answer, Absent):
                return answer
        answer = self._pair("PUBLISH_USERNAME", "PUBLISH_PASSWORD")
        if not isinstance(answer, Absent) and self._host() == registry:
            return answer
        listed = listed_credentials(self._environ.get("PUBLISH_CREDENTIALS", "")).get(registry)
        return Present(listed) if listed else Absent()

    def _pair(self, username: str, secret: str) -> Answer:
        user, password = self._environ.get(username, ""), self._environ.get(secret, "")
        if user and password:
            return Present(Credential(user, password, f"{username} and {secret}"))
        if not user and not password:
            return Absent()
        present, absent = (username, secret) if user else (secret, username)
        return Broken(f"{present} is set and {absent} is not", f"set both, or unset {present}")

    def _host(self) -> str:
        if name := self._environ.get("PUBLISH_REGISTRY"):
            registry = _registry(name)
            if registry is None:
                raise ConfigError(
                    f"PUBLISH_REGISTRY is '{name}', not a registry's host", hint="give a host alone, as in ghcr.io"
                )
            return registry
        if len(self._destinations) > 1:
            hosts = ", ".join(sorted(self._destinations))
            raise ConfigError(
                f"PUBLISH_USERNAME and PUBLISH_PASSWORD could belong to any of {hosts}",
                hint="name theirs in PUBLISH_REGISTRY",
            )
        return next(iter(self._destinations), "")


def listed_credentials(text: str) -> dict[str, Credential]:
    """The credentials of PUBLISH_CREDENTIALS by their hosts; raises ConfigError, which never repeats a line's text."""
    listed: dict[str, Credential] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        parts = split_credential(line)
        registry = _registry(parts[0])
        if registry is None or len(parts) != 3 or not all(parts):  # noqa: PLR2004 - host, user, secret
            raise ConfigError(
                f"line {number} of PUBLISH_CREDENTIALS can't be read",
                hint="write HOST USERNAME SECRET, one registry a line, with one blank between them",
            )
        if registry in listed:
            raise ConfigError(f"PUBLISH_CREDENTIALS has two lines for {registry}", hint="leave one of them out")
        listed[registry] = Credential(parts[1], parts[2], f"line {number} of PUBLISH_CREDENTIALS")
    return listed


def _registry(host: str) -> str | None:
    """The registry of a host alone; None for anything else."""
    try:
        repository = Repository.parse(f"{host}/any/name")
    except BadReference:
        return None
    return repository.registry if repository.name == "any/name" else None


class CommandLineCredential:
    """`--username` and `--password-stdin`: for the one host that is written to."""

    name = "the command line"

    def __init__(self, credential: Credential, destinations: frozenset[str]) -> None:
        if len(destinations) > 1:
            raise ConfigError(
                "--username can't say which registry it is for",
                hint=f"the destinations are {', '.join(sorted(destinations))}; use docker login for each",
            )
        self._credential = credential
        self._destinations = destinations

    def find(self, registry: str, repository: str = "") -> Answer:
        """Ask for `registry`."""
        del repository
        return Present(self._credential) if registry in self._destinations else Absent()

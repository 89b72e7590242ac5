"""Credentials in environment variables, and those given on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.model.credential import Absent, Answer, Broken, Credential, Present
from publisher.model.errors import ConfigError
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
        if isinstance(answer, Absent):
            return answer
        return answer if self._host() == registry else Absent()

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
            repository = Repository.parse(f"{name}/any/name")
            if repository.name != "any/name":
                raise ConfigError(
                    f"PUBLISH_REGISTRY is '{name}', not a registry's host", hint="give a host alone, as in ghcr.io"
                )
            return repository.registry
        if len(self._destinations) > 1:
            hosts = ", ".join(sorted(self._destinations))
            raise ConfigError(
                f"PUBLISH_USERNAME and PUBLISH_PASSWORD could belong to any of {hosts}",
                hint="name theirs in PUBLISH_REGISTRY",
            )
        return next(iter(self._destinations), "")


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

"""Who we are at a registry."""

from __future__ import annotations

from dataclasses import dataclass, field

from publisher.model.value import Value

IDENTITY_TOKEN_USER = "<token>"  # noqa: S105 - docker's convention for an OAuth2 refresh token, no secret
REGISTRY_TOKEN_USER = "<registrytoken>"  # noqa: S105 - whose secret is the registry's own bearer token


@dataclass(frozen=True, slots=True)
class Credential:
    """A user and a secret for one registry; `source` says where they came from, for people.

    With `username` "<token>" the secret is an OAuth2 refresh token, with "<registrytoken>" a bearer token that the
    registry takes as it is: neither is ever a Basic password.
    registry_only: whether Docker Hub's API doesn't take it. known: whether everybody knows it, as the sandbox's own,
    whose words would only be missed in what is told.
    """

    username: str
    secret: str = field(repr=False)
    source: str = ""
    registry_only: bool = False
    known: bool = False

    @property
    def principal(self) -> str:
        """Who it is, and where it comes from, for messages."""
        return f"{self.username} (from {self.source})"

    @property
    def is_identity_token(self) -> bool:
        """Whether the secret is a refresh token."""
        return self.username == IDENTITY_TOKEN_USER

    @property
    def is_registry_token(self) -> bool:
        """Whether the secret is a bearer token."""
        return self.username == REGISTRY_TOKEN_USER


class Present(Value, frozen=True):
    """The source has it."""

    credential: Credential


class Absent(Value, frozen=True):
    """The source has none for this registry: the next one may be asked."""


class Broken(Value, frozen=True):
    """The source should have one and can't say it: nobody else is asked."""

    reason: str
    hint: str = ""


Answer = Present | Absent | Broken

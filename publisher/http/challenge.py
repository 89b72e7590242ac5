"""WWW-Authenticate: what a server asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's grammar, no secret
_SCHEME = re.compile(rf"\s*({_TOKEN})(?:\s+|$|(?=,))")
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))\s*')
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*\s*(?:,|$)")


class BadChallenge(ValueError):
    """The header doesn't follow RFC 9110, or says one thing twice."""


class Challenge(Value, frozen=True):
    """One scheme, in lower case, with its parameters, keys in lower case."""

    scheme: str
    parameters: Mapping[str, str]

    @property
    def realm(self) -> str:
        """Where tokens are given."""
        return self.parameters.get("realm", "")

    @property
    def service(self) -> str:
        """The registry's name at the token service."""
        return self.parameters.get("service", "")

    @property
    def scopes(self) -> tuple[str, ...]:
        """What is asked for."""
        return tuple(self.parameters.get("scope", "").split())

    @property
    def error(self) -> str:
        """Why a token was refused, as in `insufficient_scope`."""
        return self.parameters.get("error", "")


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Read every challenge of a WWW-Authenticate header (several headers joined by commas).

    Raises BadChallenge. Source: RFC 9110, 11.6.1.
    """
    found: list[Challenge] = []
    position = 0
    while position < len(header.rstrip(" \t,")):
        position = _skip_commas(header, position)
        scheme = _SCHEME.match(header, position)
        if not scheme:
            raise BadChallenge(f"no scheme at character {position}")
        parameters, position = _parameters(header, scheme.end())
        found.append(Challenge(scheme[1].lower(), parameters))
    return tuple(found)


def _skip_commas(header: str, position: int) -> int:
    while position < len(header) and header[position] in ", \t":
        position += 1
    return position


def _parameters(header: str, position: int) -> tuple[dict[str, str], int]:
    parameters: dict[str, str] = {}
    while match := _PARAMETER.match(header, position):
        key = match[1].lower()
        if key in parameters:
            raise BadChallenge(f"'{key}' stands twice")
        parameters[key] = re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3]
        position = match.end()
        after = _skip_commas(header, position)
        if after == position and position < len(header):
            raise BadChallenge(f"no comma at character {position}")
        if after < len(header) and not _PARAMETER.match(header, after):
            return parameters, after
        position = after
    if not parameters and (match68 := _TOKEN68.match(header, position)):
        return parameters, match68.end()
    if not parameters and position < len(header) and header[position] != ",":
        raise BadChallenge(f"a parameter is cut off at character {position}")
    return parameters, position

"""How a sandbox behaves: the switches that tests and rehearsals may set."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from publisher.model.errors import UsageError
from publisher.model.manifest import LARGEST

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a token of each scope may do at the registry (Docker Hub's docs, "Access tokens").
RIGHTS = {
    "repo:public_read": "repository:*:pull",
    "repo:read": "repository:*:pull",
    "repo:write": "repository:*:pull,push",
    "repo:admin": "repository:*:pull,push,delete",
}
EVERYTHING = (RIGHTS["repo:admin"],)


@dataclass(frozen=True, slots=True)
class User:
    """Who may sign in. `rights` are the registry's scopes, their names with `*` as in a shell.

    scope: what the token may do in Docker Hub's API, to the `repositories` that fit one of these patterns.
    is_organization: whether it is an organization's token, which the API's older routes refuse.
    """

    password: str = field(repr=False)
    rights: tuple[str, ...] = EVERYTHING
    scope: str = "repo:admin"
    repositories: tuple[str, ...] = ("*",)
    is_organization: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The switches; raises UsageError where a pattern or a number makes no sense.

    auth: ask for a token, which `/token` gives to `users` (name to user) and, with the rights of `anonymous`, to
    anybody. token_life: seconds.
    delete_by_tag: DELETE of a tag takes that tag alone; without it only digests can be deleted.
    multi_tag: `PUT manifests/DIGEST?tag=A&tag=B` writes those tags. put_by_digest: manifests are taken by digest.
    referrers: the referrers API; without it 404, as registries before 1.1.
    page: the most tags in one answer, whatever is asked; 0 for no limit.
    lag: seconds until a change of a tag can be seen; list_lag: until the list of tags shows it, if that is longer.
    immutable: tags that fully match one of these patterns never change (Docker Hub's immutable tags).
    manifest_limit: bytes. pull_limit: manifests in six hours; api_limit: calls of Docker Hub's API in a minute; 0 for
    no limit. collect: seconds after which a manifest that no tag leads to is gone; None for never.
    sample: hold a small image from the start, sandbox/sample:latest.
    """

    auth: bool = False
    users: Mapping[str, User] = field(default_factory=lambda: {"sandbox": User("sandbox")})
    anonymous: tuple[str, ...] = ("repository:*:pull",)
    token_life: int = 300
    delete_by_tag: bool = True
    multi_tag: bool = True
    put_by_digest: bool = True
    referrers: bool = True
    page: int = 0
    lag: float = 0
    list_lag: float = 0
    immutable: tuple[str, ...] = ()
    manifest_limit: int = LARGEST
    pull_limit: int = 0
    api_limit: int = 0
    sample: bool = False
    collect: float | None = None

    def __post_init__(self) -> None:
        for pattern in self.immutable:
            try:
                re.compile(pattern)
            except re.error as error:
                raise UsageError(f"'{pattern}' is not a pattern of immutable tags: {error}") from error
        if not 0 < self.manifest_limit <= LARGEST:
            raise UsageError(f"a limit of {self.manifest_limit} bytes for manifests is not within 1 and {LARGEST}")
        if min(self.lag, self.list_lag, self.page) < 0 or self.token_life <= 0:
            raise UsageError("lags and page can't be below 0, and a token has to live for some time")

    def proves(self, name: str, password: str) -> bool:
        """Whether `name` may sign in with that password."""
        user = self.users.get(name)
        return user is not None and hmac.compare_digest(user.password.encode(), password.encode())

    def freezes(self, tag: str) -> bool:
        """Whether `tag` can be written only once."""
        return any(re.fullmatch(pattern, tag) for pattern in self.immutable)

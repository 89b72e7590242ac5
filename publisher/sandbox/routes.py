"""Routes: which part of the API a path means, and which rights it takes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Self

from publisher.model.digest import Digest
from publisher.model.errors import BadReference
from publisher.model.reference import Repository, Tag
from publisher.sandbox.http import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request


_ALL = frozenset({"pull", "push", "delete"})


@dataclass(frozen=True, slots=True)
class Scope:
    """Actions on a repository, as in `repository:a/b:pull,push`. In a right the name may hold `*`."""

    name: str
    actions: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a scope; None for one that isn't a repository's. `*` as an action means all of them."""
        kind, _, rest = text.partition(":")
        name, colon, actions = rest.rpartition(":")
        if kind != "repository" or not colon:
            return None
        names = frozenset(actions.split(","))
        return cls(name, _ALL if "*" in names else names & _ALL)

    @classmethod
    def of_claim(cls, claim: dict[str, Any]) -> Self:
        """As a token's `access` holds it."""
        return cls(claim["name"], frozenset(claim["actions"]))

    def claim(self) -> dict[str, Any]:
        """As a token's `access` holds it."""
        return {"type": "repository", "name": self.name, "actions": sorted(self.actions)}

    def narrow(self, rights: Iterable[str]) -> Scope:
        """Those of the actions that `rights` allow: asking for more is no error."""
        allowed = [right for right in map(Scope.parse, rights) if right and fnmatchcase(self.name, right.name)]
        return Scope(self.name, self.actions & frozenset[str]().union(*(right.actions for right in allowed)))

    def within(self, scopes: Iterable[Scope]) -> bool:
        """Whether a token with `scopes` is enough."""
        actions = [scope.actions for scope in scopes if scope.name == self.name]
        return self.actions <= frozenset[str]().union(*actions)

    def __str__(self) -> str:
        order = [action for action in ("pull", "push", "delete") if action in self.actions]
        return f"repository:{self.name}:{','.join(order)}"


_ROUTE = re.compile(
    r"/v2/(?P<name>.+?)/(?:blobs/(?P<uploads>uploads)/(?P<upload>[^/]*)|(?P<tags>tags)/list"
    r"|(?P<kind>manifests|blobs(?!/uploads$)|referrers)/(?P<item>[^/]+))"
)
_ACTIONS = {"GET": ("pull",), "HEAD": ("pull",), "POST": ("pull", "push"), "PUT": ("pull", "push")}


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """One path below /v2/: a repository's name and what of it. `item` is a reference, a digest or an upload's id."""

    name: str
    kind: str
    item: str

    @classmethod
    def parse(cls, path: str) -> Self:
        """Read a path, decoded; raises Refusal."""
        match = _ROUTE.fullmatch(path)
        if not match:
            raise Refusal(404, "NOT_FOUND", "there is no such route")
        kind = match["kind"] or match["uploads"] or match["tags"]
        return cls(name_of(match["name"]), kind, match["item"] or match["upload"] or "")

    def scopes(self, request: Request) -> tuple[Scope, ...]:
        """The rights that a request takes; a mount has to be allowed to read its origin."""
        uploading = self.kind == "uploads"
        deletes = request.method == "DELETE" and not uploading
        actions = ("delete",) if deletes else ("pull", "push") if uploading else _ACTIONS.get(request.method, ("push",))
        scope = Scope(self.name, frozenset(actions))
        origin = request.query_params.get("from", "") if uploading and request.query_params.get("mount") else ""
        return (scope, Scope(origin, frozenset({"pull"}))) if origin not in {"", self.name} else (scope,)


def name_of(text: str) -> str:
    """A repository's name; raises Refusal."""
    try:
        return Repository.parse(f"localhost/{text}").name
    except BadReference as error:
        raise Refusal(400, "NAME_INVALID", error.message) from error


def digest_of(text: str) -> Digest:
    """A digest; raises Refusal."""
    try:
        return Digest.parse(text)
    except BadReference as error:
        raise Refusal(400, "DIGEST_INVALID", error.message) from error


def tag_of(text: str) -> Tag:
    """A tag; raises Refusal."""
    try:
        return Tag.parse(text)
    except BadReference as error:
        raise Refusal(400, "TAG_INVALID", error.message) from error

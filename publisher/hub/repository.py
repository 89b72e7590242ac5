"""One repository's page on Docker Hub: its description, settings and tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from publisher.hub.access import decode
from publisher.hub.answers import error_of
from publisher.hub.shapes import HubRepository, HubTag
from publisher.model.errors import Refused, VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.http.message import Response
    from publisher.hub.access import Access
    from publisher.model.errors import PublishError
    from publisher.model.reference import Repository

_OK: Final = 200
_CREATED: Final = 201
_DONE: Final = frozenset({200, 201, 202, 204})
_HIDDEN: Final = frozenset({403, 404})
_NO_ROUTE: Final = frozenset({404, 405})
_ADMIN: Final = "a personal access token with Read, Write, Delete (repo:admin), or an organization's with {scope}"


class HubPage:
    """A repository through Docker Hub's API. Methods raise Denied, Refused, Unreachable and their kinds."""

    def __init__(self, access: Access, repository: Repository) -> None:
        self.repository = repository
        self._access = access
        self.namespace, _, self.name = repository.name.partition("/")
        self._path = f"v2/namespaces/{self.namespace}/repositories/{self.name}"
        # The older routes refuse organization tokens, and are all that some calls have.
        self._older = f"v2/repositories/{self.namespace}/{self.name}"

    # The repository.

    def find(self) -> HubRepository | None:
        """Its settings; None where it is absent, or private to others: Docker Hub doesn't tell these apart."""
        with self._access.request("GET", self._path) as response:
            if response.status in _HIDDEN:
                return None
            if response.status != _OK:
                raise self._error(response, "read", "a token with Read")
            return decode(response, HubRepository)

    def get(self) -> HubRepository:
        """As `find`; absent is Refused."""
        settings = self.find()
        if settings is None:
            who = self._access.who
            raise Refused(
                f"Docker Hub has no {self.repository}, or {who or 'a stranger'} may not see it",
                reference=self.repository,
                hint="'publish hub create' makes it; 'publish whoami' shows who you are",
            )
        return settings

    def create(self, *, private: bool, description: str) -> HubRepository:
        """Make the repository; one that is there already is fine, which no status says, so that it is looked for."""
        body = {
            "name": self.name,
            "namespace": self.namespace,
            "is_private": private,
            "description": description,
            "registry": "docker.io",
        }
        with self._access.request("POST", f"v2/namespaces/{self.namespace}/repositories", body) as response:
            if response.status in {_OK, _CREATED}:
                return decode(response, HubRepository)
            error = self._error(response, "create", _ADMIN.format(scope="scope-repository-create"))
        if settings := self.find():
            return settings
        raise error

    def describe(self, changes: dict[str, str]) -> None:
        """Set `description` or `full_description`, and read them back."""
        self._change("PATCH", self._path, self._older, changes, "change the description of", "scope-repository-edit")
        settings = self.get()
        for key, text in changes.items():
            if (getattr(settings, key) or "").strip() != text.strip():
                raise VerificationFailed(f"{self.repository} still has another {key} on Docker Hub")

    def set_private(self, *, private: bool) -> None:
        """Hide it, or show it to everybody."""
        path = f"{self._older}/privacy"
        self._change("POST", path, path, {"is_private": private}, "change who sees", "scope-repository-edit")
        if self.get().is_private is not private:
            raise VerificationFailed(f"{self.repository} is still {'public' if private else 'private'} on Docker Hub")

    # Immutable tags.

    def set_immutable(self, rules: Sequence[str]) -> None:
        """Replace the list of rules, and read it back; none turns them off. The names differ by direction."""
        body = {"immutable_tags": bool(rules), "immutable_tags_rules": list(rules)}
        path, scope = f"{self._path}/immutabletags", "scope-repository-settings-admin"
        self._change("PATCH", path, path, body, "set the immutable tags of", scope)
        immutable = self.get().immutable
        if immutable.enabled is not bool(rules) or (rules and set(immutable.rules) != set(rules)):
            raise VerificationFailed(f"{self.repository} still has other rules of immutable tags on Docker Hub")

    def matching_tags(self, rule: str) -> tuple[str, ...]:
        """The existing tags that one rule would freeze, as Docker Hub itself reads it."""
        with self._access.request("POST", f"{self._path}/immutabletags/verify", {"regex": rule}) as response:
            if response.status != _OK:
                scope = _ADMIN.format(scope="scope-repository-settings-admin")
                raise self._error(response, "try a rule of immutable tags on", scope)
            return tuple(decode(response, dict[str, list[str]]).get("tags") or ())

    # Tags.

    def tags(self) -> dict[str, HubTag]:
        """Every tag by its name; pages over a list that changes may tell one twice."""
        tags = self._access.pages(f"{self._path}/tags", {}, HubTag, f"the tags of {self.repository}")
        return {tag.name: tag for tag in tags}

    def delete_tag(self, tag: str) -> bool:
        """Delete one tag and no other; False if it wasn't there."""
        name = quote(tag, safe="")
        for path in (f"{self._path}/tags/{name}", f"{self._older}/tags/{name}"):
            with self._access.request("DELETE", path) as response:
                if response.status in _DONE:
                    return True
                if response.status not in _NO_ROUTE:
                    right = _ADMIN.format(scope="scope-tag-admin")
                    raise self._error(response, "delete", right, f"{self.repository}:{tag}")
        return False

    def _change(self, method: str, path: str, older: str, body: dict[str, Any], what: str, scope: str) -> None:
        response = self._access.request(method, path, body)
        if response.status in _NO_ROUTE and older != path:
            response.close()
            response = self._access.request(method, older, body)
        with response:
            if response.status not in _DONE:
                raise self._error(response, what, _ADMIN.format(scope=scope))

    def _error(self, response: Response, what: str, right: str, reference: object = None) -> PublishError:
        return error_of(response, what, reference or self.repository, who=self._access.who, right=right)

"""Docker Hub's API below /v2/, beside the registry's: repositories, tags, rules and tokens (Docker Hub API 2-beta)."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.responses import JSONResponse, Response

from publisher.sandbox.faults import Quota
from publisher.sandbox.http import read_whole
from publisher.sandbox.hub_users import HubApiError, HubUsers
from publisher.sandbox.hub_views import page, repository_shape, tag_shape
from publisher.sandbox.tag_history import Details, stamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from publisher.sandbox.auth import Authenticator
    from publisher.sandbox.options import Options
    from publisher.sandbox.store import Store

_LARGEST: Final = 1 << 20
_MINUTE: Final = 60
_NAME: Final = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_ROUTES: Final = re.compile(
    r"/v2/(?:(?P<auth>auth/token)|(?P<pats>access-tokens)|orgs/(?P<org>[^/]+)/access-tokens"
    r"|namespaces/(?P<space>[^/]+)/repositories(?:/(?P<name>[^/]+)(?:/(?P<part>immutabletags(?:/verify)?|tags(?:/(?P<tag>[^/]+))?))?)?"
    r"|repositories/(?P<oldspace>[^/]+)/(?P<oldname>[^/]+)(?:/(?P<oldpart>privacy|tags/(?P<oldtag>[^/]+)))?)/?"
)
_MOST: Final = {"description": 100, "full_description": 25_000}


def is_hub(method: str, path: str) -> bool:
    """Whether a request is for Docker Hub's API; `tags/list` of a repository in a namespace of that name isn't."""
    return bool(_ROUTES.fullmatch(path)) and not (method == "GET" and path.endswith("/tags/list"))


class HubApi:
    """Answers Docker Hub's API over the same store as the registry."""

    def __init__(self, store: Store, options: Options, authenticator: Authenticator) -> None:
        self._store, self._options = store, options
        self._users = HubUsers(options, authenticator.issuer)
        self._quota = Quota(options.api_limit, _MINUTE)

    async def answer(self, request: Request) -> Response:
        """Answer a request; errors have the shapes of the API."""
        try:
            self._spend()
            body = await read_whole(request, _LARGEST)
            response = await asyncio.to_thread(self._route, request, body)
        except HubApiError as error:
            response = JSONResponse(error.document, error.status, headers=error.headers)
        if self._options.api_limit:
            response.headers["X-RateLimit-Limit"] = str(self._quota.limit)
            response.headers["X-RateLimit-Remaining"] = str(self._quota.remaining)
            response.headers["X-RateLimit-Reset"] = str(self._quota.reset)
        return response

    def _spend(self) -> None:
        if not self._quota.take():
            raise HubApiError(429, "Rate limit exceeded", headers={"Retry-After": str(self._quota.wait)})

    def _route(self, request: Request, body: bytes) -> Response:
        match = _ROUTES.fullmatch(request.scope["path"])
        assert match  # noqa: S101 - is_hub() said so
        if match["auth"]:
            return self._sign_in(request, body)
        if match["pats"] or match["org"]:
            return self._tokens(request, match["org"])
        if match["oldspace"]:
            self._users.refuse_organizations(request)
        space, name = match["space"] or match["oldspace"], match["name"] or match["oldname"]
        if name is None:
            return self._repositories(request, space, body)
        part = (match["part"] or match["oldpart"] or "").partition("/")[0]
        act = {"": self._repository, "tags": self._tags, "immutabletags": self._rules, "privacy": self._privacy}[part]
        return act(request, f"{space}/{name}", body)

    def _sign_in(self, request: Request, body: bytes) -> Response:
        _only(request, "POST")
        fields = _object(body)
        return JSONResponse({"access_token": self._users.sign_in(fields.get("identifier"), fields.get("secret"))})

    def _tokens(self, request: Request, org: str | None) -> Response:
        _only(request, "GET")
        user = self._users.user_of(request)
        if org is None:
            return JSONResponse({**page(self._users.tokens_of(user), request), "active_count": 1})
        if org not in self._options.users:
            raise HubApiError(404, f"there is no organization {org}")
        tokens = page(self._users.organization_tokens(org), request)
        return JSONResponse({("total" if key == "count" else key): value for key, value in tokens.items()})

    # Repositories.

    def _repositories(self, request: Request, space: str, body: bytes) -> Response:
        _only(request, "GET", "POST")
        if request.method == "POST":
            return self._create(request, space, _object(body))
        names = [name for name in self._store.state() if name.startswith(f"{space}/")]
        visible = [name for name in names if self._visible(request, name)]
        repositories = page([repository_shape(self._store, name, whole=False) for name in visible], request)
        if not repositories["results"] and request.query_params.get("page", "1") != "1":
            raise HubApiError(404, "the page is past the end")
        return JSONResponse(repositories)

    def _create(self, request: Request, space: str, fields: dict[str, Any]) -> Response:
        name = str(fields.get("name", ""))
        self._users.check(request, f"{space}/{name}", "admin")
        if not _NAME.fullmatch(name) or not 2 <= len(name) <= 255 or fields.get("namespace") != space:  # noqa: PLR2004
            raise HubApiError(400, "the name or the namespace isn't valid", errinfo={})
        with self._store.lock:
            if self._store.knows(f"{space}/{name}"):
                raise HubApiError(400, "a repository of that name exists already", errinfo={})
            changes = self._texts(fields)
            details = Details(registered=stamp(), is_private=fields.get("is_private") is True)
            self._store.describe(f"{space}/{name}", msgspec.structs.replace(details, **changes))
        return JSONResponse(repository_shape(self._store, f"{space}/{name}"), 201)

    def _repository(self, request: Request, name: str, body: bytes) -> Response:
        _only(request, "GET", "HEAD", "PATCH")
        if request.method == "PATCH":
            self._users.check(request, name, "admin")
            self._change(name, lambda details: msgspec.structs.replace(details, **self._texts(_object(body))))
        self._find(request, name)
        return JSONResponse(repository_shape(self._store, name))

    def _texts(self, fields: dict[str, Any]) -> dict[str, str]:
        texts = {key: fields[key] for key in _MOST if key in fields}
        for key, text in texts.items():
            if not isinstance(text, str) or len(text.encode()) > _MOST[key]:
                raise HubApiError(400, fields={key: [f"Ensure this field has no more than {_MOST[key]} characters."]})
        return texts

    def _privacy(self, request: Request, name: str, body: bytes) -> Response:
        _only(request, "POST")
        self._users.check(request, name, "admin")
        private = _object(body).get("is_private") is True
        self._change(name, lambda details: msgspec.structs.replace(details, is_private=private))
        return JSONResponse({})

    def _rules(self, request: Request, name: str, body: bytes) -> Response:
        self._users.check(request, name, "admin")
        fields = _object(body)
        if request.scope["path"].rstrip("/").endswith("/verify"):
            _only(request, "POST")
            pattern = _pattern(fields.get("regex"))
            return JSONResponse({"tags": [tag for tag in self._store.tags(name) if pattern.search(tag)]})
        _only(request, "PATCH")
        is_immutable, rules = fields.get("immutable_tags"), fields.get("immutable_tags_rules")
        if not isinstance(is_immutable, bool) or not isinstance(rules, list):
            raise HubApiError(400, "immutable_tags and immutable_tags_rules are required", errinfo={})
        patterns = tuple(_pattern(rule).pattern for rule in rules)
        self._change(name, lambda details: msgspec.structs.replace(details, immutable=is_immutable, rules=patterns))
        return JSONResponse(repository_shape(self._store, name))

    def _change(self, name: str, change: Callable[[Details], Details]) -> None:
        with self._store.lock:
            if not self._store.knows(name):
                raise HubApiError(404, "object not found", errinfo={})
            self._store.describe(name, change(self._store.details(name)))

    # Tags.

    def _tags(self, request: Request, name: str, _body: bytes) -> Response:
        tag = request.scope["path"].rstrip("/").partition("/tags")[2].lstrip("/")
        _only(request, "GET", "HEAD", *(["DELETE"] if tag else []))
        if request.method == "DELETE":
            return self._delete(request, name, tag)
        self._find(request, name)
        if not tag:
            tags = page(list(self._store.tags(name)), request)
            tags["results"] = [tag_shape(self._store, name, item) for item in tags["results"]]
            return JSONResponse(tags)
        if self._store.resolve(name, tag) is None:
            raise HubApiError(404, f"tag {tag} not found")
        return JSONResponse(tag_shape(self._store, name, tag))

    def _delete(self, request: Request, name: str, tag: str) -> Response:
        self._users.check(request, name, "admin")
        with self._store.lock:
            if self._store.latest(name, tag) is None:
                raise HubApiError(404, f"tag {tag} not found")
            if self._options.freezes(tag) or self._store.details(name).rule_for(tag):
                raise HubApiError(403, f"tag {tag} cannot be deleted due to immutability settings")
            self._store.delete(name, tag)
        return Response(status_code=204)

    def _find(self, request: Request, name: str) -> None:
        if not self._store.knows(name) or not self._visible(request, name):
            raise HubApiError(404, "object not found", errinfo={})

    def _visible(self, request: Request, name: str) -> bool:
        return not self._store.details(name).is_private or self._users.may(request, name, "read")


def _only(request: Request, *methods: str) -> None:
    if request.method not in methods:
        raise HubApiError(405, f"Method {request.method} not allowed")


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HubApiError(400, fields={"body": ["is not JSON"]}) from error
    if not isinstance(document, dict):
        raise HubApiError(400, fields={"body": ["is not an object"]})
    return document


def _pattern(text: object) -> re.Pattern[str]:
    try:
        return re.compile(str(text))
    except re.error as error:
        raise HubApiError(400, f"'{text}' is not a regular expression", errinfo={}) from error

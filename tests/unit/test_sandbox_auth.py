"""Scopes, tokens and what they allow."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.sandbox.auth import BadToken, TokenIssuer, read_basic
from publisher.sandbox.routes import Scope


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("repository:a/b:pull", Scope("a/b", frozenset({"pull"}))),
        ("repository:a/b:pull,push", Scope("a/b", frozenset({"pull", "push"}))),
        ("repository:host:5000/a:pull", Scope("host:5000/a", frozenset({"pull"}))),
        ("repository:a:*", Scope("a", frozenset({"pull", "push", "delete"}))),
        ("repository:a:fly", Scope("a", frozenset())),
        ("registry:catalog:*", None),
        ("repository:a", None),
        ("", None),
    ],
)
def test_scope_is_read(text: str, scope: Scope | None) -> None:
    """A scope is a name and actions; what isn't a repository's is nothing."""
    assert Scope.parse(text) == scope


@pytest.mark.parametrize(
    ("asked", "rights", "given_"),
    [
        ("repository:a/b:pull,push", ("repository:*:pull,push,delete",), "repository:a/b:pull,push"),
        ("repository:a/b:pull,push", ("repository:a/*:pull",), "repository:a/b:pull"),
        ("repository:c/b:pull,push", ("repository:a/*:pull",), "repository:c/b:"),
        ("repository:a/b:pull,push", ("repository:*:pull", "repository:a/b:push"), "repository:a/b:pull,push"),
        ("repository:a/b:*", ("repository:a/b:pull,delete",), "repository:a/b:pull,delete"),
    ],
)
def test_asking_for_more_gives_less(asked: str, rights: tuple[str, ...], given_: str) -> None:
    """What is granted is what was asked for and is allowed."""
    scope = Scope.parse(asked)
    assert scope
    assert str(scope.narrow(rights)) == given_


def test_token_says_what_it_allows() -> None:
    """An access token is read back, and clients can read its claims as a registry's."""
    mint = TokenIssuer(60, clock=lambda: 1000)
    scope = Scope("a/b", frozenset({"pull", "push"}))
    token = mint.access("ann", [scope])
    assert mint.scopes(token) == (scope,)
    part = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert claims["access"] == [{"type": "repository", "name": "a/b", "actions": ["pull", "push"]}]


def test_token_expires() -> None:
    """After its life it is refused."""
    now = [1000.0]
    mint = TokenIssuer(60, clock=lambda: now[0])
    token = mint.access("ann", [])
    now[0] = 1060
    with pytest.raises(BadToken, match="expired"):
        mint.scopes(token)


@pytest.mark.parametrize("change", ["head", "claims", "signature", "other-run", "refresh", "empty", "not-ascii"])
def test_token_of_somebody_else(change: str) -> None:
    """A token that was changed, made elsewhere or for another purpose is refused."""
    mint = TokenIssuer(60)
    head, claims, signature = mint.access("ann", []).split(".")
    tokens = {
        "head": f"x{head}.{claims}.{signature}",
        "claims": f"{head}.{claims}x.{signature}",
        "signature": f"{head}.{claims}.{signature[::-1]}",
        "other-run": TokenIssuer(60).access("ann", []),
        "refresh": mint.refresh("ann"),
        "empty": "",
        "not-ascii": "é.é.é",
    }
    with pytest.raises(BadToken):
        mint.scopes(tokens[change])


def test_access_token_refreshes_nothing() -> None:
    """Only a refresh token gives more tokens."""
    mint = TokenIssuer(60)
    assert mint.refresh_user(mint.refresh("ann")) == "ann"
    with pytest.raises(BadToken):
        mint.refresh_user(mint.access("ann", []))


@pytest.mark.parametrize("header", ["", "Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Bearer YTpi", "Basic /w=="])
def test_header_without_credentials(header: str) -> None:
    """What isn't Basic with a user and a password is nothing."""
    assert read_basic(header) is None


@given(st.text().filter(lambda user: ":" not in user), st.text())
def test_basic_header(user: str, password: str) -> None:
    """User and password come back; a password may hold colons."""
    try:
        text = base64.b64encode(f"{user}:{password}".encode()).decode()
    except UnicodeEncodeError:
        return
    assert read_basic(f"Basic {text}") == (user, password)

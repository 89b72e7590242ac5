"""Secrets in every form that they could be shown in."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.http.redaction import Redactor

SECRET = 'c4nary/+ "w\u00f6rd\\&='
USER = "mel"


def _basic(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


FORMS = {
    "raw": SECRET,
    "base64": _basic(SECRET),
    "base64 without padding": _basic(SECRET).rstrip("="),
    "base64 for URLs": base64.urlsafe_b64encode(SECRET.encode()).decode(),
    "Basic": _basic(f"{USER}:{SECRET}"),
    "Basic header": f"Basic {_basic(f'{USER}:{SECRET}')}",
    "pair": f"{USER}:{SECRET}",
    "percent": quote(SECRET, safe=""),
    "form": quote_plus(SECRET),
    "query": urlencode({"password": SECRET}),
    "JSON": json.dumps({"password": SECRET}),
    "JSON in UTF-8": json.dumps({"password": SECRET}, ensure_ascii=False),
    "twice": f"{SECRET} and {SECRET}",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_known_secret_is_hidden_in_every_form(form: str) -> None:
    """Raw, base64, URL-encoded and JSON-escaped, alone or behind the user's name."""
    redactor = Redactor()
    redactor.learn(SECRET, USER)
    shown = redactor(f"before {form} after")
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    for hidden in (form, "c4nary", _basic(SECRET).rstrip("="), _basic(f"{USER}:{SECRET}").rstrip("=")):
        assert hidden not in shown


PATTERNS = {
    "Docker Hub's token": "dckr_pat_abcDEF-123_456",
    "Docker Hub's organisation token": "dckr_oat_abcDEF-123_456",
    "GitHub's token": "ghp_" + "a1" * 18,
    "GitHub's job token": "ghs_" + "a1" * 18,
    "JWT": "eyJhbGciOiJSUzI1NiJ9.eyJhY2Nlc3MiOltdfQ.c2lnbmF0dXJl",
    "Bearer": "Bearer abcdefgh12345678",
    "bearer in lower case": "bearer abcdefgh12345678",
    "Basic": "Basic bWVsOnNlY3JldA==",
}


@pytest.mark.parametrize("secret", PATTERNS.values(), ids=PATTERNS.keys())
def test_what_looks_like_a_secret_is_hidden_too(secret: str) -> None:
    """Though nobody said that it is one."""
    assert Redactor()(f"got '{secret}', why?") == "got '***', why?"


@pytest.mark.parametrize("key", ["X-Amz-Signature", "X-Amz-Credential", "x-amz-security-token"])
def test_a_signature_in_a_text_is_hidden(key: str) -> None:
    """Libraries put whole addresses into their errors."""
    assert "c4nary" not in Redactor()(f"failed: https://s3.example/b?a=1&{key}=c4nary&b=2")


def test_plain_text_stays_as_it_is() -> None:
    """Words that only resemble are shown, and nothing is hidden for a secret of three letters."""
    text = "Basic login at registry.example; tag v1.2.3, abc, sha256:" + "0" * 64
    redactor = Redactor()
    redactor.learn("abc")
    assert redactor(text) == text


# An asterisk in a secret could be found in the asterisks that replace it.
_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*"), max_size=20)


@given(_TEXTS.filter(lambda secret: len(secret) >= 4), _TEXTS, _TEXTS, _TEXTS)
def test_no_secret_survives(secret: str, username: str, before: str, after: str) -> None:
    """Whatever letters it is made of, and whatever stands around it."""
    redactor = Redactor()
    redactor.learn(secret, username)
    assert secret not in redactor(before + secret + after)
    assert _basic(secret) not in redactor(before + _basic(secret) + after)


URLS = {
    "known keys": (
        "https://a.example/token?service=s&scope=repository:a/b:pull,push",
        "https://a.example/token?service=s&scope=repository:a/b:pull,push",
    ),
    "digest": ("https://a.example/v2/x?digest=sha256:ab", "https://a.example/v2/x?digest=sha256:ab"),
    "unknown key": ("https://a.example/v2/x?_state=c4nary&n=5", "https://a.example/v2/x?_state=***&n=5"),
    "signature": ("https://s3.example/b?X-Amz-Signature=c4nary", "https://s3.example/b?***"),
    "empty value": ("https://a.example/?key=", "https://a.example/?key=***"),
    "no query": ("https://a.example/v2/", "https://a.example/v2/"),
    "account": ("https://a.example/token?account=mel", "https://a.example/token?account=***"),
}


@pytest.mark.parametrize(("url", "shown"), URLS.values(), ids=URLS.keys())
def test_an_address_shows_only_harmless_values(url: str, shown: str) -> None:
    """Keys stay, so that one sees what was asked."""
    assert Redactor().url(url) == shown


def test_a_secret_in_a_path_is_hidden() -> None:
    """A known secret is hidden anywhere in an address."""
    redactor = Redactor()
    redactor.learn("c4nary-word")
    assert redactor.url("https://a.example/c4nary-word/x") == "https://a.example/***/x"

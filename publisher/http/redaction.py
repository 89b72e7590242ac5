"""Secrets, taken out of everything that is shown or written."""

from __future__ import annotations

import base64
import json
import re
import threading
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Callable

HIDDEN = "***"
_SHORTEST = 4
_SHOWN_QUERY = frozenset({"scope", "service", "mount", "from", "digest", "n", "last", "tag", "artifactType"})
_PATTERNS = re.compile(
    r"dckr_(?:pat|oat)_[A-Za-z0-9_-]+|gh[pousr]_[A-Za-z0-9]{20,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"
    r"|glpat-[A-Za-z0-9_-]{20,}|(?i:(?:Basic|Bearer) +)[A-Za-z0-9+/=._~-]{8,}"
    r"|(?i:X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)=|[?&](?:sig|signature)=)[^&\s]+"
)


class Redactor:
    """Knows the run's secrets in every form that they could be printed in; may be used from many threads.

    mask: takes each form when it is learnt, which is before it is used.
    """

    def __init__(self, mask: Callable[[str], None] | None = None) -> None:
        self._mask = mask
        self._known: set[tuple[str, str]] = set()
        self._forms: tuple[str, ...] = ()
        self._lock = threading.Lock()

    def learn(self, secret: str, username: str = "") -> None:
        """Never show `secret` again: raw, base64, URL-encoded or JSON-escaped, alone or behind `username:`."""
        if len(secret) < _SHORTEST or (secret, username) in self._known:
            return
        texts = {secret, f"{username}:{secret}"} if username else {secret}
        secret_forms = set().union(*map(forms, texts))
        with self._lock:
            self._known.add((secret, username))
            # The longest first: a form inside another one must not leave the other's rest behind.
            new = secret_forms.difference(self._forms)
            self._forms = tuple(sorted(new.union(self._forms), key=len, reverse=True))
        if self._mask:
            for form in sorted(new, key=len, reverse=True):
                self._mask(form)

    def __call__(self, text: str) -> str:
        """`text` with every secret replaced by three asterisks."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return _PATTERNS.sub(HIDDEN, text)

    def knows_part_of(self, text: str) -> bool:
        """Whether a secret that was learnt stands in `text`; what only looks like one doesn't count."""
        return any(form in text for form in self._forms)

    def url(self, url: str) -> str:
        """A URL to show: query values only where they are known to be harmless."""
        try:
            parts = urlsplit(url)
            query = parse_qsl(parts.query, keep_blank_values=True)
        except ValueError:
            return self(url.partition("?")[0])
        pairs = [(key, value if key in _SHOWN_QUERY else HIDDEN) for key, value in query]
        netloc = parts.netloc.rpartition("@")[2]
        address = parts._replace(netloc=netloc, query=urlencode(pairs, safe=":/,*"), fragment="")
        return self(urlunsplit(address))


def forms(text: str) -> set[str]:
    """How `text` may be written: as it is, base64, hexadecimal, URL-encoded, JSON-escaped."""
    content = text.encode("utf-8", "surrogateescape")
    standard, safe = base64.b64encode(content).decode(), base64.urlsafe_b64encode(content).decode()
    url_forms = {quote(content, safe=""), quote(content), quote_plus(content)}
    lower = {re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), form) for form in url_forms}
    in_json = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    plain = {text, standard, standard.rstrip("="), safe, safe.rstrip("="), content.hex()}
    return plain | url_forms | lower | in_json

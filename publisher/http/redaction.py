"""Secrets, taken out of everything that is shown or written."""

from __future__ import annotations

import base64
import json
import re
import threading
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit, urlunsplit

HIDDEN = "***"
_SHORTEST = 4
_SHOWN_QUERY = frozenset({"scope", "service", "mount", "from", "digest", "n", "last", "tag", "artifactType"})
_PATTERNS = re.compile(
    r"dckr_(?:pat|oat)_[A-Za-z0-9_-]+|gh[pousr]_[A-Za-z0-9]{20,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"
    r"|(?i:(?:Basic|Bearer) +)[A-Za-z0-9+/=._~-]{8,}|(?i:X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s]+"
)


class Redactor:
    """Knows the run's secrets in every form that they could be printed in; may be used from many threads."""

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._lock = threading.Lock()

    def learn(self, secret: str, username: str = "") -> None:
        """Never show `secret` again: raw, base64, URL-encoded or JSON-escaped, alone or behind `username:`."""
        if len(secret) < _SHORTEST:
            return
        plain = {secret, f"{username}:{secret}"} if username else {secret}
        forms = set(plain)
        for text in plain:
            encoded = base64.b64encode(text.encode()).decode()
            forms |= {encoded, encoded.rstrip("="), base64.urlsafe_b64encode(text.encode()).decode()}
            forms |= {
                quote(text, safe=""),
                quote_plus(text),
                json.dumps(text)[1:-1],
                json.dumps(text, ensure_ascii=False)[1:-1],
            }
        with self._lock:
            self._forms |= forms

    def __call__(self, text: str) -> str:
        """`text` with every secret replaced by three asterisks."""
        with self._lock:
            forms = sorted(self._forms, key=len, reverse=True)
        for form in forms:
            text = text.replace(form, HIDDEN)
        return _PATTERNS.sub(HIDDEN, text)

    def url(self, url: str) -> str:
        """A URL to show: query values only where they are known to be harmless."""
        parts = urlsplit(url)
        query = [
            (key, value if key in _SHOWN_QUERY else HIDDEN)
            for key, value in parse_qsl(parts.query, keep_blank_values=True)
        ]
        return self(urlunsplit(parts._replace(query=urlencode(query, safe=":/,*"))))

"""Faults to order: which request fails, and how."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field

from publisher.model.errors import UsageError

_RULE = re.compile(r"(?P<method>[A-Z]+|\*) (?P<path>\S+) (?:(?P<nth>[1-9][0-9]*)(?:st|nd|rd|th)|every) (?P<kind>\S+)")
_KIND = re.compile(r"(?:[45][0-9]{2}(?::[0-9]+)?|reset|lost)")


@dataclass
class Fault:
    """One rule: the nth request (0 for every) whose method and path fit fails by `kind`.

    kind: a status, perhaps with seconds of Retry-After (`429:2`); `reset` closes the connection before anything is
    done, `lost` after it is done.
    """

    method: str
    path: str
    nth: int
    kind: str
    _seen: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read `PUT /manifests/ 3rd 503`; raises UsageError."""
        match = _RULE.fullmatch(text.strip())
        if not match or not _KIND.fullmatch(match["kind"]):
            raise UsageError(
                f"'{text}' is not a fault rule",
                hint="it is METHOD PATH-PART NTH|every STATUS[:SECONDS]|reset|lost, as in 'PUT /manifests/ 3rd 503'",
            )
        return cls(match["method"], match["path"], int(match["nth"] or 0), match["kind"])

    def strikes(self, method: str, path: str) -> bool:
        """Count a request, and tell whether it is this rule's."""
        if self.method not in {"*", method} or self.path not in path:
            return False
        with self._lock:
            self._seen += 1
            return self.nth in {0, self._seen}

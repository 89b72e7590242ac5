"""The order in which sources are asked."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from publisher.model.credential import Broken, Credential, Present
from publisher.model.errors import BrokenCredential, PublishError
from publisher.model.reference import DOCKER_HUB, HUB_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from publisher.model.protocols import CredentialSource


class Chain:
    """Asks each source in turn; the first that has an answer decides, and a broken one stops the search.

    tell: takes one line for each answer that was found: whose credential it is and where it comes from.
    """

    def __init__(self, sources: Sequence[CredentialSource], trace: Callable[[str], None] | None = None) -> None:
        self._sources = sources
        self._trace = trace
        self._answers: dict[tuple[str, str], Credential | PublishError | None] = {}
        self._lock = threading.Lock()

    def find(self, registry: str, repository: str = "") -> Credential | None:
        """The credential for `registry`, None for an anonymous user; raises BrokenCredential."""
        host = DOCKER_HUB if registry in HUB_NAMES else registry
        key = (host, repository)
        with self._lock:
            if key not in self._answers:
                self._answers[key] = self._answer(host, repository)
            answer = self._answers[key]
        if isinstance(answer, PublishError):
            raise answer
        return answer

    def _answer(self, host: str, repository: str) -> Credential | PublishError | None:
        """An error is an answer too: threads that wait for it must not each wait for a helper that hangs."""
        try:
            return self._search(host, repository)
        except PublishError as error:
            return error

    def _search(self, host: str, repository: str) -> Credential | None:
        for source in self._sources:
            answer = source.find(host, repository)
            if isinstance(answer, Broken):
                raise BrokenCredential(
                    f"the credential for {host} from {source.name} can't be used: {answer.reason}",
                    reference=host,
                    hint=answer.hint or None,
                )
            if isinstance(answer, Present):
                return self._traced(_usable(answer.credential, host), host)
        return None

    def _traced(self, credential: Credential, host: str) -> Credential:
        if self._trace:
            self._trace(f"credential for {host}: {credential.username}, from {credential.source}")
        return credential


def _usable(credential: Credential, host: str) -> Credential:
    """Refuse what no HTTP header can carry: a newline here is mostly a pasted one."""
    for name, text in (("user name", credential.username), ("secret", credential.secret)):
        if any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):  # noqa: PLR2004 - control codes
            raise BrokenCredential(
                f"the {name} for {host} (from {credential.source}) has a control character in it, perhaps a newline",
                reference=host,
            )
    if ":" in credential.username or not credential.secret:
        what = "user name has a colon in it" if credential.secret else "secret is empty"
        raise BrokenCredential(f"the credential for {host} (from {credential.source}): the {what}", reference=host)
    return credential

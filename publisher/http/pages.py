"""Lists that come in pages: each page once, and not for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.http.headers import next_link
from publisher.http.limits import MOST_EMPTY_PAGES, MOST_PAGES
from publisher.http.origin import Origin, follow
from publisher.model.errors import PublishError, VerificationFailed

if TYPE_CHECKING:
    from publisher.http.message import Response


class PageTrail:
    """The pages of one list, as they are followed. what: the list, in messages; reference: whose it is."""

    def __init__(self, what: str, reference: object) -> None:
        self._what, self._reference = what, reference
        self._visited = set[str]()
        self._empty = 0

    def visit(self, url: str) -> None:
        """Note a page before it is asked for; raises VerificationFailed where the list has no end."""
        if url in self._visited:
            raise self._error("its pages lead in a circle")
        if len(self._visited) >= MOST_PAGES:
            raise self._error(f"it has more than {MOST_PAGES:,} pages")
        self._visited.add(url)

    def count(self, entries: int) -> None:
        """Note what a page held; raises VerificationFailed where empty pages lead on and on."""
        self._empty = 0 if entries else self._empty + 1
        if self._empty > MOST_EMPTY_PAGES:
            raise self._error(f"more than {MOST_EMPTY_PAGES} pages in a row hold nothing")

    def next_url(self, response: Response) -> str | None:
        """The page that `response` leads on to, on its own origin, since the token goes with it."""
        try:
            link = next_link(response.headers.get("Link", ""))
            target = follow(response.url, link) if link else None
        except (ValueError, PublishError) as error:
            raise self._error("where it goes on can't be read") from error
        if target is not None and Origin.of(target) != Origin.of(response.url):
            raise self._error("it goes on at another host")
        return target

    def _error(self, why: str) -> VerificationFailed:
        return VerificationFailed(f"{self._what} can't be read to its end: {why}", reference=self._reference)

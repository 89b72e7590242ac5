"""Lists that come in pages, joined by Link headers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

from publisher.http.origin import Origin
from publisher.model.errors import Unreachable, VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from publisher.http.message import Response

MOST_TAGS: Final = 1_000_000
_NEXT: Final = re.compile(r"""\s*rel\s*=\s*["']?next["']?\s*""", re.IGNORECASE)


def pages(url: str, fetch: Callable[[str], Response]) -> Iterator[Response]:
    """Each page, from `url` on; raises VerificationFailed where the links lead in a circle or away."""
    visited = set[str]()
    next_url: str | None = url
    while next_url is not None:
        visited.add(next_url)
        with fetch(next_url) as response:
            yield response
            next_url = next_page(response)
        if next_url in visited:
            raise VerificationFailed("the registry's pages lead in a circle", reference=url)


def next_page(response: Response) -> str | None:
    """The next page's address; only on the same origin, since the token goes with it."""
    link = _next_link(response.headers.get("Link", ""))
    if not link:
        return None
    target = urljoin(response.url, link)
    if Origin.of(target) != Origin.of(response.url):
        raise VerificationFailed("the registry's next page is on another host", reference=response.url.split("?")[0])
    return target


def _next_link(header: str) -> str:
    """The target of the link with rel="next", as RFC 8288 writes it and registries nearly do; "" for none."""
    for link in re.split(r",\s*(?=<)", header):
        target, *parameters = link.split(";")
        if any(map(_NEXT.fullmatch, parameters)):
            return target.strip("<> '\"")
    return ""


def tags_of(response: Response) -> list[str]:
    """The tags of one page of `tags/list`; some registries write null for none."""
    try:
        tags = json.loads(response.content)["tags"] or []
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reference = response.url.partition("?")[0]
        raise Unreachable("the registry's answer is not a list of tags", reference=reference) from error
    return [tag for tag in tags if isinstance(tag, str)]


def gather_tags(responses: Iterator[Response]) -> tuple[str, ...]:
    """The tags of all pages, each once, in the registry's order."""
    tags: dict[str, None] = {}
    for page in responses:
        tags.update(dict.fromkeys(tags_of(page)))
        if len(tags) > MOST_TAGS:
            raise VerificationFailed(f"the repository has more than {MOST_TAGS:,} tags", reference=page.url)
    return tuple(tags)

"""Lists that come in pages, joined by Link headers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

from publisher.http.origin import Origin
from publisher.model.errors import Unreachable, VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from publisher.http.message import Response

MOST_TAGS: Final = 1_000_000


def pages(url: str, fetch: Callable[[str], Response]) -> Iterator[Response]:
    """Each page, from `url` on; raises VerificationFailed where the links lead in a circle or away."""
    visited = set[str]()
    following: str | None = url
    while following is not None:
        visited.add(following)
        with fetch(following) as response:
            yield response
            following = next_page(response)
        if following in visited:
            raise VerificationFailed("the registry's pages lead in a circle", reference=url)


def next_page(response: Response) -> str | None:
    """The next page's address; only on the same origin, since the token goes with it."""
    if not (stated := response.headers.get("Link")):
        return None
    from requests.utils import parse_header_links

    links = parse_header_links(stated)
    found = next((link.get("url") for link in links if link.get("rel", "").lower() == "next"), None)
    if not found:
        return None
    target = urljoin(response.url, found)
    if Origin.of(target) != Origin.of(response.url):
        raise VerificationFailed("the registry's next page is on another host", reference=response.url.split("?")[0])
    return target


def tags_of(response: Response) -> list[str]:
    """The tags of one page of `tags/list`; some registries write null for none."""
    try:
        tags = json.loads(response.content)["tags"] or []
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reference = response.url.partition("?")[0]
        raise Unreachable("the registry's answer is not a list of tags", reference=reference) from error
    return [tag for tag in tags if isinstance(tag, str)]


def gather_tags(found: Iterator[Response]) -> tuple[str, ...]:
    """The tags of all pages, each once, in the registry's order."""
    seen: dict[str, None] = {}
    for page in found:
        seen.update(dict.fromkeys(tags_of(page)))
        if len(seen) > MOST_TAGS:
            raise VerificationFailed(f"the repository has more than {MOST_TAGS:,} tags", reference=page.url)
    return tuple(seen)

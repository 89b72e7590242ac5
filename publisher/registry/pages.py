"""Lists that come in pages, joined by Link headers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from publisher.model.errors import BadReference, Unreachable, VerificationFailed
from publisher.model.printable import printable
from publisher.model.reference import Tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from publisher.http.message import Response
    from publisher.http.pages import PageTrail

MOST_TAGS: Final = 1_000_000
_MOST_NAMES: Final = 5
_LONGEST_NAME: Final = 60


def pages(url: str, fetch: Callable[[str], Response], trail: PageTrail) -> Iterator[Response]:
    """Each page, from `url` on; the caller counts on the trail what each holds."""
    next_url: str | None = url
    while next_url is not None:
        trail.visit(next_url)
        with fetch(next_url) as response:
            yield response
            next_url = trail.next_url(response)


def tags_of(response: Response) -> list[Any]:
    """The entries of one page of `tags/list`, whatever they are; some registries write null for none."""
    try:
        document = json.loads(response.content)
        tags = document.get("tags", document)
    except (ValueError, AttributeError, RecursionError):
        tags = 0
    if tags is None:
        return []
    if not isinstance(tags, list):
        reference = response.url.partition("?")[0]
        raise Unreachable("the registry's answer is not a list of tags", reference=reference)
    return tags


def gather_tags(pages: Iterable[Iterable[Any]], report: Callable[[Sequence[str]], None]) -> tuple[str, ...]:
    """The tags of all pages, each once, in the registry's order.

    report: takes what is listed and is no tag, so that it must never be part of an address.
    """
    tags: dict[str, None] = {}
    others: dict[str, None] = {}
    for entry in (entry for page in pages for entry in page):
        try:
            tags[str(Tag.parse(entry))] = None
        except (BadReference, TypeError):
            others[_shown(entry)] = None
        if len(tags) + len(others) > MOST_TAGS:
            raise VerificationFailed(f"the repository has more than {MOST_TAGS:,} tags")
    if others:
        report(tuple(others))
    return tuple(tags)


def _shown(entry: object) -> str:
    text = entry if isinstance(entry, str) else type(entry).__name__
    return printable(text, longest=_LONGEST_NAME)


def name_no_tags(repository: object, names: Sequence[str]) -> str:
    """The warning for what a registry lists and is no tag."""
    first = ", ".join(f"'{name}'" for name in names[:_MOST_NAMES])
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return f"{repository} lists what can't be a tag, and it is left out: {first}{more}"

"""A README as Docker Hub can show it: links that lead somewhere, and no more bytes than it takes."""

from __future__ import annotations

import posixpath
import re
from itertools import accumulate
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from markdown_it.token import Token

# Docker Hub's clients count bytes, its API's description counts characters: the bytes satisfy both.
MOST_README: Final = 25_000
MOST_DESCRIPTION: Final = 100

_CODE_BLOCKS: Final = frozenset({"fence", "code_block"})
_HEADING: Final = "heading_open"
# What stands in backquotes is text, and matches first so that nothing in it is taken for a link.
_CODE: Final = r"(?P<code>(?P<quotes>`+)(?!`).*?(?<!`)(?P=quotes)(?!`))"
_TEXT: Final = r"(?:[^\[\]]|\[[^\[\]]*\]\([^()]*\)|\[[^\[\]]*\])*"
_TARGET: Final = r"[^\s()<>]+(?:\([^\s()<>]*\)[^\s()<>]*)*"
_INLINE: Final = rf"(?P<bang>!?)\[(?P<text>{_TEXT})\]\(\s*(?P<angle><?)(?P<target>{_TARGET})"
_HTML: Final = r"\b(?P<name>srcset|src|href)\s*=\s*(?P<mark>[\"'])(?P<address>[^\"']+)(?P=mark)"
_WORDS: Final = re.compile(f"{_CODE}|{_INLINE}|{_HTML}", re.DOTALL)
_DEFINITION: Final = re.compile(r"^( {0,3}\[[^\]\n]+\]:\s*<?)([^\s<>]+)", re.MULTILINE)
_PICTURES: Final = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".avif")


class Home(Value, frozen=True):
    """Where a README's own files can be seen: the web page of its git repository, and its folder there.

    page: as https://github.com/acme/app; "" where git names no remote, and then links stay as they are.
    """

    page: str = ""
    folder: str = ""

    def absolute(self, target: str, *, picture: bool) -> str:
        """The address of what a relative target means; others are given back."""
        parts = urlsplit(target)
        if not self.page or parts.scheme or parts.netloc or not parts.path:
            return target
        is_rooted = parts.path.startswith("/")
        path = posixpath.normpath(parts.path.lstrip("/") if is_rooted else posixpath.join(self.folder, parts.path))
        if path.startswith(".."):
            return target
        rest = (f"?{parts.query}" if parts.query else "") + (f"#{parts.fragment}" if parts.fragment else "")
        return f"{self._base(picture=picture)}/{'' if path == '.' else path}{rest}"

    def _base(self, *, picture: bool) -> str:
        host = urlsplit(self.page).hostname or ""
        if "gitlab" in host:
            return f"{self.page}/-/{'raw' if picture else 'blob'}/HEAD"
        return f"{self.page}/{'raw' if picture else 'blob'}/HEAD"


class HubText(Value, frozen=True):
    """What Docker Hub is to show. whole: how many bytes of UTF-8 it would have had, more than `text` if it was cut."""

    text: str
    whole: int

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return len(self.text.encode())

    @property
    def cut(self) -> bool:
        """Whether something had to go."""
        return self.whole > self.size


def make_readme(text: str, home: Home, address: str = "", most: int = MOST_README) -> HubText:
    """A README with absolute links, cut at a good place where it has more than `most` bytes of UTF-8.

    address: where the whole of it can be read; "" for nowhere.
    """
    absolute = "".join(_absolute(part, home) if prose else part for part, prose in _parts(text))
    whole = len(absolute.encode())
    if whole <= most:
        return HubText(absolute, whole)
    note = f"\n\n[Read on]({address})\n" if address else "\n\n…\n"
    return HubText(_cut(absolute, most - len(note.encode())).rstrip() + note, whole)


def make_description(text: str, most: int = MOST_DESCRIPTION) -> HubText:
    """A short description in one line, cut after a word where it has more than `most` bytes."""
    line = " ".join(text.split())
    whole = len(line.encode())
    if whole <= most:
        return HubText(line, whole)
    start = _first(line, most - len("…".encode()))
    return HubText((start.rpartition(" ")[0] or start).rstrip(" ,;:-") + "…", whole)


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces, each with whether it is prose: code blocks show what they hold."""
    lines = text.splitlines(keepends=True)
    position = 0
    for start, end in _blocks(text):
        yield "".join(lines[position:start]), True
        yield "".join(lines[start:end]), False
        position = end
    yield "".join(lines[position:]), True


def _blocks(text: str) -> list[tuple[int, int]]:
    """The lines of each code block."""
    tokens = _parsed(text)
    return [(token.map[0], token.map[1]) for token in tokens if token.type in _CODE_BLOCKS and token.map]


def _absolute(prose: str, home: Home) -> str:
    text = _WORDS.sub(lambda match: _relink(match, home), prose)
    return _DEFINITION.sub(lambda match: match[1] + home.absolute(match[2], picture=_is_picture(match[2])), text)


def _relink(match: re.Match[str], home: Home) -> str:
    if match["code"]:
        return match[0]
    if match["name"] == "srcset":
        return f"srcset={match['mark']}{_candidates(match['address'], home)}{match['mark']}"
    if match["name"]:
        address = home.absolute(match["address"], picture=match["name"] == "src")
        return f"{match['name']}={match['mark']}{address}{match['mark']}"
    # A badge is a picture inside a link's text.
    text = _WORDS.sub(lambda inner: _relink(inner, home), match["text"])
    target = home.absolute(match["target"], picture=bool(match["bang"]))
    return f"{match['bang']}[{text}]({match['angle']}{target}"


def _candidates(text: str, home: Home) -> str:
    """The pictures of a `srcset`, each before its width or density; a comma within an address has no space after it."""
    parts = (candidate.strip().partition(" ") for candidate in re.split(r",\s+", text))
    return ", ".join(f"{home.absolute(address, picture=True)}{blank}{size}" for address, blank, size in parts)


def _is_picture(target: str) -> bool:
    return urlsplit(target).path.lower().endswith(_PICTURES)


def _cut(text: str, most: int) -> str:
    """The beginning before the last heading, else row, item, paragraph or line that fits, else as many characters.

    What is left is at least half of what would fit, wherever the headings stand.
    """
    lines = text.splitlines(keepends=True)
    tokens = _parsed(text)
    ends = list(accumulate((len(line.encode()) for line in lines), initial=0))
    for starts in _places(tokens, len(lines)):
        within = [line for line in starts if most // 2 <= ends[line] <= most]
        if within:
            return _closed(lines[: max(within)], tokens, most)
    return _first(text, most)


def _places(tokens: Sequence[Token], length: int) -> Iterator[Iterable[int]]:
    """The lines to cut before, by what begins there, the best kind first."""
    starts = [(token, token.map[0], token.map[1]) for token in tokens if token.map]
    yield [line for token, line, _ in starts if token.type == _HEADING and token.level == 0]
    for kind in ("tr_open", "list_item_open"):
        yield [line for token, line, _ in starts if token.type == kind]
    yield [line for token, line, _ in starts if token.level == 0]
    # Between its first and its last line, markup is open.
    markup = {line for token, start, end in starts if token.type == "html_block" for line in range(start + 1, end)}
    yield [line for line in range(length) if line not in markup]


def _closed(lines: Sequence[str], tokens: Sequence[Token], most: int) -> str:
    """The lines, and the end of a block of code that they were cut in; a line goes where there is no room for it."""
    count = len(lines)
    for token in tokens:
        if token.type == "fence" and token.map and token.map[0] < count < token.map[1]:
            opening = lines[token.map[0]]
            end = opening[: len(opening) - len(opening.lstrip())] + token.markup
            while count > token.map[0] + 1 and len("".join(lines[:count]).encode()) + len(end) > most:
                count -= 1
            return "".join(lines[:count]) + end
    return "".join(lines)


def _first(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")


def _parsed(text: str) -> list[Token]:
    """Imported here: a release that describes nothing does without the parser."""
    from markdown_it import MarkdownIt

    return MarkdownIt().enable("table").parse(text)

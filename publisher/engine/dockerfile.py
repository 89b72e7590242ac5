"""What a Dockerfile says, instruction by instruction, read as BuildKit does."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING, Final

from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DIRECTIVE: Final = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)")
_DIRECTIVES: Final = frozenset({"syntax", "escape", "check"})
_WITH_HEREDOCS: Final = frozenset({"ADD", "COPY", "RUN"})
# BuildKit divides the line as a shell does, so that a << within quotes begins nothing; spaces after << belong to its
# word. Here a backslash escapes, whatever the directive says.
_SHELL_WORD: Final = re.compile(r"""(?:<<[ \t]*|\\(?:.|$)|'[^']*'|"(?:\\.|[^"\\])*"|[^\s'"\\<]|<(?!<))+""", re.DOTALL)
_HEREDOC: Final = re.compile(r"\d*<<(?P<dash>-?)\s*(?P<word>[^<]+)")
_QUOTES: Final = re.compile(r"""\\(.)|['"]""")
_SHEBANG_OF_SHELL: Final = re.compile(r"#!.*\b(?:ba|da|a|k|z)?sh\b")
_EVERYTHING: Final = frozenset({".", "./", "/"})


class Instruction(Value, frozen=True):
    """One instruction: the line where it begins, its word in upper case, and what follows, on one line.

    heredocs: the contents of those that it has, in order.
    """

    line: int
    word: str
    rest: str
    heredocs: tuple[str, ...] = ()

    @property
    def sources(self) -> list[str]:
        """What a COPY or ADD takes from the context; nothing where it takes from another stage."""
        return [] if "--from=" in self.rest else [word for word in self._words[:-1] if not _HEREDOC.fullmatch(word)]

    @property
    def _words(self) -> list[str]:
        """What follows the options, in either form: words or a list."""
        words = _operands(self.rest)
        json_words = _json_list(words)
        return words if json_words is None else json_words

    @property
    def script(self) -> str:
        """What the shell runs in a RUN: its line, or the heredoc in its place; without comments."""
        if len(self.heredocs) != 1 or not _HEREDOC.fullmatch(" ".join(_operands(self.rest))):
            return self.rest
        first, _, _ = self.heredocs[0].partition("\n")
        if first.startswith("#!") and not _SHEBANG_OF_SHELL.match(first):
            return ""
        lines = (line.strip() for line in self.heredocs[0].splitlines())
        return "\n".join(line for line in lines if line and not line.startswith("#"))

    def takes(self, path: str) -> bool:
        """Whether it copies `path`, relative to the context."""
        if self.word not in {"COPY", "ADD"}:
            return False
        plain = [source.removeprefix("./").rstrip("/") for source in self.sources]
        return any(
            source in {"", "."} or path == source or path.startswith(f"{source}/") or fnmatchcase(path, source)
            for source in plain
        )

    @property
    def copies_all(self) -> bool:
        """Whether it copies the whole context."""
        return self.word in {"COPY", "ADD"} and bool(_EVERYTHING & set(self.sources))

    @property
    def target(self) -> str:
        """Where a COPY or ADD puts things."""
        return self._words[-1] if self._words else ""


def read_dockerfile(text: str) -> tuple[Instruction, ...]:
    """The instructions, continued lines put together; a heredoc without its end goes to the last line."""
    lines = re.split(r"\r?\n", text.removeprefix("\ufeff"))
    escape = re.escape(_escape_character(lines))
    continuation = re.compile(rf"(?<!{escape}){escape}[ \t]*$")
    numbered_lines = iter(enumerate(lines, 1))
    instructions: list[Instruction] = []
    start, parts = 0, ""
    for number, line in numbered_lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        start = start or number
        part = continuation.sub("", line)
        parts += part.strip(" \t") + " "
        if part == line:
            instructions.append(_read_instruction(start, parts, (content for _, content in numbered_lines)))
            start, parts = 0, ""
    if parts.strip():
        instructions.append(_read_instruction(start, parts, ()))
    return tuple(instructions)


def _escape_character(lines: Iterable[str]) -> str:
    """A backslash, or what the directive says; directives stand before all else."""
    for line in lines:
        directive = _DIRECTIVE.fullmatch(line.strip())
        if directive is None or directive[1].lower() not in _DIRECTIVES:
            break
        if directive[1].lower() == "escape":
            return "`" if directive[2] == "`" else "\\"
    return "\\"


def _read_instruction(line: int, text: str, following: Iterable[str]) -> Instruction:
    """One instruction; takes the lines of its heredocs from those that follow."""
    word, rest = (*text.strip().split(maxsplit=1), "")[:2]
    contents = tuple(_content(heredoc, iter(following)) for heredoc in _heredocs(word.upper(), rest))
    return Instruction(line, word.upper(), rest, contents)


def _heredocs(word: str, rest: str) -> Iterator[re.Match[str]]:
    """What begins a heredoc; a line in which a quote stays open has none."""
    if word == "ONBUILD":
        word, rest = (*rest.split(maxsplit=1), "", "")[:2]
    if word.upper() in _WITH_HEREDOCS and _json_list(_operands(rest)) is None and not _SHELL_WORD.sub("", rest).strip():
        yield from filter(None, map(_HEREDOC.fullmatch, _SHELL_WORD.findall(rest)))


def _content(heredoc: re.Match[str], following: Iterator[str]) -> str:
    """The lines up to the one that is the heredoc's word without its quotes; after <<- without leading tabs."""
    end = _QUOTES.sub(r"\1", heredoc["word"])
    lines = (line.lstrip("\t") if heredoc["dash"] else line for line in following)
    return "".join(f"{line}\n" for line in takewhile(lambda line: line != end, lines))


def _operands(text: str) -> list[str]:
    """The words behind the options."""
    return list(dropwhile(lambda word: word.startswith("--"), text.split()))


def _json_list(words: list[str]) -> list[str] | None:
    """What stands in JSON's form of a list; None for all else."""
    try:
        value = json.loads(" ".join(words)) if words and words[0].startswith("[") else None
    except ValueError:
        return None
    return [str(word) for word in value] if isinstance(value, list) else None

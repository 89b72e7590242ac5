"""What a Dockerfile says, instruction by instruction, read as BuildKit does."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Final

from publisher.model.value import Value

_EVERYTHING: Final = frozenset({".", "./", "/"})


class Instruction(Value, frozen=True):
    """One instruction: the line where it begins, its word in upper case, and what follows, on one line."""

    line: int
    word: str
    rest: str

    @property
    def sources(self) -> list[str]:
        """What a COPY or ADD takes from the context; nothing where it takes from another stage."""
        return [] if "--from=" in self.rest else self._words[:-1]

    @property
    def _words(self) -> list[str]:
        """What follows the options, in either form: words or a list."""
        words = self.rest.split()
        while words and words[0].startswith("--"):
            words.pop(0)
        try:
            listed = json.loads(" ".join(words)) if words and words[0].startswith("[") else None
        except ValueError:
            listed = None
        return [str(word) for word in listed] if isinstance(listed, list) else words

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
    """The instructions, continued lines put together."""
    found: list[Instruction] = []
    begun, parts = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not line.strip() and not parts):
            continue
        begun = begun or number
        continues = line.rstrip().endswith("\\")
        parts += line.strip().removesuffix("\\").strip() + " "
        if not continues:
            word, _, rest = parts.strip().partition(" ")
            found.append(Instruction(begun, word.upper(), rest.strip()))
            begun, parts = 0, ""
    return tuple(found)

"""GitHub's expressions, as far as our workflows and the Action use them.

Source: docs.github.com, "Evaluate expressions in workflows and actions".
"""

from __future__ import annotations

import re
from typing import Any

Context = dict[str, Any]
_TOKEN = re.compile(r"\s*(?:(?P<sign>==|!=|&&|\|\||[!()])|'(?P<text>(?:[^']|'')*)'|(?P<name>[A-Za-z_][\w.-]*))")


def fill(text: str, context: Context) -> str:
    """A text with its expressions replaced; what isn't there is empty."""
    return re.sub(r"\$\{\{(.*?)\}\}", lambda match: _written(evaluate(match[1], context)), text, flags=re.DOTALL)


def _written(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def evaluate(text: str, context: Context) -> Any:
    """The value of one expression, with or without its braces."""
    inner = text.strip().removeprefix("${{").removesuffix("}}")
    reader = _ExpressionReader(inner, context)
    value = reader.either()
    assert not reader.rest.strip(), f"not understood: {reader.rest}"
    return value


class _ExpressionReader:
    """Reads from left to right; `rest` is what is left."""

    def __init__(self, text: str, context: Context) -> None:
        self.rest, self._context = text, context

    def _next(self, *signs: str) -> str | None:
        match = _TOKEN.match(self.rest)
        if match and match["sign"] in signs:
            self.rest = self.rest[match.end() :]
            return match["sign"]
        return None

    def either(self) -> Any:
        value = self._both()
        while self._next("||"):
            other = self._both()
            value = value or other
        return value

    def _both(self) -> Any:
        value = self._compared()
        while self._next("&&"):
            other = self._compared()
            value = other if value else value
        return value

    def _compared(self) -> Any:
        value = self._single()
        while sign := self._next("==", "!="):
            same = _folded(value) == _folded(self._single())
            value = same if sign == "==" else not same
        return value

    def _single(self) -> Any:
        if self._next("!"):
            return not self._single()
        if self._next("("):
            value = self.either()
            assert self._next(")"), "a parenthesis is open"
            return value
        match = _TOKEN.match(self.rest)
        assert match is not None, f"not understood: {self.rest}"
        assert not match["sign"], f"not understood: {self.rest}"
        self.rest = self.rest[match.end() :]
        if match["text"] is not None:
            return match["text"].replace("''", "'")
        return self._call(match["name"]) if self._next("(") else self._named(match["name"])

    def _call(self, name: str) -> Any:
        arguments = []
        while not self._next(")"):
            arguments.append(self.either())
            self.rest = self.rest.lstrip().removeprefix(",")
        failed = bool(self._context.get("failed"))
        match name, arguments:
            case "always", []:
                return True
            case "success", []:
                return not failed
            case "failure", []:
                return failed
            case "startsWith", [text, start]:
                return str(text).lower().startswith(str(start).lower())
        raise AssertionError(f"no such function: {name}")

    def _named(self, name: str) -> Any:
        if name in {"true", "false", "null"}:
            return {"true": True, "false": False}.get(name)
        value: Any = self._context
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        assert name.partition(".")[0] in self._context, f"no such context: {name}"
        return value


def _folded(value: object) -> object:
    return value.lower() if isinstance(value, str) else value

"""The one door of the documents' JSON: references, repositories and digests are text there, and values here."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from publisher.model.errors import BadReference
from publisher.model.value import TextValue

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def encode(document: object) -> bytes:
    """A document as JSON."""
    return msgspec.json.encode(document, enc_hook=_text)


def encode_readable(document: object) -> str:
    """The same for people: indented, with a newline at the end."""
    return msgspec.json.format(encode(document), indent=2).decode() + "\n"


def decode(content: bytes, kind: Any) -> Any:
    """Read a document of a type; raises msgspec.MsgspecError, UnicodeDecodeError or RecursionError."""
    return msgspec.json.decode(content, type=kind, dec_hook=_value)


def schema(kind: type) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a document's type."""
    return {"$schema": _DIALECT, **msgspec.json.schema(kind, schema_hook=_schema_of)}


def _text(value: object) -> str:
    if isinstance(value, TextValue):
        return str(value)
    raise NotImplementedError(f"{type(value)} has no place in a document")


def _value(kind: type, text: object) -> object:
    if kind is object:
        return text  # what a smoke run found may be anything
    if not issubclass(kind, TextValue):
        raise NotImplementedError(f"{kind} has no place in a document")
    if not isinstance(text, str):
        raise TypeError(f"Expected `str`, got `{type(text).__name__}`")
    try:
        return kind.parse(text)
    except BadReference as error:
        # msgspec adds where it stands.
        raise ValueError(error.message) from error


def _schema_of(kind: type) -> dict[str, Any]:
    # The one other type that msgspec has no schema for is `object`.
    return {"type": "string"} if issubclass(kind, TextValue) else {"description": "Anything."}

"""From a TOML document to typed settings; complaints name the key."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec

from publisher.facts.config_errors import InvalidSetting, Key, show, unknown_key
from publisher.model.settings import ImageSettings, RegistrySettings, Settings

_Table = TypeVar("_Table", bound=msgspec.Struct)

# A table at the top serves every [images.NAME] that has none of its own.
_SHARED: Final = ("tags", "build", "smoke", "labels", "transfer", "hub", "retention")

_PROBLEM = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|(\[\.\.\.\])")
_EXPECTED = re.compile(r"Expected `(?P<types>[^`]+)`(?:, got `\w+`)?(?P<bound> [<>]=? [\d.]+)?")
_WORDS: Final = {
    "array": "a list",
    "object": "a table",
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}


def convert(document: dict[str, Any]) -> Settings:
    """Type a whole configuration; raises Complaint."""
    images, registry = document.get("images"), document.get("registry")
    # These two are typed entry by entry, since msgspec's complaints don't say which entry of a table they mean.
    tables = {key for key in ("images", "registry") if isinstance(document.get(key), dict)}
    settings = _convert({key: value for key, value in document.items() if key not in tables}, Settings, ())
    if isinstance(registry, dict):
        hosts = {host: _convert(table, RegistrySettings, ("registry", host)) for host, table in registry.items()}
        settings = msgspec.structs.replace(settings, registry=hosts)
    if isinstance(images, dict):
        settings = msgspec.structs.replace(settings, images=_images(images, document))
    return settings


def _images(images: dict[str, Any], document: dict[str, Any]) -> dict[str, ImageSettings]:
    if "source" in document:
        raise InvalidSetting(("source",), "a source for all of [images]", "a `source` within each [images.NAME]")
    defaults = {key: document[key] for key in _SHARED if key in document}
    return {
        name: _convert(defaults | table if isinstance(table, dict) else table, ImageSettings, ("images", name))
        for name, table in images.items()
    }


def _convert(value: object, kind: type[_Table], table: Key) -> _Table:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _invalid_setting(str(error), value, kind, table) from error


def _invalid_setting(problem: str, document: object, kind: type[msgspec.Struct], table: Key) -> InvalidSetting:
    """Put msgspec's sentence into the user's words."""
    match = _PROBLEM.fullmatch(problem)
    what, path = (match["what"], match["path"] or "") if match else (problem, "")
    key, value = _walk(document, path)
    name = re.search(r"field `([^`]+)`", what)
    if name and "unknown" in what:
        return unknown_key((*table, *key, name[1]), _known_keys(kind, key))
    if name:
        return InvalidSetting(table + key, f"no '{name[1]}'", f"a table with '{name[1]}', which must be there")
    return InvalidSetting(table + key, show(value), _expected_types(what))


def _walk(document: object, path: str) -> tuple[Key, object]:
    """Follow msgspec's path; where it says only `[...]` the culprit is the first value that is no string."""
    key: list[str] = []
    for name, number, _ in _STEP.findall(path):
        if number and isinstance(document, list):
            key.append(f"[{number}]")
            document = document[int(number)]
        elif isinstance(document, dict):
            key.append(name or next(name for name, value in document.items() if not isinstance(value, str)))
            document = document[key[-1]]
    return tuple(key), document


def _known_keys(kind: type[msgspec.Struct], key: Key) -> list[str]:
    """The keys of the table at `key`, found by following the types."""
    info = msgspec.inspect.type_info(kind)
    for part in key:
        if not part.startswith("["):
            info = _field(info, part)
    struct = _struct(info)
    return [field.encode_name for field in struct.fields] if struct else []


def _field(info: msgspec.inspect.Type, name: str) -> msgspec.inspect.Type:
    struct = _struct(info)
    assert struct is not None  # noqa: S101 - msgspec went this way itself
    return next(field.type for field in struct.fields if field.encode_name == name)


def _struct(info: msgspec.inspect.Type) -> msgspec.inspect.StructType | None:
    """The table among the types that a key may have."""
    match info:
        case msgspec.inspect.StructType():
            return info
        case msgspec.inspect.UnionType(types=types):
            return next(filter(None, map(_struct, types)), None)
        case msgspec.inspect.VarTupleType(item_type=item):
            return _struct(item)
        case _:
            return None


def _expected_types(what: str) -> str:
    match = _EXPECTED.fullmatch(what)
    if match is None:
        return what
    types = [_WORDS.get(name, name) for name in match["types"].split(" | ") if name != "null"]
    return " or ".join(types) + (f",{match['bound']}" if match["bound"] else "")

"""`publish schema`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from publisher.cli.completing import matching

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOMS = ("publisher.model", "publisher.workflows")


def _complete(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    return matching(incomplete, sorted(documents()))


@click.command("schema")
@click.argument("name", required=False, metavar="[NAME]", shell_complete=_complete)
def command(name: str | None) -> None:
    r"""Print the JSON Schema of a document that publish prints or reads; without NAME, list them.

    \b
    publish schema
    publish schema plan > plan.schema.json
    publish schema configuration
    """
    import msgspec

    from publisher.cli.rendering import show_text

    types = documents()
    if name is None:
        show_text("\n".join(sorted(types)) + "\n")
        return
    if name not in types:
        from difflib import get_close_matches

        near = get_close_matches(name, types, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(sorted(types))}."
        raise click.UsageError(f"no schema '{name}'. {hint}")
    show_text(msgspec.json.format(msgspec.json.encode(schema_of(types[name]))).decode() + "\n")


def schema_of(document: type) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a document's type."""
    from publisher.model.codec import schema
    from publisher.model.settings import Settings
    from publisher.model.settings_schema import settings_schema

    return settings_schema() if document is Settings else schema(document)


def documents() -> dict[str, type]:
    """Every document by its name: the middle of `publish.NAME/1`, and the configuration file."""
    import msgspec

    from publisher.model.settings import Settings

    types: dict[str, type] = {"configuration": Settings}
    for module in _modules():
        for kind in vars(module).values():
            tag = str(kind.__struct_config__.tag) if _is_struct(kind, msgspec.Struct) else ""
            if tag.startswith("publish."):
                types[tag.removeprefix("publish.").partition("/")[0]] = kind
    return types


def _is_struct(kind: object, struct: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, struct)


def _modules() -> Iterator[Any]:
    from importlib import import_module
    from pkgutil import walk_packages

    for room in _ROOMS:
        for entry in walk_packages(import_module(room).__path__, f"{room}."):
            yield import_module(entry.name)

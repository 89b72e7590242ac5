"""The configuration's page, its JSON Schema and the code say the same."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from publisher.facts.checks import check
from publisher.facts.conversion import convert
from publisher.model.settings_schema import TABLES, settings_schema
from tests.support.console import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "configuration.md"
SCHEMA = json.loads(json.dumps(settings_schema()))
KEYS = [(name, key) for name, table in SCHEMA["$defs"].items() for key in table["properties"]]


def in_document(table: str, key: str, value: object) -> dict[str, Any]:
    """A configuration that holds one key's example, in its place."""
    needed: dict[str, dict[str, Any]] = {
        "ImageSettings": {"repositories": ["acme/api"]},
        "RegistrySettings": {"client-cert": "client.pem"},
    }
    inner = {**needed.get(table, {}), key: value}
    named = {"Settings": (), "RegistrySettings": ("registry", "registry.example"), "ImageSettings": ("images", "api")}
    place = named[table] if table in named else TABLES[table].split(".")
    for part in reversed(place):
        inner = {part: inner}
    return inner


@pytest.mark.parametrize(("table", "key"), KEYS)
def test_every_key_is_described_with_an_example_that_is_taken(table: str, key: str) -> None:
    """By the schema, and by the code that reads the file."""
    described = SCHEMA["$defs"][table]["properties"][key]
    assert described["title"].endswith(key)
    assert described["description"].endswith((".", "`."))
    for example in described["examples"]:
        document = in_document(table, key, example)
        Draft202012Validator(SCHEMA).validate(document)
        check(convert(document))


def test_the_schema_names_itself() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"] == "urn:publish:schema:configuration:1"
    assert {"title", "description"} <= SCHEMA.keys()


def test_the_schema_refuses_what_the_code_refuses() -> None:
    with pytest.raises(ValidationError):
        Draft202012Validator(SCHEMA).validate({"tags": {"ruels": []}})


def test_every_table_has_its_heading() -> None:
    """A table that is added to the settings needs its place in the file."""
    assert set(SCHEMA["$defs"]) <= {*TABLES, "Settings"}


def test_the_page_is_written_from_the_schema(tmp_path: Path) -> None:
    """If this fails: scripts/configuration."""
    shutil.copy(PAGE, tmp_path / "page.md")
    script = runpy.run_path(str(ROOT / "scripts" / "configuration"))
    script["main"](tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text() == PAGE.read_text()


def files() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every configuration that the page and the examples show."""
    for block in blocks(PAGE, "toml"):
        document = tomllib.loads(block.text)
        yield str(block), document.get("tool", {}).get("publish", document)
    for path in ROOT.glob("examples/**/publish.toml"):
        yield path.parent.name, tomllib.loads(path.read_text())


@pytest.mark.parametrize(("_name", "document"), [*files()])
def test_every_configuration_shown_is_taken(_name: str, document: dict[str, Any]) -> None:
    Draft202012Validator(SCHEMA).validate(document)
    check(convert(document))


def test_the_line_for_editors_names_the_file_that_the_command_writes() -> None:
    line = next(block.text for block in blocks(PAGE, "toml")).splitlines()[0]
    assert line == "#:schema ./publish.schema.json"
    assert "publish schema configuration > publish.schema.json" in PAGE.read_text()


_OWN = (
    "PUBLISH|DOCKERHUB|DOCKER|XDG|SSL|CI|GITHUB|GITLAB|ACTIONS|SOURCE|NO|REQUESTS|COSIGN|SIGSTORE|BUILDX|BUILDKIT|AWS"
)
_VARIABLE = re.compile(rf"[\"']((?:{_OWN})_[A-Z][A-Z_0-9]*[A-Z0-9])[\"']")
_ELSEWHERE = {
    "PUBLISH_VERBOSE",  # an option's, as the text above the table says
    "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND",  # set for a plugin of docker's, as docker does
}


def test_every_environment_variable_has_its_row() -> None:
    """Those that the code reads, and no other."""
    code = "\n".join(path.read_text() for path in (ROOT / "publisher").rglob("*.py"))
    read = set(_VARIABLE.findall(code)) - _ELSEWHERE
    table = PAGE.read_text().partition("| variable | says |")[2]
    rows = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
    shown = {name for row in rows for name in re.findall(r"`([A-Z_0-9]+)`", row)}
    assert read - shown == set()
    assert {name for name in shown if name not in code} - {
        "ALL_PROXY",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
    } == set()

"""Values in the spelling of `docker buildx build`: one record of CSV, each field KEY=VALUE."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Final, Self

import msgspec
from msgspec.structs import replace

from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_LAYOUT: Final = "oci-layout://"
_ELSEWHERE: Final = re.compile(r"(?:docker-image|https?|git|ssh|target)://|git@")
# What stands behind the folder of a layout: a tag, a digest or both.
_OF_LAYOUT: Final = re.compile(r"(?P<path>.+?)(?P<rest>(?::[\w.-]+)?(?:@sha256:[0-9a-f]+)?)")
# Publish's own credentials are given to no child, whatever a configuration says.
_OWN: Final = re.compile(r"PUBLISH_.*|DOCKERHUB_.*|DOCKER_AUTH_CONFIG|COSIGN_PASSWORD|SIGSTORE_ID_TOKEN|ACTIONS_ID_.*")
_PATHS: Final = ("src", "dest")


def is_own(variable: str) -> bool:
    """Whether a variable holds a credential of publish itself."""
    return _OWN.fullmatch(variable) is not None


def read_fields(text: str) -> list[str]:
    """The fields of one record; raises ValueError for a quote that isn't closed and the like."""
    try:
        records = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from error
    return records[0] if records else []


def write_fields(fields: Iterable[str]) -> str:
    """The record that reads back as these fields."""
    record = io.StringIO()
    csv.writer(record, lineterminator="").writerow(fields)
    return record.getvalue()


def read_attributes(text: str) -> dict[str, str]:
    """KEY=VALUE by key in lower case; raises ValueError for anything else."""
    pairs = [field.partition("=") for field in read_fields(text)]
    if bad := next((key for key, equals, _ in pairs if not equals), None):
        raise ValueError(f"'{bad}' is not KEY=VALUE")
    return {key.strip().lower(): value for key, _, value in pairs}


class BuildSecret(Value, frozen=True):
    """A secret that steps may mount: the value of a variable, or the content of a file."""

    id: str
    variable: str = ""
    file: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `id=npm,env=NPM_TOKEN` or `id=npm,src=FILE`; raises ValueError. An id alone may be either."""
        attributes = read_attributes(text)
        if unknown := attributes.keys() - {"id", "type", "env", "src", "source"}:
            raise ValueError(f"a secret has no '{min(unknown)}'")
        if attributes.get("type", "env") not in {"env", "file"}:
            raise ValueError("the type of a secret is env or file")
        if not attributes.get("id"):
            raise ValueError("a secret has an id")
        variable, file = attributes.get("env", ""), attributes.get("src") or attributes.get("source", "")
        if attributes.get("type") == "env" and not variable:
            variable, file = file, ""
        if variable and file:
            raise ValueError("a secret is a variable's value or a file's content, not both")
        if is_own(named := variable or ("" if file else attributes["id"])):
            raise ValueError(f"{named} is a credential of publish itself, which no build gets")
        return cls(attributes["id"], variable, file)

    def resolve(self, environ: Mapping[str, str], folder: Path) -> Self:
        """The same with its variable or its file stated: an id alone is the variable, where there is one."""
        if self.variable or self.file:
            return self
        return replace(self, variable=self.id) if self.id in environ else replace(self, file=str(folder / self.id))

    def within(self, folder: Path) -> Self:
        """The same with its file's path made usable from anywhere."""
        return replace(self, file=str(folder / self.file)) if self.file else self

    def __str__(self) -> str:
        return write_fields([f"id={self.id}", f"env={self.variable}" if self.variable else f"src={self.file}"])


class BuildCache(Value, frozen=True):
    """Where a build's cache is kept: its type, and what that type wants to know."""

    type: str
    attributes: Mapping[str, str] = msgspec.field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `type=registry,ref=NAME`, or NAME alone; raises ValueError."""
        fields = read_fields(text)
        if len(fields) == 1 and fields[0] and "=" not in fields[0]:
            return cls("registry", {"ref": fields[0]})
        attributes = read_attributes(text)
        if not attributes.get("type"):
            raise ValueError("a cache has a type, as in type=registry,ref=NAME or type=local,dest=FOLDER")
        return cls(attributes["type"], {key: value for key, value in attributes.items() if key != "type"})

    @property
    def reference(self) -> str:
        """The image that a registry keeps it as; "" where none does."""
        return self.attributes.get("ref", "") if self.type == "registry" else ""

    @property
    def paths(self) -> tuple[str, ...]:
        """The folders of this machine that it is kept in."""
        return tuple(self.attributes[key] for key in _PATHS if key in self.attributes) if self.type == "local" else ()

    def within(self, folder: Path) -> Self:
        """The same with its paths made usable from anywhere."""
        if not self.paths:
            return self
        return replace(
            self,
            attributes={key: str(folder / value) if key in _PATHS else value for key, value in self.attributes.items()},
        )

    def renamed(self, reference: str) -> Self:
        """The same, kept as another image; written as one, since some registries' indexes list manifests only."""
        return replace(self, attributes={**self.attributes, "ref": reference, "image-manifest": "true"})

    def __str__(self) -> str:
        return write_fields([f"type={self.type}", *(f"{key}={value}" for key, value in self.attributes.items())])


class BuildContext(Value, frozen=True):
    """A context beside the main one, by the name that a Dockerfile calls it."""

    name: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read NAME=VALUE; raises ValueError."""
        name, _, value = text.partition("=")
        if not name or not value:
            raise ValueError(f"'{text}' is not NAME=VALUE")
        return cls(name, value)

    @property
    def path(self) -> str:
        """The folder of this machine that it is; "" where it is an image or an address."""
        if _ELSEWHERE.match(self.value):
            return ""
        match = _OF_LAYOUT.fullmatch(self.value.removeprefix(_LAYOUT))
        return match["path"] if match and self.value.startswith(_LAYOUT) else self.value

    @property
    def image(self) -> str:
        """The image that it is; "" where it is something else."""
        prefix = "docker-image://"
        return self.value.removeprefix(prefix) if self.value.startswith(prefix) else ""

    def within(self, folder: Path) -> Self:
        """The same with its path made usable from anywhere."""
        if not self.path:
            return self
        layout = _LAYOUT if self.value.startswith(_LAYOUT) else ""
        rest = self.value.removeprefix(layout).removeprefix(self.path)
        return replace(self, value=f"{layout}{folder / self.path}{rest}")

    def __str__(self) -> str:
        return f"{self.name}={self.value}"

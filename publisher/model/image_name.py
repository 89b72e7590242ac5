"""A destination as users write it: a repository, perhaps with `enable=BOOL`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from publisher.model.errors import ConfigError
from publisher.model.fields import fields
from publisher.model.reference import Repository
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable


class ImageName(Value, frozen=True):
    """A destination: `written` is the name in lower case, `enabled` whether it gets tags."""

    written: str
    repository: Repository
    enabled: bool = True

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read NAME, `NAME,enable=BOOL` or `name=NAME,enable=BOOL`; raises ConfigError, BadReference."""
        name, enabled = "", "true"
        for key, value in _fields(text):
            if key == "enable":
                enabled = value
            elif key not in {"", "name"}:
                raise _wrong(text, f"'{key}' is no key of an image")
            elif name:
                raise _wrong(text, f"it has two names, '{name}' and '{value}'")
            else:
                name = value
        if not name:
            raise _wrong(text, "it has no name")
        if enabled not in {"true", "false"}:
            raise _wrong(text, f"enable is '{enabled}'")
        lower = name.lower()
        return cls(lower, Repository.parse(lower), enabled == "true")


def read_images(written: Iterable[str]) -> tuple[ImageName, ...]:
    """Read the destinations that are enabled, each repository once. Raises ConfigError, BadReference."""
    images: dict[Repository, ImageName] = {}
    for image in map(ImageName.parse, written):
        if image.enabled:
            images.setdefault(image.repository, image)
    return tuple(images.values())


def _fields(text: str) -> list[tuple[str, str]]:
    try:
        return fields(text)
    except ValueError as error:
        raise _wrong(text, str(error)) from error


def _wrong(text: str, reason: str) -> ConfigError:
    return ConfigError(
        f"the image '{text}' can't be read: {reason}",
        hint="an image is a name, or name=NAME,enable=true or false",
    )

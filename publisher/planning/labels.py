"""The labels that an image gets."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from publisher.model.facts import Facts

_SPACE: Final = "org.opencontainers.image."


def make_labels(facts: Facts, version: str | None, overrides: Mapping[str, str]) -> dict[str, str]:
    """Compose the labels of image-spec's predefined keys that are known; `overrides` win, an empty one removes."""
    project = facts.project
    known = {
        "title": project.title,
        "description": project.description,
        "url": project.url,
        "source": project.source,
        "version": version,
        "created": _time(facts.created),
        "revision": facts.revision,
        "licenses": project.licenses,
    }
    labels = {_SPACE + key: value for key, value in known.items()} | dict(overrides)
    return {key: value for key, value in labels.items() if value}


def _time(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the second: the same commit gives the same label on every machine."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

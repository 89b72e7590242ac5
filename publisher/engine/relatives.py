"""Images of the engine that share their lowest layers with another, and that it knows from a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from publisher.engine.errors import translated_errors
from publisher.model.errors import BadReference
from publisher.model.reference import Reference
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.engine.connection import Engine
    from publisher.engine.image import EngineImage

_MOST: Final = 64
"""Images of one registry that are looked at: each costs a question to the engine."""


class Relative(Value, frozen=True):
    """An image, and the references (by digest) under which the engine has met it in one registry."""

    image: EngineImage
    references: tuple[Reference, ...]


def find_relatives(engine: Engine, image: EngineImage, registry: str) -> tuple[Relative, ...]:
    """Those known from `registry` (host[:port]) whose layers are the lowest of `image`'s; most layers first."""
    with translated_errors(engine.address):
        images: list[dict[str, Any]] = engine.api.images()
    entries = [entry for entry in images if any(_references(entry.get("RepoDigests") or (), registry))]
    relatives = [
        candidate
        for entry in entries[:_MOST]
        if (candidate := engine.inspect(str(entry["Id"]))) and _is_below(candidate, image)
    ]
    relatives.sort(key=lambda candidate: (-len(candidate.diff_ids), candidate.id))
    return tuple(Relative(candidate, tuple(_references(candidate.repo_digests, registry))) for candidate in relatives)


def _is_below(candidate: EngineImage, image: EngineImage) -> bool:
    depth = len(candidate.diff_ids)
    return candidate.config is not None and depth > 0 and candidate.diff_ids == image.diff_ids[:depth]


def _references(texts: Iterable[str], registry: str) -> Iterable[Reference]:
    for text in texts:
        try:
            reference = Reference.parse(text)
        except BadReference:
            continue  # "<none>@<none>", as engines name what lost its name
        if reference.repository.registry == registry and reference.digest is not None:
            yield reference


def layer_sizes(engine: Engine, name: str) -> tuple[int, ...]:
    """The sizes in bytes of an image's layers, unpacked, the lowest first; empty layers are left out.

    The engine doesn't tell a layer without a byte from a step that made none, so that this is an estimate for all
    layers above an empty one.
    """
    with translated_errors(name):
        steps: list[dict[str, Any]] | None = engine.api.history(name)  # type: ignore[no-untyped-call]  # the stubs lack it
    # An image that another tool wrote may have none.
    return tuple(size for step in reversed(steps or ()) if (size := int(step.get("Size") or 0)))

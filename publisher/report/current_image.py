"""Which of several images the work of a thread is about, so that what is told of it can say so."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_IMAGE: Final = ContextVar("image", default="")


@contextmanager
def image_named(name: str) -> Iterator[None]:
    """What the block does, and what is done side by side in it, is about this image."""
    token = _IMAGE.set(name)
    try:
        yield
    finally:
        _IMAGE.reset(token)


def current_image() -> str:
    """Its name; "" where the run is about one image only."""
    return _IMAGE.get()

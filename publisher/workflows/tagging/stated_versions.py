"""What images say which version they are, where a tag's text alone can't tell.

A dash in a tag may stand for the + of build metadata. The image is asked only if a floating tag depends on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from publisher.model.errors import PublishError
from publisher.model.manifest import VERSION_ANNOTATION, Index, Manifest
from publisher.model.reference import Tag
from publisher.planning.lines import to_ask
from publisher.planning.tag_reader import tag_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from publisher.model.manifest import Content
    from publisher.planning.lines import Published
    from publisher.planning.rules import Ruleset
    from publisher.planning.version import Version
    from publisher.registry.repository import RemoteRepository
    from publisher.workflows.session import Session

_LARGEST_CONFIG: Final = 4 << 20


class _Config(msgspec.Struct):
    """The part of an image's config that docker and OCI agree on."""

    labels: dict[str, str] | None = msgspec.field(default=None, name="Labels")


class _ImageConfig(msgspec.Struct):
    config: _Config | None = None


def ask_images(
    session: Session, remote: RemoteRepository, ruleset: Ruleset, state: Published, released: Iterable[Version] = ()
) -> Published:
    """The state with what the images say that a floating tag depends on, the highest first.

    At most three requests an image: its manifest, its first platform's, its config. An image that can't be read says
    nothing.
    """
    versions = tuple(released)
    while (told := ask_first_images(session, remote, ruleset, state, versions)) is not None:
        state = told
    return state


def ask_first_images(
    session: Session, remote: RemoteRepository, ruleset: Ruleset, state: Published, released: Iterable[Version] = ()
) -> Published | None:
    """As ask_images, once: the highest that each floating tag depends on; None where nothing is left to ask."""
    tags = to_ask(ruleset, state, released)
    if not tags:
        return None
    reader = tag_reader(ruleset)

    def ask(tag: str) -> str:
        return _stated(remote, tag, lambda text: reader.stated(tag, text) is not None)

    answers = session.parallel(ask, tags)
    return msgspec.structs.replace(state, stated={**state.stated, **dict(zip(tags, answers, strict=True))})


def _stated(remote: RemoteRepository, tag: str, fits: Callable[[str], bool]) -> str:
    """The annotation, else the label; "" where neither is a version that this tag would be written for."""
    try:
        content = remote.find(Tag(tag))
        if content is None:
            return ""
        if fits(annotated := content.annotations.get(VERSION_ANNOTATION, "")):
            return annotated
        labelled = _label(remote, content)
    except (PublishError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return labelled if fits(labelled) else ""


def _label(remote: RemoteRepository, content: Content) -> str:
    manifest = remote.get(content.images[0].digest) if isinstance(content, Index) and content.images else content
    if not isinstance(manifest, Manifest):
        return ""
    with remote.open_blob(manifest.config) as stream:
        read = msgspec.json.decode(stream.read(_LARGEST_CONFIG), type=_ImageConfig)
    labels = (read.config.labels if read.config else None) or {}
    return labels.get(VERSION_ANNOTATION, "")

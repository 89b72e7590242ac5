"""Indexes, put together from images of one platform each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from publisher.model import media
from publisher.model.errors import UsageError
from publisher.model.manifest import Content, Index, Platform, compose_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from publisher.model.manifest import Descriptor


def assemble(
    contents: Sequence[Content],
    platform_of: Callable[[Content], Platform],
    annotations: Mapping[str, str] | None = None,
) -> Index:
    """One index of all `contents`; indexes among them give their entries, attestations too.

    platform_of: the platform that an image's config states. Raises UsageError where two are for one platform, or
    where an index among them lists another index, or an image without its platform.
    """
    entries = tuple(entry for content in contents for entry in _entries(content, platform_of))
    seen: dict[Platform | None, Descriptor] = {}
    for entry in entries:
        if entry.is_attestation:
            continue
        if (other := seen.setdefault(entry.platform, entry)).digest != entry.digest:
            raise UsageError(
                f"two sources are for {entry.platform}: {other.digest} and {entry.digest}",
                hint="an index holds one image for each platform",
            )
    return compose_index(tuple({entry.digest: entry for entry in entries}.values()), dict(annotations or {}))


def _entries(content: Content, platform_of: Callable[[Content], Platform]) -> tuple[Descriptor, ...]:
    if isinstance(content, Index):
        for entry in content.images:
            if entry.media_type in media.INDEXES or entry.platform is None:
                raise UsageError(f"{entry.digest} in the index {content.digest} is not an image of one stated platform")
        return content.manifests
    return (replace(content.descriptor, platform=platform_of(content)),)


def pick_platforms(index: Index, platforms: Iterable[Platform]) -> tuple[Descriptor, ...]:
    """The entries for `platforms`, each with its attestations; raises UsageError for one that isn't there."""
    entries: list[Descriptor] = []
    for platform in platforms:
        matches = [entry for entry in index.images if entry.platform and fits(entry.platform, platform)]
        if not matches:
            available = ", ".join(str(entry.platform) for entry in index.images)
            raise UsageError(f"the image has no platform {platform}", hint=f"it has {available}")
        entries += [entry for entry in matches if entry not in entries]
    digests = {str(entry.digest) for entry in entries}
    entries += [entry for entry in index.manifests if entry.is_attestation and entry.attestation_subject in digests]
    return tuple(entries)


def narrow(
    content: Content,
    platforms: Sequence[Platform],
    load: Callable[[Descriptor], Content],
    platform_of: Callable[[Content], Platform],
) -> Content:
    """Only these platforms of an image: `content` as it is, one manifest of it, or a new index of several.

    An index that loses nothing keeps its bytes. Raises UsageError for a platform that isn't there.
    """
    if not platforms:
        return content
    if not isinstance(content, Index):
        platform = platform_of(content)
        if len(platforms) > 1 or not fits(platform, platforms[0]):
            raise UsageError(f"the image has no platform {platforms[-1]}", hint=f"it has {platform}")
        return content
    entries = pick_platforms(content, platforms)
    if {entry.digest for entry in entries} == {entry.digest for entry in content.manifests}:
        return content
    return load(entries[0]) if len(entries) == 1 else compose_index(entries, dict(content.annotations))


def fits(platform: Platform, pattern: Platform) -> bool:
    """Whether an image for one platform is what another asks for; a variant counts where it is asked for."""
    is_same = (platform.os, platform.architecture) == (pattern.os, pattern.architecture)
    return is_same and pattern.variant in {"", platform.variant}

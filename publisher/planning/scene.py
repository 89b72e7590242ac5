"""One repository while a plan is made for it: what is there, what is coming, and who owns which line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from publisher.model.plan import Kind
from publisher.model.value import Value
from publisher.planning.lines import desired, eligible, published_versions
from publisher.planning.rules import MARKER
from publisher.planning.version import is_stable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from publisher.model.digest import Digest
    from publisher.model.image_name import ImageName
    from publisher.planning.candidates import Candidates
    from publisher.planning.lines import Published, PublishedVersion
    from publisher.planning.version import Version


class Known(Value, frozen=True):
    """The content that is released, as far as it is known.

    digest: of its manifest, None before there is one. same: digests in registries that are the same image.
    """

    digest: Digest | None = None
    same: frozenset[Digest] = msgspec.field(default_factory=frozenset)

    def is_image(self, held: Digest) -> bool:
        """Whether what a registry holds is this image."""
        return held == self.digest or held in self.same


class Scene(Value, frozen=True):
    """What decides about one repository.

    here: the versions that are published. spelled: the release's exact names that are there, with what they hold.
    after: what everything that is written gets, None while unknown. yanked: whether the release itself stays yanked.
    owners: which version each floating tag belongs to once the release is there; previous: without it.
    """

    asked: Candidates
    image: ImageName
    state: Published
    content: Known | None
    here: Mapping[Version, PublishedVersion]
    spelled: Mapping[str, Digest]
    after: Digest | None
    yanked: bool
    owners: Mapping[str, Version]
    previous: Mapping[str, Version]

    def is_other(self, held: Digest) -> bool:
        """Whether it is known to be another image than the one that is released."""
        return self.content is not None and not self.content.is_image(held)


def set_scene(
    asked: Candidates, image: ImageName, state: Published, content: Known | None, adopted: Digest | None
) -> Scene:
    """Put together what is known about one repository.

    adopted: the manifest that some repository already has for the release.
    """
    here = published_versions(asked.ruleset, state)
    after = held_already(asked, state, content) or adopted or (content.digest if content else None)
    yanked = _stays_yanked(asked, state, content, after)
    previous = desired(asked.ruleset, eligible(here).difference(asked.versions))
    released = set() if yanked else set(asked.versions)
    return Scene(
        asked=asked,
        image=image,
        state=state,
        content=content,
        here=here,
        spelled=_spelled(asked, state),
        after=after,
        yanked=yanked,
        # Only a version that owns a line already can be in the release's way.
        owners=desired(asked.ruleset, released.union(previous.values())) | _asked_for(asked, previous, yanked=yanked),
        previous=previous,
    )


def _asked_for(asked: Candidates, previous: Mapping[str, Version], *, yanked: bool) -> dict[str, Version]:
    """The floating tags that the user wants even for what is no stable version: `latest=true`; never backwards."""
    named = (name for name in asked.of_kind(Kind.FLOATING) if name.version and not is_stable(name.version))
    wanted = {str(name.tag): name.version for name in named if name.version and not yanked}
    return {tag: version for tag, version in wanted.items() if tag not in previous or version > previous[tag]}


def held_already(asked: Candidates, state: Published, content: Known | None) -> Digest | None:
    """Find the manifest that a repository has for the release: the same image, so its bytes are taken as they are.

    An exact tag's counts even when the content is unknown: a release goes on only if it is the same image.
    A branch's tag counts only if it is known to hold the image, and the source brings no manifest of its own.
    """
    if asked.release:
        found = [held for held in _spelled(asked, state).values() if content is None or content.is_image(held)]
    elif content and content.digest is None:
        refs = (state.held.get(name.tag) for name in asked.of_kind(Kind.REF))
        found = [held for held in refs if held and content.is_image(held)]
    else:
        found = []
    return found[0] if found else None


def _spelled(asked: Candidates, state: Published) -> dict[str, Digest]:
    return {tag: state.held[tag] for tag in asked.spellings if tag in state.held}


def _stays_yanked(asked: Candidates, state: Published, content: Known | None, after: Digest | None) -> bool:
    """Whether a marker points at what the release's exact tags will hold; other content lifts a yank."""
    marked = {held for tag in asked.spellings if (held := state.held.get(MARKER + tag))}
    return any(held == after or (content is not None and content.is_image(held)) for held in marked)

"""Images of which not all is at hand: completed, narrowed, or refused with words that lead on."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import Refused
from publisher.model.manifest import Descriptor, Index, Manifest, Platform, compose_index, compose_manifest
from publisher.workflows.content.origins import Origins, complete, pulled_from
from publisher.workflows.session import Session

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from publisher.model.manifest import Content
    from publisher.model.protocols import Meter


class Quiet:
    def advance(self, amount: int) -> None: ...

    def step(self, text: str) -> None: ...

    def warn(self, text: str, place: object = None) -> None: ...

    def group(self, title: str) -> AbstractContextManager[None]:
        return nullcontext()

    def meter(self, label: str, total: int | None) -> AbstractContextManager[Meter]:
        return nullcontext(self)


def image(text: str) -> Manifest:
    return compose_manifest(Descriptor(media.OCI_CONFIG, Digest.of(text.encode()), len(text)), ())


PLATFORMS = (Platform("linux", "amd64"), Platform("linux", "arm64"))
IMAGES = {platform: image(str(platform)) for platform in PLATFORMS}
ATTESTATIONS = {platform: image(f"about {platform}") for platform in PLATFORMS}


def entry(content: Manifest, platform: Platform, about: Manifest | None = None) -> Descriptor:
    marks: dict[str, str] = {}
    if about:
        marks = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": str(about.digest)}
    found = content.descriptor
    return Descriptor(found.media_type, found.digest, found.size, platform, marks)


UNKNOWN = Platform("unknown", "unknown")
INDEX = compose_index(
    (
        *(entry(content, platform) for platform, content in IMAGES.items()),
        *(entry(content, UNKNOWN, IMAGES[platform]) for platform, content in ATTESTATIONS.items()),
    )
)
AMD, ARM = PLATFORMS


def finish(folder: Path, held: list[Manifest], platforms: tuple[Platform, ...] = ()) -> tuple[Content, list[str]]:
    """What is released of INDEX where only `held` is to be had, and the warnings."""
    told: list[str] = []
    origins = Origins(Session({}, folder, Quiet()), "docker-daemon:app", INDEX.digest, ())
    contents = {content.digest: content for content in held}
    return complete(INDEX, lambda found: contents.get(found.digest), origins, platforms, told.append), told


def test_what_is_whole_passes_byte_for_byte(tmp_path: Path) -> None:
    """Attestations too."""
    assert finish(tmp_path, [*IMAGES.values(), *ATTESTATIONS.values()]) == (INDEX, [])


def test_a_missing_platform_is_refused(tmp_path: Path) -> None:
    """Named, with what is there, and where the whole may be."""
    with pytest.raises(Refused, match="lacks linux/arm64, the attestation of linux/arm64") as raised:
        finish(tmp_path, [IMAGES[AMD], ATTESTATIONS[AMD]])
    assert raised.value.exit_code == 4
    assert "docker://" in (raised.value.hint or "")
    assert "--platform linux/amd64" in (raised.value.hint or "")


def test_a_missing_attestation_is_refused_where_all_is_released(tmp_path: Path) -> None:
    """Nothing is dropped in silence."""
    with pytest.raises(Refused, match="the attestation of linux/amd64"):
        finish(tmp_path, [*IMAGES.values(), ATTESTATIONS[ARM]])


def test_a_platform_that_is_asked_for_is_released_alone(tmp_path: Path) -> None:
    """With its attestation where that is to be had; without it, with a warning."""
    content, told = finish(tmp_path, [IMAGES[AMD], ATTESTATIONS[AMD]], (AMD,))
    assert isinstance(content, Index)
    assert {one.digest for one in content.manifests} == {IMAGES[AMD].digest, ATTESTATIONS[AMD].digest}
    assert told == []
    content, told = finish(tmp_path, [IMAGES[AMD]], (AMD,))
    assert content == IMAGES[AMD]
    assert told == ["the attestation of linux/amd64 can't be had and is left out"]


def test_a_platform_that_is_asked_for_and_missing_is_refused(tmp_path: Path) -> None:
    """Nothing else is told of it."""
    with pytest.raises(Refused, match="lacks linux/arm64"):
        finish(tmp_path, [IMAGES[AMD]], (ARM,))


def test_the_repositories_that_an_image_was_pulled_from_are_told_by_its_digest(tmp_path: Path) -> None:
    """Other digests, and names that are none, are passed over; what containerd notes comes first."""
    known = (f"a.example/app@{INDEX.digest}", f"b.example/app@{IMAGES[AMD].digest}", f"<none>@{INDEX.digest}")
    found = pulled_from(known, INDEX.digest)
    assert [str(repository) for repository in found] == ["a.example/app"]
    origins = Origins(Session({}, tmp_path, Quiet()), "app", INDEX.digest, found)
    origins.add({"containerd.io/distribution.source.c.example": "x/y,z", "other": "w"})
    assert [str(repository) for repository in origins.repositories] == ["c.example/x/y", "c.example/z", "a.example/app"]
    assert origins.near("c.example") == tuple(origins.repositories[:2])

"""Indexes made of images, and images picked out of indexes."""

from __future__ import annotations

import pytest

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import UsageError
from publisher.model.manifest import Content, Descriptor, Index, Manifest, Platform, compose_index, compose_manifest
from publisher.transfer.assemble import assemble, narrow

AMD, ARM, ARM7 = Platform("linux", "amd64"), Platform("linux", "arm64", "v8"), Platform("linux", "arm", "v7")
IMAGES: dict[Digest, tuple[Manifest, Platform]] = {}


def image(platform: Platform, text: str = "") -> Manifest:
    config = f"{platform}{text}".encode()
    manifest = compose_manifest(Descriptor(media.OCI_CONFIG, Digest.of(config), len(config)), ())
    IMAGES[manifest.digest] = (manifest, platform)
    return manifest


def entry(platform: Platform) -> Descriptor:
    descriptor = image(platform).descriptor
    return Descriptor(descriptor.media_type, descriptor.digest, descriptor.size, platform)


def attestation(about: Digest) -> Descriptor:
    marks = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": str(about)}
    text = f"about {about}".encode()
    return Descriptor(media.OCI_MANIFEST, Digest.of(text), len(text), Platform("unknown", "unknown"), marks)


def platform_of(content: Content) -> Platform:
    return IMAGES[content.digest][1]


def load(descriptor: Descriptor) -> Content:
    return IMAGES[descriptor.digest][0]


def bundle() -> Index:
    entries = [entry(platform) for platform in (AMD, ARM, ARM7)]
    return compose_index((*entries, *(attestation(each.digest) for each in entries)))


def test_images_stand_sorted_by_platform() -> None:
    """The order of the sources doesn't matter."""
    forth = assemble([image(ARM), image(AMD)], platform_of)
    back = assemble([image(AMD), image(ARM)], platform_of)
    assert forth == back
    assert [each.platform for each in forth.images] == [AMD, ARM]


def test_indexes_are_taken_apart_with_their_attestations() -> None:
    """An index of indexes is nothing that a registry's users expect."""
    first = compose_index((entry(AMD), attestation(entry(AMD).digest)))
    index = assemble([first, image(ARM)], platform_of)
    assert len(index.images) == 2
    assert len(index.manifests) == 3


def test_two_images_of_one_platform_are_refused() -> None:
    """Which of them runs would be chance."""
    with pytest.raises(UsageError, match="two sources are for linux/amd64"):
        assemble([image(AMD), image(AMD, "other")], platform_of)


def test_same_image_twice_stands_once() -> None:
    """Two machines may have pushed the same."""
    assert len(assemble([image(AMD), image(AMD)], platform_of).manifests) == 1


@pytest.mark.parametrize("nested", [True, False], ids=["index", "no-platform"])
def test_entry_that_is_no_image_of_a_stated_platform_is_refused(nested: bool) -> None:
    """It couldn't be sorted or told apart."""
    entry = bundle().descriptor if nested else image(AMD).descriptor
    with pytest.raises(UsageError, match="not an image of one stated platform"):
        assemble([compose_index((entry,))], platform_of)


def test_one_platform_of_an_index_keeps_its_attestation() -> None:
    """What proves an image goes where it goes."""
    index = narrow(bundle(), [AMD], load, platform_of)
    assert isinstance(index, Index)
    assert [each.is_attestation for each in index.manifests] == [False, True]


def test_one_platform_without_more_is_its_manifest() -> None:
    """No index of one is made."""
    assert narrow(compose_index((entry(AMD), entry(ARM))), [AMD], load, platform_of) == image(AMD)


def test_all_platforms_keep_the_bytes() -> None:
    """Nothing is composed anew that needn't be."""
    index = bundle()
    assert narrow(index, [AMD, ARM, ARM7], load, platform_of) is index
    assert narrow(index, [], load, platform_of) is index


@pytest.mark.parametrize(("text", "platform"), [("linux/arm64", ARM), ("linux/arm64/v8", ARM), ("linux/arm/v7", ARM7)])
def test_variant_is_compared_where_it_is_asked_for(text: str, platform: Platform) -> None:
    """linux/arm64 means linux/arm64/v8 too."""
    index = narrow(bundle(), [Platform.parse(text)], load, platform_of)
    assert isinstance(index, Index)
    assert [each.platform for each in index.images] == [platform]


@pytest.mark.parametrize("content", [bundle(), image(AMD)], ids=["index", "manifest"])
def test_platform_that_is_not_there_is_an_error(content: Content) -> None:
    """The error says what there is."""
    with pytest.raises(UsageError, match="no platform linux/s390x") as caught:
        narrow(content, [Platform.parse("linux/s390x")], load, platform_of)
    assert "linux/amd64" in (caught.value.hint or "")

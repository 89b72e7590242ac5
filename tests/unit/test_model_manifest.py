"""Manifests and indexes: what is read, what is refused, what is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import BadManifest
from publisher.model.manifest import (
    DEEPEST,
    LARGEST,
    MOST_ENTRIES,
    Descriptor,
    Index,
    Manifest,
    Platform,
    compose_index,
    compose_manifest,
    parse_manifest,
    read_document,
)

ENTRY: dict[str, Any] = {"mediaType": media.OCI_CONFIG, "digest": str(Digest.of(b"x")), "size": 1}
IMAGE: dict[str, Any] = {"schemaVersion": 2, "mediaType": media.OCI_MANIFEST, "config": ENTRY, "layers": [ENTRY]}
INDEX: dict[str, Any] = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [ENTRY]}


def changed(document: dict[str, Any], **fields: object) -> bytes:
    """A document with other fields."""
    return json.dumps(document | fields).encode()


def entry(**fields: object) -> bytes:
    """An image whose layer has other fields."""
    return changed(IMAGE, layers=[ENTRY | fields])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{", id="cut"),
        pytest.param(changed(IMAGE) + b"{}", id="two-documents"),
        pytest.param(b"\xef\xbb\xbf" + changed(IMAGE), id="byte-order-mark"),
        pytest.param(changed(IMAGE).decode().encode("utf-16"), id="utf-16"),
        pytest.param(changed(IMAGE)[:-1] + b',"x":"\xff"}', id="not-utf-8"),
        pytest.param(changed(IMAGE)[:-1] + b',"layers":[]}', id="key-twice"),
        pytest.param(changed(IMAGE)[:-1] + b',"x":{"a":1,"a":2}}', id="inner-key-twice"),
        pytest.param(changed(IMAGE)[:-1] + b',"x":NaN}', id="nan"),
        pytest.param(changed(IMAGE)[:-1] + b',"x":-Infinity}', id="infinity"),
        pytest.param(changed(IMAGE)[:-1] + b',"x":' + b"9" * 5000 + b"}", id="number-too-long"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(changed(IMAGE, manifests=[]), id="manifests-in-image"),
        pytest.param(changed(INDEX, layers=[]), id="layers-in-index"),
        pytest.param(changed(INDEX, config=ENTRY), id="config-in-index"),
        pytest.param(changed(IMAGE, Layers=[]), id="layers-in-upper-case"),
        pytest.param(changed(IMAGE, Manifests=[]), id="manifests-in-upper-case"),
        pytest.param(changed(INDEX | {"layer\u017f": []}), id="layers-with-long-s"),
        pytest.param(changed(IMAGE, MEDIATYPE=media.OCI_INDEX), id="media-type-in-upper-case"),
        pytest.param(entry(Digest=str(Digest.of(b"y"))), id="digest-in-upper-case"),
        pytest.param(changed(IMAGE, schemaVersion=1), id="schema-1"),
        pytest.param(changed(IMAGE, schemaVersion=3), id="schema-3"),
        pytest.param(changed(IMAGE, schemaVersion="2"), id="schema-text"),
        pytest.param(changed(IMAGE, schemaVersion=2.0), id="schema-float"),
        pytest.param(changed(IMAGE, schemaVersion=None), id="no-schema"),
        pytest.param(changed(IMAGE, mediaType="text/plain"), id="other-type"),
        pytest.param(changed(IMAGE, mediaType=5), id="type-number"),
        pytest.param(changed(IMAGE, mediaType=[]), id="type-list"),
        pytest.param(changed(IMAGE, mediaType=media.OCI_INDEX), id="image-as-index"),
        pytest.param(changed(INDEX, mediaType=media.OCI_MANIFEST), id="index-as-image"),
        pytest.param(changed(IMAGE, layers=None), id="layers-null"),
        pytest.param(changed(IMAGE, layers={}), id="layers-object"),
        pytest.param(changed(IMAGE, layers=""), id="layers-text"),
        pytest.param(changed(IMAGE, config=None), id="config-null"),
        pytest.param(changed(IMAGE, config=[]), id="config-list"),
        pytest.param(changed(INDEX, manifests={}), id="manifests-object"),
        pytest.param(changed(INDEX, manifests=[None]), id="entry-null"),
        pytest.param(changed(INDEX, manifests=[ENTRY] * (MOST_ENTRIES + 1)), id="too-many"),
        pytest.param(changed(IMAGE, subject=[]), id="subject-list"),
        pytest.param(changed(IMAGE, subject={}), id="subject-empty"),
        pytest.param(changed(IMAGE, artifactType=0), id="artifact-type-number"),
        pytest.param(changed(IMAGE, annotations=[]), id="annotations-list"),
        pytest.param(changed(IMAGE, annotations={"a": 1}), id="annotation-number"),
        pytest.param(entry(size=-1), id="size-negative"),
        pytest.param(entry(size=1.5), id="size-float"),
        pytest.param(entry(size="1"), id="size-text"),
        pytest.param(entry(size=True), id="size-true"),
        pytest.param(entry(digest="sha256:../../etc"), id="digest-path"),
        pytest.param(entry(digest="md5:" + "a" * 32), id="digest-md5"),
        pytest.param(entry(digest=None), id="digest-null"),
        pytest.param(entry(mediaType=None), id="layer-type-null"),
        pytest.param(entry(urls="https://x"), id="urls-text"),
        pytest.param(entry(urls=[1]), id="url-number"),
        pytest.param(entry(platform="linux"), id="platform-text"),
    ],
)
def test_refused(content: bytes) -> None:
    """What two readers could read in two ways, or nobody."""
    with pytest.raises(BadManifest):
        parse_manifest(content)


@pytest.mark.parametrize("stated", [media.OCI_INDEX, media.DOCKER_MANIFEST, "text/html"])
def test_another_content_type(stated: str) -> None:
    """The Content-Type must be the document's own (CVE-2021-41190)."""
    with pytest.raises(BadManifest, match="Content-Type"):
        parse_manifest(changed(IMAGE), stated)


@pytest.mark.parametrize(
    "stated", [None, "", "application/json", media.OCI_MANIFEST, f"{media.OCI_MANIFEST}; charset=utf-8"]
)
def test_content_type(stated: str | None) -> None:
    """A Content-Type that agrees, or says nothing."""
    content = changed(IMAGE)
    manifest = parse_manifest(content, stated)
    assert isinstance(manifest, Manifest)
    assert (manifest.content, manifest.digest, manifest.descriptor.size) == (content, Digest.of(content), len(content))


def test_type_is_seen_from_the_document() -> None:
    """Without any media type the document's own shape decides."""
    bare = {key: value for key, value in INDEX.items() if key != "mediaType"}
    assert isinstance(parse_manifest(json.dumps(bare).encode()), Index)


def test_annotations_may_differ_in_case() -> None:
    """Only the format's own keys are held to their case."""
    manifest = parse_manifest(changed(IMAGE, annotations={"Config": "a", "config": "b"}, other=1))
    assert manifest.annotations == {"Config": "a", "config": "b"}


def test_bounds() -> None:
    """Depth and size have bounds; brackets in text are none."""
    assert read_document(json.dumps({"x": '\\"' + "[" * 500}).encode())
    with pytest.raises(BadManifest, match="deeper"):
        read_document(b'{"x":' + b"[" * DEEPEST + b"]" * DEEPEST + b"}")
    with pytest.raises(BadManifest, match="bytes"):
        read_document(b" " * (LARGEST + 1))


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
DESCRIPTORS = st.builds(
    Descriptor,
    TEXT,
    st.binary(max_size=4).map(Digest.of),
    st.integers(0, 2**60),
    st.none() | st.builds(Platform, TEXT, TEXT, TEXT, TEXT),
    st.dictionaries(TEXT, TEXT, max_size=3),
    TEXT,
    st.lists(TEXT, max_size=2).map(tuple),
)


@given(DESCRIPTORS, st.lists(DESCRIPTORS, max_size=4), st.dictionaries(TEXT, TEXT, max_size=3))
def test_manifests_come_back(config: Descriptor, layers: list[Descriptor], annotations: dict[str, str]) -> None:
    """What is written reads back the same."""
    manifest = compose_manifest(config, tuple(layers), annotations)
    assert (manifest.config, manifest.layers, manifest.annotations) == (config, tuple(layers), annotations)
    assert parse_manifest(manifest.content, manifest.media_type) == manifest


@given(st.lists(DESCRIPTORS, max_size=5, unique_by=lambda descriptor: descriptor.digest))
def test_indexes_come_back(entries: list[Descriptor]) -> None:
    """The same entries give the same index, whatever their order."""
    index = compose_index(tuple(entries))
    assert parse_manifest(index.content, media.OCI_INDEX) == index
    assert compose_index(tuple(reversed(entries))).content == index.content


@given(st.binary(max_size=60) | TEXT.map(str.encode))
def test_any_bytes(content: bytes) -> None:
    """Whatever comes is read or refused."""
    with pytest.raises(BadManifest):
        parse_manifest(content)

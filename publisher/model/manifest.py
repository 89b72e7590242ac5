"""Manifests and indexes: exact bytes, checked once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from publisher.model import media
from publisher.model.digest import Digest
from publisher.model.errors import BadManifest, BadReference
from publisher.model.value import Value

LARGEST: Final = 16 * 1024 * 1024
DEEPEST: Final = 64
MOST_ENTRIES: Final = 1_000
_LARGEST_SIZE: Final = 2**63 - 1
"""Go's own limit."""

# BuildKit's mark for an index entry that describes another entry and is not an image (buildkit, attestation-storage).
VERSION_ANNOTATION = "org.opencontainers.image.version"
_ATTESTATION_KEY = "vnd.docker.reference.type"
_ATTESTATION_SUBJECT = "vnd.docker.reference.digest"
_ATTESTATION = "attestation-manifest"

# Go reads keys in any case, we don't: a key that only nearly is one of these would be seen by some readers.
_KEYS = {
    name.casefold(): name
    for name in (
        *("schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations"),
        *("digest", "size", "platform", "urls"),
    )
}


class Platform(Value, frozen=True, order=True):
    """What an image runs on, as in linux/arm/v7."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read OS/ARCH[/VARIANT]; raises BadReference."""
        parts = text.split("/")
        if len(parts) not in {2, 3} or not all(parts):
            raise BadReference(f"'{text}' is not a platform: expected OS/ARCHITECTURE[/VARIANT], as in linux/amd64")
        return cls(*parts)

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> Platform:
        """The platform that an image's config states; linux/amd64 parts are not made up."""
        texts = (config.get(key) or "" for key in ("os", "architecture", "variant", "os.version"))
        return cls(*(text if isinstance(text, str) else "" for text in texts))

    def document(self) -> dict[str, str]:
        """As it stands in an index entry."""
        pairs = (
            ("architecture", self.architecture),
            ("os", self.os),
            ("os.version", self.os_version),
            ("variant", self.variant),
        )
        return {key: value for key, value in pairs if value}

    def __str__(self) -> str:
        return "/".join(part for part in (self.os or "unknown", self.architecture or "unknown", self.variant) if part)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What content is, where, and how long. `size` is in bytes."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: dict[str, str] = field(default_factory=dict, hash=False)
    artifact_type: str = ""
    urls: tuple[str, ...] = ()

    @property
    def is_attestation(self) -> bool:
        """Whether it describes another entry of the same index."""
        return self.annotations.get(_ATTESTATION_KEY) == _ATTESTATION

    @property
    def attestation_subject(self) -> str | None:
        """The digest of the entry that an attestation describes (buildkit, attestation-storage)."""
        return self.annotations.get(_ATTESTATION_SUBJECT)

    @property
    def is_foreign(self) -> bool:
        """Whether its bytes live outside the registry, by licence; registries don't hold them."""
        return self.media_type == media.DOCKER_LAYER_FOREIGN or "nondistributable" in self.media_type

    def document(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        document: dict[str, Any] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.platform:
            document["platform"] = self.platform.document()
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        if self.urls:
            document["urls"] = list(self.urls)
        return document


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image, or an artifact: a config and layers. `content` is exactly what was read or will be sent."""

    content: bytes = field(repr=False)
    media_type: str
    digest: Digest
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    artifact_type: str = ""
    annotations: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The config and those layers that a registry holds, each once."""
        blobs = (self.config, *(layer for layer in self.layers if not layer.is_foreign))
        return tuple({blob.digest: blob for blob in blobs}.values())

    @property
    def descriptor(self) -> Descriptor:
        """What points here."""
        return Descriptor(self.media_type, self.digest, len(self.content))


@dataclass(frozen=True, slots=True)
class Index:
    """A list of manifests, one a platform, with attestations among them."""

    content: bytes = field(repr=False)
    media_type: str
    digest: Digest
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    artifact_type: str = ""
    annotations: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def images(self) -> tuple[Descriptor, ...]:
        """The entries that are images, attestations left out."""
        return tuple(entry for entry in self.manifests if not entry.is_attestation)

    @property
    def descriptor(self) -> Descriptor:
        """What points here."""
        return Descriptor(self.media_type, self.digest, len(self.content))


Content = Manifest | Index


def parse_manifest(content: bytes, media_type: str | None = None) -> Content:
    """Read a manifest or an index; raises BadManifest where two readers could see two things.

    media_type: the Content-Type it came with; must equal the document's own when both are there (CVE-2021-41190).
    """
    document = read_document(content)
    _check_keys(document)
    own_type = document.get("mediaType")
    if own_type is not None and not isinstance(own_type, str):
        raise BadManifest(f"the manifest's mediaType {own_type!r} is not a string")
    content_type = media_type.partition(";")[0].strip() if media_type else None
    if content_type in {"", "application/json", "application/octet-stream"}:
        content_type = None
    if own_type is not None and content_type is not None and own_type != content_type:
        raise BadManifest(f"the manifest says it is '{own_type}', its Content-Type '{content_type}'")
    kind = own_type or content_type
    if "manifests" in document and ("layers" in document or "config" in document):
        raise BadManifest("the manifest is ambiguous: it has both 'manifests' and 'layers' or 'config'")
    version = document.get("schemaVersion")
    if type(version) is not int or version != 2:  # noqa: PLR2004 - the only version that is content-addressed
        hint = "'skopeo copy --format v2s2' writes schema 2, and so does an engine that pulls and pushes it"
        raise BadManifest(f"manifest schema {version!r} is not supported, only 2", hint=hint)
    if kind is None:
        kind = media.OCI_INDEX if "manifests" in document else media.OCI_MANIFEST
    try:
        return _build(content, kind, document)
    except (KeyError, TypeError, ValueError, AttributeError, BadReference) as error:
        raise BadManifest(f"the manifest is malformed: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _build(content: bytes, kind: str, document: dict[str, Any]) -> Content:
    subject = None if document.get("subject") is None else _descriptor(document["subject"])
    artifact_type = _optional_text(document.get("artifactType"))
    annotations = _texts(document.get("annotations"))
    digest = Digest.of(content)
    if kind in media.INDEXES:
        entries = _list(document["manifests"])
        if len(entries) > MOST_ENTRIES:
            raise BadManifest(f"the index has {len(entries)} entries, at most {MOST_ENTRIES} are read")
        manifests = tuple(_descriptor(entry) for entry in entries)
        return Index(content, kind, digest, manifests, subject, artifact_type, annotations)
    if kind not in media.MANIFESTS:
        raise BadManifest(f"'{kind}' is neither an image manifest nor an index")
    layers = tuple(_descriptor(layer) for layer in _list(document["layers"]))
    config = _descriptor(document["config"])
    return Manifest(content, kind, digest, config, layers, subject, artifact_type, annotations)


def _check_keys(document: dict[str, Any]) -> None:
    for key in document:
        if (known := _KEYS.get(key.casefold(), key)) != key:
            raise BadManifest(
                f"the manifest is ambiguous: it has the key '{key}', and some readers take it for '{known}'"
            )


def _descriptor(entry: dict[str, Any]) -> Descriptor:
    _check_keys(entry)
    size = entry["size"]
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _LARGEST_SIZE:
        raise ValueError("a size is not a number of bytes")
    platform = entry.get("platform")
    return Descriptor(
        _text(entry["mediaType"]),
        Digest.parse(_text(entry["digest"])),
        size,
        Platform.of_config(platform) if platform is not None else None,
        _texts(entry.get("annotations")),
        _optional_text(entry.get("artifactType")),
        tuple(_text(url) for url in _list([] if entry.get("urls") is None else entry["urls"])),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value


def _optional_text(value: object) -> str:
    return "" if value is None else _text(value)


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list")
    return value


def _texts(value: dict[str, Any] | None) -> dict[str, str]:
    return {} if value is None else {_text(key): _text(item) for key, item in value.items()}


def read_document(content: bytes, *, largest: int = LARGEST) -> dict[str, Any]:
    """Read a JSON object strictly: UTF-8, no key twice, bounded depth and size; raises BadManifest."""
    if len(content) > largest:
        raise BadManifest(f"the document has {len(content):,} bytes, at most {largest:,} are accepted")
    if _depth(content) > DEEPEST:
        raise BadManifest(f"the document is nested deeper than {DEEPEST} levels")
    try:
        document = json.loads(content.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BadManifest(f"the document is not valid JSON: {error}") from error
    if b"\\u" in content and _has_half_character(document):
        raise BadManifest("the document holds half of a character: readers differ in what they take it for")
    if not isinstance(document, dict):
        raise BadManifest("the document is not a JSON object")
    return document


def _has_half_character(document: object) -> bool:
    """Whether a text holds one surrogate of a pair, which is no character, and can't be written as UTF-8."""
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return document


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _depth(content: bytes) -> int:
    """The most brackets open at once; those in strings count too, which only makes the bound stricter."""
    if content.count(b"[") + content.count(b"{") <= DEEPEST:
        return 0
    return _measured_depth(content)


def _measured_depth(content: bytes) -> int:
    depth = deepest = 0
    in_string = after_backslash = False
    for byte in content:
        if in_string:
            in_string = after_backslash or byte != 0x22  # noqa: PLR2004 - a quotation mark
            after_backslash = not after_backslash and byte == 0x5C  # noqa: PLR2004 - a backslash
        elif byte == 0x22:  # noqa: PLR2004
            in_string = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def compose(document: dict[str, Any]) -> Content:
    """Write a manifest of our own: the same document always gives the same bytes."""
    content = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    return parse_manifest(content)


def compose_manifest(
    config: Descriptor, layers: tuple[Descriptor, ...], annotations: dict[str, str] | None = None
) -> Manifest:
    """An OCI image manifest."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "config": config.document(),
        "layers": [layer.document() for layer in layers],
    }
    if annotations:
        document["annotations"] = dict(sorted(annotations.items()))
    content = compose(document)
    assert isinstance(content, Manifest)  # noqa: S101 - by its media type
    return content


def compose_index(entries: tuple[Descriptor, ...], annotations: dict[str, str] | None = None) -> Index:
    """An OCI index; images sorted by platform, each followed by nothing but what came with it, attestations last."""
    in_order = sorted(
        entries, key=lambda entry: (entry.is_attestation, entry.platform or Platform("", ""), entry.digest)
    )
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media.OCI_INDEX,
        "manifests": [entry.document() for entry in in_order],
    }
    if annotations:
        document["annotations"] = dict(sorted(annotations.items()))
    content = compose(document)
    assert isinstance(content, Index)  # noqa: S101 - by its media type
    return content

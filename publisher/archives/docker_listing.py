"""What `manifest.json` of a docker-save archive lists."""

from __future__ import annotations

from typing import Any

from publisher.model.digest import Digest
from publisher.model.errors import BadArchive, BadReference, SourceNotFound
from publisher.model.manifest import read_document
from publisher.model.printable import printable
from publisher.model.reference import Reference
from publisher.model.value import Value


class Listed(Value, frozen=True):
    """One image: the names of its config's and its layers' files, the lowest layer first, and its tags."""

    config: str
    layers: tuple[str, ...]
    tags: tuple[str, ...]

    def is_called(self, name: str) -> bool:
        """Whether one of its tags is `name`, as docker understands both."""
        return full_name(name) in {full_name(tag) for tag in self.tags}


def full_name(name: str) -> str:
    """The name with registry, repository and tag, as docker understands it; others stay as they are."""
    try:
        reference = Reference.parse(name)
    except BadReference:
        return name
    return f"{reference.repository}:{reference.target}"


def read_listing(content: bytes) -> tuple[Listed, ...]:
    """Read `manifest.json`; raises BadArchive, or BadManifest for what isn't JSON."""
    document = read_document(b'{"images":' + content + b"}")
    if document.keys() != {"images"} or not isinstance(document["images"], list):
        raise BadArchive("the archive's manifest.json is not a list of images")
    return tuple(_listed(entry) for entry in document["images"])


def _listed(entry: Any) -> Listed:
    if not isinstance(entry, dict) or not isinstance(entry.get("Config"), str):
        raise BadArchive("the archive's manifest.json lists an image without a config")
    return Listed(entry["Config"], _texts(entry.get("Layers")), _texts(entry.get("RepoTags")))


def _texts(found: Any) -> tuple[str, ...]:
    texts = [] if found is None else found
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadArchive("the archive's manifest.json is malformed")
    return tuple(texts)


def choose(images: tuple[Listed, ...], wanted: str, named: str) -> Listed:
    """The image called `wanted`, or the only one; raises SourceNotFound with what there is."""
    fitting = [image for image in images if not wanted or image.is_called(wanted)]
    if len({image.config for image in fitting}) == 1:
        return fitting[0]
    names = printable(", ".join(tag for image in images for tag in image.tags or ("one without a name",)))
    if not fitting:
        what = f"no image {wanted}" if wanted else "no image"
        raise SourceNotFound(f"{named} holds {what}", reference=named, hint=f"it has: {names or 'nothing'}")
    raise SourceNotFound(
        f"{named} holds {len(fitting)} images that fit", reference=named, hint=f"name one, {named}:NAME:TAG: {names}"
    )


def read_diff_ids(config: dict[str, Any]) -> tuple[Digest, ...]:
    """The layers that a config names, the lowest first; raises BadArchive."""
    try:
        return tuple(Digest.parse(text) for text in config["rootfs"].get("diff_ids") or ())
    except (KeyError, TypeError, AttributeError, BadReference) as error:
        raise BadArchive("the image's config has no list of layers") from error

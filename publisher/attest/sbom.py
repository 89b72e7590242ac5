"""Bills of materials that others made: which form, how large, and of which image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from publisher.attest.statements import CYCLONEDX, SPDX
from publisher.model.digest import Digest
from publisher.model.errors import BadManifest, ConfigError, Refused
from publisher.model.manifest import read_document
from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

LARGEST: Final = 16 << 20
LARGEST_LOGGED: Final = 3 << 20
"""Bytes of a statement that the public log takes."""
_NAMED: Final = re.compile(r"@sha256(?::|%3[Aa])([0-9a-f]{64})")


class Sbom(Value, frozen=True):
    """A bill of materials: the predicate's type, the document, and how many packages it names."""

    predicate_type: str
    document: dict[str, Any]
    packages: int

    @property
    def form(self) -> str:
        """For people: spdx or cyclonedx."""
        return "spdx" if self.predicate_type == SPDX else "cyclonedx"

    def digests(self) -> frozenset[Digest]:
        """The images that it says it is of, where it says so: by a name with a digest."""
        return frozenset(Digest("sha256", match) for text in _roots(self.document) for match in _NAMED.findall(text))

    def refuse_other(self, images: Collection[Digest], name: str) -> None:
        """Raise Refused where it is of another image."""
        stated = self.digests()
        if stated and not stated & set(images):
            raise Refused(
                f"{name} is of another image: it names {min(stated)}",
                reference=name,
                hint="make it anew from the image that is released, or pass --sbom syft",
            )


def read_sbom(content: bytes, name: str, *, logged: bool) -> Sbom:
    """Read SPDX 2 or CycloneDX 1 in JSON; raises ConfigError. logged: whether the public log has to take it."""
    most = LARGEST_LOGGED if logged else LARGEST
    if len(content) > most:
        where = "in the public log" if logged else "here"
        raise ConfigError(
            f"{name} has {len(content):,} bytes, and {most:,} are taken {where}",
            reference=name,
            hint="leave the files out of it: syft does with --exclude or SYFT_FILE_METADATA_SELECTION=none",
        )
    try:
        document = read_document(content, largest=most)
    except BadManifest as error:
        raise ConfigError(f"{name} is no SBOM in JSON: {error.message}", reference=name) from error
    if str(document.get("spdxVersion", "")).startswith("SPDX-2."):
        return Sbom(SPDX, document, _count(document.get("packages")))
    if document.get("bomFormat") == "CycloneDX" and str(document.get("specVersion", "")).startswith("1."):
        return Sbom(CYCLONEDX, document, _count(document.get("components")))
    raise ConfigError(
        f"{name} is neither SPDX 2 nor CycloneDX 1 in JSON",
        reference=name,
        hint="syft writes both: -o spdx-json or -o cyclonedx-json",
    )


def _count(entries: object) -> int:
    return len(entries) if isinstance(entries, list) else 0


def _roots(document: dict[str, Any]) -> Iterator[str]:
    """Texts that name what the whole document is of."""
    yield str(document.get("name", ""))
    metadata = document.get("metadata")
    component = metadata.get("component") if isinstance(metadata, dict) else None
    if isinstance(component, dict):
        yield from (str(component.get(key, "")) for key in ("name", "purl", "bom-ref"))

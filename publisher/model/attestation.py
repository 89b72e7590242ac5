"""What releases and checks say of signatures, and the facts that provenance is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from publisher.model.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable


class BuildOrigin(Value, frozen=True, kw_only=True):
    """Where and from what an image was made, as a CI says it; empty text where it says nothing.

    system: "github", "gitlab", or "" for a release by hand. server: the forge's address. path: the file that defines
    the work. builder: the definition that ran, which may be another repository's. invocation: the run's address.
    """

    system: str = ""
    server: str = ""
    repository: str = ""
    ref: str = ""
    revision: str = ""
    path: str = ""
    path_ref: str = ""
    builder: str = ""
    invocation: str = ""
    event: str = ""
    repository_id: str = ""
    owner_id: str = ""
    runner: str = ""
    changed: bool = False


class SignatureRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A signed statement that stands beside an image. `log_index` is its place in the public log, None without one."""

    repository: str
    subject: str
    predicate: str
    digest: str
    signer: str
    log_index: int | None


Signatures = tuple[SignatureRecord, ...] | msgspec.UnsetType
"""Of one run; unset where nothing was to be signed."""


class PlannedSigning(msgspec.Struct, frozen=True, kw_only=True):
    """How a release is to be signed: by a "key" or as the "ci" job `identity`; `log` is the public log's address."""

    by: str
    identity: str
    log: str | None
    statements: tuple[str, ...]


class SignOptions(Value, frozen=True, kw_only=True):
    """What the command line says of signing. password: asks for a key's, None where nobody can be asked."""

    sign: bool = False
    key: str | None = None
    leave_out: bool = False
    sbom: str | None = None
    password: Callable[[], bytes | None] = lambda: None

    @property
    def is_asked(self) -> bool:
        """Whether the command line speaks of signing at all."""
        return self.sign or bool(self.key or self.sbom)

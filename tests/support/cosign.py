"""cosign 2.5 and 3.1 as independent eyes, offline.

Where they aren't set up, the tests that need them are expected to fail.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.support.parts import PARTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# A trust root without any service: what a key's signature needs.
NO_SERVICES = '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'


def find_tool(name: str) -> str:
    """The path of a tool that scripts/parts has set up."""
    path = PARTS / "bin" / name
    if not path.exists():
        pytest.xfail(f"scripts/parts has set up no {name} on this machine")
    return str(path)


@dataclass(frozen=True)
class Cosign:
    """One version of it, in a home of its own. version: 2 or 3. environ: more variables, which name a root's parts."""

    version: int
    home: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *words: str) -> int:
        """Run it; its exit code."""
        return self.run(*words).returncode

    def run(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run it."""
        program = find_tool("cosign" if self.version == 2 else "cosign-3")
        environ = {"HOME": str(self.home), "PATH": os.defpath, "COSIGN_PASSWORD": "fixture", "COSIGN_YES": "true"}
        environ |= self.environ
        return subprocess.run(
            [program, *words], env=environ, cwd=self.home, capture_output=True, timeout=60, check=False
        )

    def verify(self, reference: str, *words: str, key: str = "cosign.pub") -> int:
        """Whether the image is signed by a key."""
        return self("verify", "--key", key, "--private-infrastructure", "--allow-http-registry", *words, reference)

    def verify_attestation(self, reference: str, kind: str, key: str = "cosign.pub") -> int:
        """Whether a statement stands there by a key; the older one has to be told of bundles."""
        words = ["verify-attestation", "--type", kind, "--key", key, "--private-infrastructure"]
        if self.version == 2:
            (self.home / "none.json").write_text(NO_SERVICES)
            words += ["--new-bundle-format", "--trusted-root", "none.json"]
        return self(*words, "--allow-http-registry", reference)

    def sign(self, reference: str, *words: str) -> int:
        """Sign as each version does by default, but without any service."""
        return self("sign", "--key", "cosign.key", *self._offline(), *words, reference)

    def attest(self, reference: str, kind: str, predicate: str, *, older: bool = False) -> int:
        """Attest in the new form, or as cosign 2 does by default."""
        new = ["--new-bundle-format"] if self.version == 2 and not older else []
        words = ["--type", kind, "--predicate", predicate]
        return self("attest", "--key", "cosign.key", *self._offline(), *new, *words, reference)

    def _offline(self) -> list[str]:
        if self.version == 2:
            return ["--tlog-upload=false"]
        (self.home / "none.json").write_text(NO_SERVICES)
        assert self("signing-config", "create", "--out", "config.json") == 0
        return ["--signing-config", "config.json", "--trusted-root", "none.json"]

"""Which tags a cache must not be kept under."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from publisher.model.facts import Facts
from publisher.planning.candidates import PlanRequest, bound_rules
from publisher.planning.reserved import is_reserved

FACTS = Facts(
    now=datetime(2026, 1, 2, tzinfo=UTC), ref="refs/heads/feature/x", revision="a" * 40, default_branch="main"
)
WITH_ALL = (
    "type=semver,pattern={{version}}",
    "type=semver,pattern={{major}}",
    "type=ref,event=branch",
    "type=ref,event=pr",
    "type=sha",
    "type=raw,value=stable,enable={{is_default_branch}}",
    "type=schedule",
    "type=edge",
)


@pytest.mark.parametrize(
    ("rules", "tag", "reserved"),
    [
        (None, "1.2.3", True),
        (None, "9.9.9-rc.1", True),
        (None, "1.2", True),
        (None, "7", True),
        (None, "latest", True),
        (None, "feature-x", True),
        (None, "sha-abcdef0", True),
        (None, "yanked-1.2.3", True),
        (None, "sha256-" + "a" * 64, True),
        (None, "buildcache", False),
        (None, "cache-1.2", False),
        (WITH_ALL, "stable", True),
        (WITH_ALL, "pr-17", True),
        (WITH_ALL, "nightly", True),
        (WITH_ALL, "edge", True),
        (WITH_ALL, "1.2", False),
        (WITH_ALL, "pr-cache", False),
        (WITH_ALL, "sha-cache", False),
    ],
)
def test_reserved_tags(rules: tuple[str, ...] | None, tag: str, reserved: bool) -> None:
    """What some run of the same rules may write is reserved, whatever is built now and whichever rule is enabled."""
    assert is_reserved(bound_rules(PlanRequest(rules=rules), FACTS), tag) is reserved

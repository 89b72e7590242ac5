"""Versions, and the tags that look like one."""

from __future__ import annotations

import re

from semver import Version

__all__ = ["Version", "is_exact_name", "is_floating_name", "is_stable", "lowers", "parse_version", "version_of"]

# Exact for people, not only for semver: 1.2.3-alpine and 1.2.3.4 name one build for ever too.
_EXACT = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+(?:[-._].*)?")
_FLOATING = re.compile(r"(?:v?[0-9]+(?:\.[0-9]+)?|latest)(?:-[A-Za-z].*)?")


def parse_version(text: str) -> Version | None:
    """Read a whole semantic version, with or without a leading v; build metadata is dropped; None if it isn't one."""
    bare = text[1:] if text[:1] in {"v", "V"} else text
    try:
        version = Version.parse(bare)
    except ValueError:
        return None
    return version.replace(build=None) if version.build else version


def is_stable(version: Version) -> bool:
    """Whether it is no prerelease."""
    return version.prerelease is None


def is_exact_name(tag: str) -> bool:
    """Whether the tag names one version for ever, whatever the rules: 1.2.3, v1.2.3, 1.2.3-alpine."""
    return _EXACT.fullmatch(tag) is not None


def is_floating_name(tag: str) -> bool:
    """Whether the tag follows a line of versions, whatever the rules: 1.2, v1, latest, 1.2-alpine."""
    return _FLOATING.fullmatch(tag) is not None


def version_of(tag: str) -> Version | None:
    """The version that an exact name states, a suffix read as semver reads it; None for any other tag."""
    return parse_version(tag) if is_exact_name(tag) else None


def lowers(tag: str, current: str, new: str) -> bool:
    """Whether moving the tag from the exact name `current` to `new` would lower it.

    Only floating names can be lowered; a name without a version is never known to be lower.
    """
    held, wanted = version_of(current), version_of(new)
    return is_floating_name(tag) and held is not None and wanted is not None and wanted < held

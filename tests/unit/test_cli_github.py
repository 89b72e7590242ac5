"""What a step of GitHub Actions is told."""

from __future__ import annotations

import pytest

from publisher.cli.github import in_inputs

_SIGN_IN = "give the step the inputs registry: ghcr.io, username and password, and see whether the job has that secret"


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        ("run 'publish login ghcr.io', or set PUBLISH_USERNAME and PUBLISH_PASSWORD", _SIGN_IN),
        ("pick one with --only NAME", "pick one with the input only: NAME"),
        ("pass --image USER/NAME, or write images", "pass the input images: USER/NAME, or write images"),
        ("name it: --version 1.2.3", "name it: the input version: 1.2.3"),
        ("or pass --allow-dirty if meant", "or pass env PUBLISH_RELEASE_ALLOW_DIRTY: 1 if meant"),
        ("--forceful", "--forceful"),
        ("see https://semver.org", "see https://semver.org"),
    ],
)
def test_hints_speak_of_inputs(hint: str, said: str) -> None:
    """A workflow has no options, and nobody signs in at a terminal there."""
    assert in_inputs(hint) == said

"""The scopes of a token that is asked for again."""

from __future__ import annotations

import pytest

from publisher.http.challenge import widen


@pytest.mark.parametrize(
    ("wanted", "asked", "result"),
    [
        pytest.param(
            ("repository:a:pull",), ("repository:a:pull,push",), ("repository:a:pull,push",), id="more-actions"
        ),
        pytest.param(("repository:a:pull,push",), ("repository:a:pull",), ("repository:a:pull,push",), id="fewer"),
        pytest.param(
            ("repository:a:push", "repository:b:pull"),
            ("repository:b:pull", "repository:a:pull"),
            ("repository:a:push,pull", "repository:b:pull"),
            id="the-wanted-one-stays-first",
        ),
        pytest.param(
            ("repository:a:pull",),
            ("repository:x/a:pull",),
            ("repository:a:pull", "repository:x/a:pull"),
            id="other-name",
        ),
        pytest.param(("repository:a:pull",), ("repository:a:*",), ("repository:a:pull",), id="never-a-star"),
        pytest.param(
            ("repository:a:pull",), ("repository:a:delete",), ("repository:a:pull",), id="never-delete-unasked"
        ),
        pytest.param(
            ("repository:a:pull,delete",), ("repository:a:pull",), ("repository:a:pull,delete",), id="delete-asked"
        ),
        pytest.param(
            ("repository:h:5000/a:pull",),
            ("repository:h:5000/a:push",),
            ("repository:h:5000/a:pull,push",),
            id="colons",
        ),
        pytest.param(("repository:a:pull",), ("nonsense", ":", "a:"), ("repository:a:pull",), id="nonsense"),
        pytest.param(("repository:a:pull",), (), ("repository:a:pull",), id="nothing-asked"),
    ],
)
def test_scopes_are_merged(wanted: tuple[str, ...], asked: tuple[str, ...], result: tuple[str, ...]) -> None:
    """A challenge adds actions that are needed, and none that could do harm."""
    assert widen(wanted, asked) == result

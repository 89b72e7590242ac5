"""Tags whose changes are seen late."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from publisher.model.digest import Digest
from publisher.sandbox.tag_history import History

OLD, NEW = Digest.of(b"old"), Digest.of(b"new")


def test_a_change_is_seen_after_the_lag() -> None:
    """Until then reads give what was there before."""
    moves = History(OLD)
    moves.move(10, NEW, lag=2)
    assert [moves.digest_at(moment - 2) for moment in (10, 11.9, 12, 99)] == [OLD, OLD, NEW, NEW]
    assert moves.latest == NEW


def test_a_tag_that_goes_is_seen_a_while() -> None:
    """Deleting lags as writing does."""
    moves = History(OLD)
    moves.move(10, None, lag=2)
    assert (moves.digest_at(9), moves.digest_at(10)) == (OLD, None)


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from([OLD, NEW, None]))), st.floats(0, 10))
def test_what_is_forgotten_cannot_be_seen(changes: list[tuple[float, Digest | None]], lag: float) -> None:
    """However many moves are forgotten, a read at the lag's end gives what a full history would."""
    moves = History()
    full: list[tuple[float, Digest | None]] = [(-1, None)]
    for moment, digest in sorted(changes, key=lambda change: change[0]):
        moves.move(moment, digest, lag=lag)
        full.append((moment, digest))
        for now in (moment, moment + lag / 2, moment + lag):
            seen = [held for when, held in full if when <= now - lag] or [None]
            assert moves.digest_at(now - lag) == seen[-1]
    assert all(first[0] <= second[0] for first, second in pairwise(full))

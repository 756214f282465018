"""What every mechanism needs: open settings, the price of a batch, rows in blocks, arg max."""

from collections.abc import Iterator

import numpy as np

from fedpate import _check
from fedpate.errors import ConfigError
from fedpate.privacy.entropy import uniform_below
from fedpate.privacy.events import Event, Piece
from fedpate.privacy.laws import Law, check_scale
from fedpate.privacy.noise import Entropy, draw, noisy_argmax, statistical_distance
from fedpate.records import Ints, Release, Votes

BLOCK_CELLS = 1 << 18  # drawn at once: bounds memory at about 25 MB whatever the batch


def check_optional_scale(**settings: float | None) -> None:
    """Like `check_scale`, but None (to be calibrated) passes."""
    check_scale(**{name: value for name, value in settings.items() if value is not None})


def required(**settings: float | None) -> float:
    """The value of one setting that may have been left open.

    Raises:
      ConfigError: it is still None.
    """
    ((name, value),) = settings.items()
    if value is None:
        raise ConfigError(f"{name} must be set, or calibrated from privacy.target_epsilon")
    return float(value)


def price(n_queries: int, votes_moved: int, cells: int, *pieces: Piece) -> Event:
    """`pieces` once per query, with the slack of `cells` drawn cells per query."""
    _check.at_least(0, n_queries=n_queries)
    _check.at_least(1, votes_moved=votes_moved)
    if n_queries == 0:
        return Event()
    slack = statistical_distance(n_queries * cells)
    return Event(tuple((piece, n_queries) for piece in pieces), slack)


def blocks(n_rows: int, cells_per_row: int) -> Iterator[slice]:
    """Slices of rows that hold at most `BLOCK_CELLS` cells each (or one row)."""
    step = max(1, BLOCK_CELLS // max(1, cells_per_row))
    return (slice(start, start + step) for start in range(0, n_rows, step))


def noisy_winners(counts: Ints, law: Law, entropy: Entropy) -> Ints:
    """(n_queries, n_classes) votes -> (n_queries,) arg max of counts + noise."""
    labels = np.empty(len(counts), dtype=np.int64)
    for rows in blocks(*counts.shape):
        labels[rows] = noisy_argmax(counts[rows], draw(law, counts[rows].shape, entropy))
    return labels


def whole_counts(votes: Votes) -> Ints:
    """(n_queries, n_classes) counts of whole votes.

    Raises:
      ValueError: the votes are soft; noise in votes would be too little by far for their parts.
    """
    if votes.parts != 1:
        raise ValueError("this mechanism takes whole votes, got parts of them")
    return votes.counts


def plain_argmax(votes: Votes, entropy: Entropy) -> Release:
    """The arg max without noise, ties broken uniformly at random.

    No privacy by itself: for `mechanism=none`, and for tallies that the hospitals randomized.
    """
    top = votes.counts == votes.counts.max(axis=1, keepdims=True)
    choice = uniform_below(top.sum(axis=1), entropy)
    labels = (top.cumsum(axis=1) == choice[:, None] + 1).argmax(axis=1)
    return Release(votes.query_ids, labels)

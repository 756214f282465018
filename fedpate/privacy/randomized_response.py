"""k-ary randomized response on each vote: the mechanism that needs no trusted adder of noise.

[K16] Kairouz, Bonawitz, Ramage, Discrete Distribution Estimation under Local Privacy, ICML 2016,
arXiv:1602.07387. Here a vote is replaced, with probability f, by a uniform choice among all m
classes, its own included: [K16]'s mechanism with e^epsilon = 1 + m (1 - f) / f.
"""

# ruff: noqa: ARG002 - every mechanism takes what the contract gives, used or not

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from fedpate import _check
from fedpate.errors import ConfigError
from fedpate.privacy._mechanics import blocks, plain_argmax, price, whole_counts
from fedpate.privacy.entropy import coins, uniform_below
from fedpate.privacy.events import Event, PureDp
from fedpate.privacy.noise import Entropy
from fedpate.records import Floats, Ints, Release, Votes

SMALLEST_FLIP = 1e-12  # exact coins exist well below it; a smaller one would protect nobody


@dataclass(frozen=True)
class RandomizedResponse:
    """Every vote is replaced by a uniform class with probability `flip_probability`.

    Formal guarantees per query (v votes moved, m classes):
      - each vote is log(1 + m (1 - f) / f)-DP: it stays with probability 1 - f + f/m and becomes
        any given other class with probability f/m; v votes are v such choices;
      - exact: integers decide every coin, so there is no slack.

    The tally of randomized votes has mean (1 - f) count + f M / m: an affine map that is the same
    for every class, so its arg max needs no debiasing.
    """

    name: ClassVar[str] = "randomized_response"
    noise_scale: ClassVar[None] = None  # its noise is not in votes
    flip_probability: float | None = None

    def __post_init__(self) -> None:
        if self.flip_probability is None:
            return
        _check.open_unit(**{"mechanism.flip_probability": self.flip_probability})
        if self.flip_probability < SMALLEST_FLIP:
            raise ConfigError(
                f"mechanism.flip_probability must be >= {SMALLEST_FLIP:g}, "
                f"got {self.flip_probability!r}"
            )

    @property
    def _flip(self) -> float:
        if self.flip_probability is None:
            raise ConfigError(
                "mechanism.flip_probability must be set, or calibrated from privacy.target_epsilon"
            )
        return self.flip_probability

    def event(self, n_queries: int, votes_moved: int, n_classes: int) -> Event:
        """One pure-DP choice per vote moved and query."""
        epsilon = math.log1p(n_classes * (1 - self._flip) / self._flip)
        return price(n_queries * votes_moved, votes_moved, 0, PureDp(epsilon))

    def release(self, votes: Votes, entropy: Entropy, student: Floats | None = None) -> Release:
        """The arg max of the randomized votes, ties at random."""
        randomized = self.randomize(whole_counts(votes), entropy)
        return plain_argmax(Votes(votes.query_ids, randomized, votes.n_teachers), entropy)

    def randomize(self, counts: Ints, entropy: Entropy) -> Ints:
        """(n_queries, n_classes) counts -> counts of the randomized votes; rows keep their sum."""
        out = np.empty_like(counts)
        largest = int(counts.sum(axis=1).max(initial=1))
        for rows in blocks(len(counts), largest):
            out[rows] = self._randomize_block(counts[rows], entropy)
        return out

    def _randomize_block(self, counts: Ints, entropy: Entropy) -> Ints:
        n_classes = counts.shape[1]
        cell = np.repeat(np.arange(counts.size), counts.ravel())  # one entry per vote
        flipped = np.flatnonzero(coins(self._flip, len(cell), entropy))
        chosen = uniform_below(np.full(len(flipped), n_classes), entropy)
        cell[flipped] += chosen - cell[flipped] % n_classes
        return np.bincount(cell, minlength=counts.size).reshape(counts.shape)

    def with_noise(self, noise_scale: float) -> Self:
        """Noise here is the odds f / (1 - f) that a vote is replaced."""
        return replace(self, flip_probability=noise_scale / (1 + noise_scale))

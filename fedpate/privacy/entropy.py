"""Where random bits come from, and exact choices made with them.

Privacy noise never touches numpy's generators: they are not made to resist someone who wants to
predict them. The one exception is `SeededEntropy`, which says so.
"""

import os
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fedpate.records import Ints
from fedpate.rng import stream

Bools = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]


class Entropy(Protocol):
    """Where random bits come from."""

    @property
    def name(self) -> str:
        """As reported in a run's summary."""

    @property
    def guarantee(self) -> bool:
        """Whether nobody can know the bits, so that a privacy guarantee may be stated."""

    def words(self, n: int) -> Words:
        """(n,) independent uniform 64-bit words."""


@dataclass(frozen=True)
class OsEntropy:
    """The operating system's cryptographic generator: the only source with a guarantee."""

    name: str = field(default="os-entropy", init=False)
    guarantee: bool = field(default=True, init=False)

    def words(self, n: int) -> Words:
        """(n,) fresh words."""
        return np.frombuffer(os.urandom(8 * n), dtype=np.uint64)


class SeededEntropy:
    """Reproducible bits for research: whoever knows the seed knows the noise, so no guarantee."""

    name = "seeded"
    guarantee = False

    def __init__(self, seed: int, *names: str | int) -> None:
        self._bits = stream(seed, "noise", *names).bit_generator

    def words(self, n: int) -> Words:
        """(n,) the next words of the stream."""
        return np.asarray(self._bits.random_raw(n), dtype=np.uint64)


def uniform_below(bounds: Ints, entropy: Entropy) -> Ints:
    """One uniform integer in [0, bound) for each of `bounds` (n,), exactly (by rejection)."""
    limits = bounds.astype(np.uint64)
    surplus = (np.uint64(0) - limits) % limits  # 2^64 mod bound: as many words are refused
    chosen = np.zeros(len(bounds), dtype=np.int64)
    open_ = np.arange(len(bounds))
    while len(open_):
        words = entropy.words(len(open_))
        good = words >= surplus[open_]
        chosen[open_[good]] = (words[good] % limits[open_[good]]).astype(np.int64)
        open_ = open_[~good]
    return chosen


def coins(probability: float, n: int, entropy: Entropy) -> Bools:
    """(n,) independent Bernoulli(probability), exactly for any float64 in [2^-75, 1)."""
    high, low = divmod(int(Fraction(probability) * 2**128), 2**64)
    words = entropy.words(n)
    heads = words < np.uint64(high)
    even = np.flatnonzero(words == np.uint64(high))
    heads[even] = entropy.words(len(even)) < np.uint64(low)
    return heads

"""The contract between votes and labels: every mechanism states its price beforehand."""

from typing import Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from fedpate.privacy.entropy import Bools
from fedpate.privacy.events import Event
from fedpate.privacy.noise import Entropy
from fedpate.records import Ints, Release, Votes


@runtime_checkable
class Mechanism(Protocol):
    """Turns sensitive votes into public labels.

    Formal guarantees of every implementation; tests/contracts.py checks them for all:
      - `event` depends on public settings only, never on the votes;
      - every query asked is charged, also an unanswered one, and `event` is the most that it costs;
      - `release` draws its randomness from `entropy` only, and answers no id that was not asked;
      - the noise drawn by `release` is the noise charged by `event`.
    """

    @property
    def name(self) -> str:
        """The name a user types: `mechanism=NAME`."""

    @property
    def noise_scale(self) -> float | None:
        """The main noise scale, in votes; None until calibrated, or where there is none."""

    def event(self, n_queries: int, votes_moved: int, n_classes: int) -> Event:
        """Price of asking `n_queries`, for a unit that can move `votes_moved` votes in each."""

    def release(
        self,
        votes: Votes,
        entropy: Entropy,
        student: npt.NDArray[np.float64] | None = None,
    ) -> Release:
        """Noisy arg max per query; `student` (n_queries, n_classes) only for `interactive`."""

    def with_noise(self, noise_scale: float) -> Self:
        """The same mechanism at another noise scale (other scales keep their ratio to it)."""


@runtime_checkable
class LocalMechanism(Mechanism, Protocol):
    """A mechanism that a hospital can also apply to its own answers (trust=local)."""

    def randomize(self, counts: Ints, entropy: Entropy) -> Ints:
        """Randomized histogram of one hospital: (n_queries, n_classes) -> the same shape."""


@runtime_checkable
class GatedMechanism(Mechanism, Protocol):
    """A mechanism that first asks, privately, whether a query is worth an answer: two steps.

    Each step is paid for before it is taken: a gate for every query asked, an answer for those that
    passed. How many passed is public once the gate is paid for, so the ledger's total is a reading
    of what has been spent; what is fixed beforehand is a budget, or `event`, where all pass.
    """

    def gate_event(self, n_queries: int, votes_moved: int, n_classes: int) -> Event:
        """Price of the gate of `n_queries`."""

    def answer_event(self, n_queries: int, votes_moved: int, n_classes: int) -> Event:
        """Price of answering `n_queries` that passed."""

    def gate(
        self, votes: Votes, entropy: Entropy, student: npt.NDArray[np.float64] | None = None
    ) -> Bools:
        """(n_queries,) which queries pass."""

    def answer(
        self,
        votes: Votes,
        passed: Bools,
        entropy: Entropy,
        student: npt.NDArray[np.float64] | None = None,
    ) -> Release:
        """Labels of the queries that passed, and what needs no votes for the others."""

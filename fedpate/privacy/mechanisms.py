"""All mechanisms by the name that a user types; the registry is closed on purpose.

A configuration or a message can name nothing else. To add a mechanism, write a frozen dataclass
that keeps the promises of `fedpate.privacy.mechanism` and add one line here and one to
`tests/contracts.py`.
"""

# ruff: noqa: ARG002 - every mechanism takes what the contract gives, used or not

from dataclasses import dataclass
from typing import ClassVar, Self

from fedpate.errors import ConfigError
from fedpate.privacy._mechanics import plain_argmax, price
from fedpate.privacy.events import Event, NonPrivate
from fedpate.privacy.mechanism import Mechanism
from fedpate.privacy.noise import Entropy
from fedpate.privacy.noisy_max import GaussianMax, GumbelMax, LaplaceMax, PermuteAndFlip
from fedpate.privacy.randomized_response import RandomizedResponse
from fedpate.privacy.threshold_mechanisms import ConfidentMax, InteractiveMax
from fedpate.records import Floats, Release, Votes

__all__ = [
    "MECHANISMS",
    "ConfidentMax",
    "GaussianMax",
    "GumbelMax",
    "InteractiveMax",
    "LaplaceMax",
    "NoNoise",
    "PermuteAndFlip",
    "RandomizedResponse",
    "plain_argmax",
]


@dataclass(frozen=True)
class NoNoise:
    """The plain arg max, ties at random. Formal guarantees: none; every epsilon is infinite."""

    name: ClassVar[str] = "none"
    noise_scale: ClassVar[None] = None

    def event(self, n_queries: int, votes_moved: int, n_classes: int) -> Event:
        """One release without noise per query."""
        return price(n_queries, votes_moved, 0, NonPrivate())

    def release(self, votes: Votes, entropy: Entropy, student: Floats | None = None) -> Release:
        """The most voted class per query."""
        return plain_argmax(votes, entropy)

    def with_noise(self, noise_scale: float) -> Self:
        """Refused: "no privacy" is a choice of its own, never a noise scale.

        Raises:
          ConfigError: always.
        """
        raise ConfigError(
            "mechanism=none has no noise to set; choose another mechanism "
            f"for a noise scale or a privacy.target_epsilon, got noise {noise_scale!r}"
        )


MECHANISMS: dict[str, type[Mechanism]] = {
    mechanism.name: mechanism
    for mechanism in (
        LaplaceMax,
        GaussianMax,
        GumbelMax,
        PermuteAndFlip,
        ConfidentMax,
        InteractiveMax,
        RandomizedResponse,
        NoNoise,
    )
}

"""Noise, price and accuracy of one way to label, each from the others: what a plan is made of.

All prices are guaranteed ones: they look at the settings only, never at votes, so that optimising
them cannot optimise the noise away. While searching, privacy loss distributions (half a second
each) are left out: their place is taken by larger bounds that are valid too.
"""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, special

from fedpate.errors import ConfigError
from fedpate.privacy import costs
from fedpate.privacy.accounting import calibrate, guarantee
from fedpate.privacy.events import Event
from fedpate.privacy.label_accuracy import right_probabilities
from fedpate.privacy.mechanism import Mechanism
from fedpate.privacy.mechanisms import (
    ConfidentMax,
    GaussianMax,
    GumbelMax,
    LaplaceMax,
    PermuteAndFlip,
)
from fedpate.privacy.rdp import ORDERS, epsilon_improved
from fedpate.privacy.vote_model import VoteSample
from fedpate.records import Floats

_LEAST_NOISE = 1e-6  # in units of the largest count: as good as none
_PRECISE = 1e-4  # relative, of a noise scale
_HUGE = 700.0  # a logarithm that stands for infinity
_FARTHEST = 25.0  # logarithm of the largest noise scale looked at, and of one over the least


@dataclass(frozen=True)
class Way:
    """A mechanism up to its noise scale; `confident` asks more than it answers, to choose."""

    mechanism: str
    asked_per_label: float = 1.0
    bit_noise: float = 0.0  # threshold_noise_scale / noise_scale, where there is a threshold

    def asked(self, labels: float) -> int:
        """Queries to ask for an expected number of labels."""
        return math.ceil(labels * self.asked_per_label - 1e-9)


_PLAIN: Mapping[str, Callable[[float], Mechanism]] = {
    "gnmax": GaussianMax,
    "laplace": LaplaceMax,
    "gumbel": GumbelMax,
    "permute_and_flip": PermuteAndFlip,
}
MECHANISM_NAMES = (*_PLAIN, "confident")


def ways(mechanism: str) -> tuple[Way, ...]:
    """The ways that are tried for a mechanism's name."""
    if mechanism != "confident":
        return (Way(mechanism),)
    return tuple(Way(mechanism, asked, bit) for asked in (1.1, 1.3, 1.6, 2.5) for bit in (1.0, 2.0))


def upper_bound(event: Event, delta: float) -> float:
    """A valid guaranteed epsilon, in a fraction of a millisecond; exact for Gaussian noise."""
    if all(isinstance(piece, costs.GAUSSIAN) for piece, _ in event.pieces):
        return guarantee(event, delta).epsilon
    curve = np.sum([costs.rdp(piece) * count for piece, count in event.pieces], axis=0)
    pure = sum(costs.pure_epsilon(piece) * count for piece, count in event.pieces)
    return min(pure, epsilon_improved(ORDERS, curve, delta)[0])


@dataclass(frozen=True)
class Choice:
    """One way to label, with its numbers."""

    mechanism: Mechanism
    queries: int  # to be asked; all are charged
    labels: float  # expected to be answered
    accuracy: float  # expected, of those
    epsilon: Mapping[str, float]  # guaranteed, per unit, at the question's delta

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`; the mechanism's settings under the names that users type."""
        names = ("noise_scale", "threshold", "threshold_noise_scale")
        settings = {name: getattr(self.mechanism, name, None) for name in names}
        return {
            "mechanism": {"name": self.mechanism.name, **settings},
            "queries": self.queries,
            "labels": self.labels,
            "label_accuracy": self.accuracy,
            "epsilon": dict(self.epsilon),
        }


@dataclass(frozen=True, eq=False)
class Bench:
    """A federation's votes and prices, to try ways on.

    `moved` is how many votes each unit moves: {"patient": 1, "hospital": teachers_per_hospital}.
    """

    sample: VoteSample
    moved: Mapping[str, int]
    n_classes: int
    delta: float

    def build(self, way: Way, noise_scale: float) -> Mechanism:
        """The mechanism; the threshold lets through one in `asked_per_label` expected queries."""
        if way.mechanism != "confident":
            return _PLAIN[way.mechanism](noise_scale)
        bit_scale = way.bit_noise * noise_scale
        return ConfidentMax(noise_scale, self._threshold(way, bit_scale), bit_scale)

    def outcome(self, mechanism: Mechanism) -> tuple[float, float]:
        """How often a query is answered, and how often an answer is right."""
        scale = mechanism.noise_scale
        if scale is None:
            raise ConfigError("mechanism.noise_scale must be set to be planned with, got None")
        right = right_probabilities(mechanism.name, self.sample, scale)
        if not isinstance(mechanism, ConfidentMax):
            return 1.0, float(right.mean())
        assert mechanism.threshold is not None
        assert mechanism.threshold_noise_scale is not None
        passes = self._passes(mechanism.threshold, mechanism.threshold_noise_scale)
        answered = float(passes.mean())
        return answered, float(right @ passes / passes.sum()) if answered else math.nan

    def accuracy(self, way: Way, noise_scale: float) -> float:
        """How often a label that is given is right."""
        return self.outcome(self.build(way, noise_scale))[1]

    def choice(self, mechanism: Mechanism, asked: int, *, exact: bool) -> Choice:
        """All numbers of a mechanism; `exact` prices by the accountant, not by `upper_bound`."""
        epsilon = {}
        for unit, moved in self.moved.items():
            event = mechanism.event(asked, moved, self.n_classes)
            epsilon[unit] = (
                guarantee(event, self.delta).epsilon if exact else upper_bound(event, self.delta)
            )
        answered, accuracy = self.outcome(mechanism)
        return Choice(mechanism, asked, round(asked * answered, 6), accuracy, epsilon)

    def epsilon(self, way: Way, noise_scale: float, asked: int, unit: str) -> float:
        """`upper_bound` for one unit. The price does not depend on a threshold."""
        mechanism = _priced(way, noise_scale)
        return upper_bound(mechanism.event(asked, self.moved[unit], self.n_classes), self.delta)

    def noise_for_epsilon(self, way: Way, asked: int, targets: Mapping[str, float]) -> float:
        """The least noise scale that keeps every unit's target, by `upper_bound`."""
        return max(self._noise_for(way, asked, unit, goal) for unit, goal in targets.items())

    def calibrated(self, way: Way, asked: int, targets: Mapping[str, float]) -> float:
        """The same by the accountant itself: a little less noise where `upper_bound` is loose."""

        def event(moved: int, noise_scale: float) -> Event:
            return _priced(way, noise_scale).event(asked, moved, self.n_classes)

        return max(
            calibrate(functools.partial(event, self.moved[unit]), goal, self.delta)
            for unit, goal in targets.items()
        )

    def noise_for_accuracy(self, way: Way, wanted: float) -> float | None:
        """The largest noise scale with this accuracy; None if the least noise has not got it."""
        most_votes = float(self.sample.largest.max())
        if self.accuracy(way, most_votes * _LEAST_NOISE) < wanted:
            return None
        edge = _last_good(
            lambda log_scale: self.accuracy(way, math.exp(log_scale)) - wanted,
            math.log(most_votes / 4),
        )
        return math.exp(edge)

    def asked_for_epsilon(
        self, way: Way, noise_scale: float, targets: Mapping[str, float], at_most: int
    ) -> int:
        """The most queries, up to `at_most`, that keep every unit's target, by `upper_bound`."""

        def fits(asked: int) -> bool:
            return all(
                self.epsilon(way, noise_scale, asked, unit) <= goal
                for unit, goal in targets.items()
            )

        if at_most < 1 or not fits(1):
            return 0
        low, high = 1, 2
        while high <= at_most and fits(high):
            low, high = high, high * 2
        high = min(high, at_most + 1)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low

    def _noise_for(self, way: Way, asked: int, unit: str, goal: float) -> float:
        def slack(log_precision: float) -> float:
            epsilon = self.epsilon(way, math.exp(-log_precision), asked, unit)
            return min(math.log(goal / epsilon), _HUGE) if epsilon else _HUGE

        return math.exp(-_last_good(slack, -math.log(self.moved[unit])))

    def _threshold(self, way: Way, bit_scale: float) -> float:
        def surplus(threshold: float) -> float:
            return float(self._passes(threshold, bit_scale).mean()) - 1 / way.asked_per_label

        largest = self.sample.largest
        reach = 9 * bit_scale
        return float(optimize.brentq(surplus, largest.min() - reach, largest.max() + reach))

    def _passes(self, threshold: float, bit_scale: float) -> Floats:
        return np.asarray(special.ndtr((self.sample.largest - threshold) / bit_scale))


def _priced(way: Way, noise_scale: float) -> Mechanism:
    if way.mechanism != "confident":
        return _PLAIN[way.mechanism](noise_scale)
    return ConfidentMax(noise_scale, 0.0, way.bit_noise * noise_scale)


def _last_good(margin: Callable[[float], float], start: float) -> float:
    """The largest x, to `_PRECISE`, with margin(x) >= 0, for a margin that falls from + to -."""
    step = math.log(2)
    good = bad = start
    while margin(good) < 0:
        good, bad = good - step, good
    while good == bad or margin(bad) >= 0:
        if bad > _FARTHEST:
            return bad
        good, bad = bad, bad + step
    edge = float(optimize.brentq(margin, good, bad, xtol=_PRECISE))
    while margin(edge) < 0:
        edge -= _PRECISE
    return edge

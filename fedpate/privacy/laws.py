"""The laws of the noise: cumulative distribution and quantile, in float64 and to any precision.

A quantile takes the tail probability on its own side, `tail` = min(U, 1 - U), and which side that
is: U near 1 keeps its relative precision. Condition numbers d quantile / d log(tail) are below 2
scales for every law here, so float64 is wrong by less than 1e-13 * (scale + |x|); what relies on
that keeps a margin of 1e-9 (`fedpate.privacy.noise`), and tests/privacy/test_noise.py measures it.
"""

from dataclasses import dataclass
from typing import Protocol

import mpmath
import numpy as np
import numpy.typing as npt
from scipy import special

from fedpate import _check
from fedpate.errors import ConfigError
from fedpate.records import Floats

Bools = npt.NDArray[np.bool_]
SCALES = (1e-12, 1e12)  # beyond, values leave the integers that float64 and int64 can hold


def check_scale(**settings: float) -> None:
    """Positive, and in the range for which the noise is exact.

    Raises:
      ConfigError: names the setting, the rule, the value.
    """
    _check.positive(**settings)
    for name, value in settings.items():
        if not SCALES[0] <= value <= SCALES[1]:
            raise ConfigError(f"{name} must be in [{SCALES[0]:g}, {SCALES[1]:g}], got {value!r}")


class Law(Protocol):
    """A continuous law of one noise variable, in votes."""

    @property
    def scale(self) -> float:
        """In votes: standard deviation (Gaussian) or the scale parameter (all others)."""

    def cdf(self, x: Floats) -> Floats:
        """Pr[X <= x], elementwise."""

    def quantile(self, tail: Floats, upper: Bools) -> Floats:
        """x with Pr[X <= x] = tail, or 1 - tail where `upper`; `tail` in (0, 1/2]."""

    def exact_quantile(self, tail: mpmath.mpf, upper: bool, mp: mpmath.MPContext) -> mpmath.mpf:
        """The same at the working precision of `mp`."""


@dataclass(frozen=True)
class Gaussian:
    """N(0, scale^2)."""

    scale: float

    def __post_init__(self) -> None:
        check_scale(noise_scale=self.scale)

    def cdf(self, x: Floats) -> Floats:
        """Pr[X <= x]."""
        return np.asarray(special.ndtr(x / self.scale))

    def quantile(self, tail: Floats, upper: Bools) -> Floats:
        """Quantile from the tail probability and its side."""
        return np.asarray(np.where(upper, -self.scale, self.scale) * special.ndtri(tail))

    def exact_quantile(self, tail: mpmath.mpf, upper: bool, mp: mpmath.MPContext) -> mpmath.mpf:
        """Newton's method on the tail from the float64 answer: each step doubles the digits."""
        x = mp.mpf(float(special.ndtri_exp(float(mp.log(tail)))))
        enough = mp.mpf(10) ** (-mp.dps // 2 - 3)
        while True:
            step = (mp.ncdf(x) - tail) / mp.npdf(x)
            x -= step
            if abs(step) < enough:
                return self.scale * (-x if upper else x)


@dataclass(frozen=True)
class Laplace:
    """Density exp(-|x|/scale) / (2 scale)."""

    scale: float

    def __post_init__(self) -> None:
        check_scale(noise_scale=self.scale)

    def cdf(self, x: Floats) -> Floats:
        """Pr[X <= x]."""
        tail = np.exp(-np.abs(x) / self.scale) / 2
        return np.where(x > 0, 1 - tail, tail)

    def quantile(self, tail: Floats, upper: Bools) -> Floats:
        """Quantile from the tail probability and its side."""
        return np.where(upper, -self.scale, self.scale) * np.log(2 * tail)

    def exact_quantile(self, tail: mpmath.mpf, upper: bool, mp: mpmath.MPContext) -> mpmath.mpf:
        """The same at the working precision of `mp`."""
        x = mp.log(2 * tail)
        return self.scale * (-x if upper else x)


@dataclass(frozen=True)
class Gumbel:
    """Pr[X <= x] = exp(-exp(-x/scale)): its arg max is the exponential mechanism."""

    scale: float

    def __post_init__(self) -> None:
        check_scale(noise_scale=self.scale)

    def cdf(self, x: Floats) -> Floats:
        """Pr[X <= x]."""
        return np.asarray(np.exp(-np.exp(-x / self.scale)))

    def quantile(self, tail: Floats, upper: Bools) -> Floats:
        """Quantile from the tail probability and its side."""
        return np.asarray(-self.scale * np.log(-np.where(upper, np.log1p(-tail), np.log(tail))))

    def exact_quantile(self, tail: mpmath.mpf, upper: bool, mp: mpmath.MPContext) -> mpmath.mpf:
        """The same at the working precision of `mp`."""
        return -self.scale * mp.log(-(mp.log1p(-tail) if upper else mp.log(tail)))


@dataclass(frozen=True)
class Exponential:
    """Pr[X <= x] = 1 - exp(-x/scale) for x >= 0: its arg max is permute-and-flip."""

    scale: float

    def __post_init__(self) -> None:
        check_scale(noise_scale=self.scale)

    def cdf(self, x: Floats) -> Floats:
        """Pr[X <= x]."""
        return np.asarray(-np.expm1(-np.maximum(x, 0) / self.scale))

    def quantile(self, tail: Floats, upper: Bools) -> Floats:
        """Quantile from the tail probability and its side."""
        return -self.scale * np.where(upper, np.log(tail), np.log1p(-tail))

    def exact_quantile(self, tail: mpmath.mpf, upper: bool, mp: mpmath.MPContext) -> mpmath.mpf:
        """The same at the working precision of `mp`."""
        return -self.scale * (mp.log(tail) if upper else mp.log1p(-tail))

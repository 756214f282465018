"""A data-dependent epsilon that may be published: smooth sensitivity and GNSS noise.

[P18] Papernot et al., arXiv:1802.08908, Appendix B: Theorem 20, Definition 22.

The Rényi divergence f(votes) at one order is itself private. Released is f + SS * N(0, sigma_ss^2),
SS the beta-smooth sensitivity of f; that costs `gnss.gnss_rdp` more, and a conversion turns the sum
into epsilon. What f is depends on the ensemble, which is public (`sensitive.subject_of`):

  few histograms (two classes, or few teachers): the exact divergence of `fedpate.privacy.exact`, in
      both directions, with sensitivities by visiting every histogram: nothing is assumed;
  otherwise: the bound of [P18] with its Algorithms 3 to 5, refused where conditions C5, C6 fail. As
      in the paper it covers the direction from the votes to their neighbours.

Order, beta and sigma_ss must not be chosen by looking at the votes: `release` takes them from
`reference_votes`, which are public. `distribution` and `published` choose them on the votes, as
[P18]'s tables do: NOT RELEASABLE, and so are their means and deviations.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedpate import _check
from fedpate.privacy.gnss import Settings, best_settings, gnss_rdp, published_settings, theorem_23
from fedpate.privacy.mechanism import Mechanism
from fedpate.privacy.noise import Entropy, Gaussian, draw
from fedpate.privacy.rdp import ORDERS, epsilon_classic, epsilon_improved
from fedpate.privacy.sensitive import (
    Bools,
    NotSanitizableError,
    Subject,
    published_bound,
    subject_of,
)
from fedpate.privacy.smooth_sensitivity import smooth_sensitivity
from fedpate.records import Floats, Ints

_GRID = 2.0**-20  # of the largest possible divergence: what is released is a multiple of it
_REFERENCE_ROWS = 32
_ORDERS_TRIED = 12  # with the noise the best order is lower than without: down to 0.4 of it


@dataclass(frozen=True)
class Distribution:
    """A sanitized epsilon before its noise is drawn. Not releasable."""

    mean: float  # epsilon, by the classic conversion as in [P18]'s tables
    std: float
    improved_mean: float  # the same by the improved conversion
    method: str
    settings: Settings


@dataclass(frozen=True)
class Released:
    """A sanitized epsilon: an unbiased reading, with noise both ways, of labels plus itself."""

    epsilon: float
    delta: float
    method: str
    settings: Settings


def reference_votes(n_teachers: int, n_classes: int) -> Ints:
    """A public guess of the votes: consensus from 100 % to 40 %, half of the rest to the second."""
    middle = (np.arange(_REFERENCE_ROWS) + 0.5) / _REFERENCE_ROWS
    top = np.rint(n_teachers * (1 - 0.6 * middle**2)).astype(np.int64)
    rows = np.zeros((_REFERENCE_ROWS, n_classes), dtype=np.int64)
    left = n_teachers - top
    rows[:, 0] = top
    for column in range(1, n_classes):
        last = column == n_classes - 1
        rows[:, column] = left if last else (left + 1) // 2
        left = left - rows[:, column]
    rows[:, 0] += left
    return rows


def published(
    counts: Ints, mechanism: Mechanism, delta: float, orders: npt.ArrayLike = ORDERS
) -> Distribution:
    """What [P18]'s own code reports: Theorem 23, at the order that is best without noise.

    For comparison with the paper: its cost of the noise is too small (`fedpate.privacy.gnss`).

    Raises:
      NotSanitizableError: says why.
    """
    _check.open_unit(**{"privacy.delta": delta})
    subject = published_bound(mechanism, *_shape(counts))
    weights, alpha = np.ones(len(counts)), np.asarray(orders, dtype=np.float64)
    order = _proven(subject, _by_epsilon(subject, counts, weights, delta, alpha), 1)[0]
    local = subject.weighted_local(counts, weights, np.array([order]))[0]
    settings = published_settings(local, order)[1]
    return _distribution(
        subject, counts, delta, settings, f"{subject.method}, Theorem 23", theorem_23
    )


def distribution(
    counts: Ints, mechanism: Mechanism, delta: float, orders: npt.ArrayLike = ORDERS
) -> Distribution:
    """Mean and standard deviation of a sanitized epsilon, with settings chosen on the votes.

    Order, beta and sigma_ss: the least epsilon plus two standard deviations.

    Raises:
      NotSanitizableError: says why.
    """
    _check.open_unit(**{"privacy.delta": delta})
    subject = subject_of(mechanism, *_shape(counts))
    settings = _settings(subject, counts, np.ones(len(counts)), delta, orders)
    return _distribution(subject, counts, delta, settings, subject.method, gnss_rdp)


def release(
    counts: Ints,
    mechanism: Mechanism,
    delta: float,
    entropy: Entropy,
    answered: Bools | None = None,
    orders: npt.ArrayLike = ORDERS,
) -> Released:
    """One sanitized epsilon, releasable together with the labels it prices.

    Args:
      counts: (n_queries, n_classes) votes.
      mechanism: that gave the labels.
      delta: in (0, 1).
      entropy: where the noise comes from.
      answered: (n_queries,) which queries got a label, for `ConfidentMax` by the bound of [P18],
        which pays for answers as they happened.
      orders: candidates; which one is used depends on public facts only.

    Raises:
      NotSanitizableError: says why.
    """
    _check.open_unit(**{"privacy.delta": delta})
    shape = _shape(counts)
    subject = subject_of(mechanism, *shape)
    if subject.pays_for_answers and answered is None:
        raise NotSanitizableError(
            "mechanism=confident pays for the queries that were answered: say which ones"
        )
    weights = np.full(_REFERENCE_ROWS, len(counts) / _REFERENCE_ROWS)
    found = _settings(subject, reference_votes(*shape), weights, delta, orders)
    value, local = subject.at(counts, answered, found.order)
    if found.beta > 0:
        # on a grid, noise is drawn exactly; rounding to it adds a step to what a vote changes
        grid = _GRID * max(1.0, len(counts) * found.order * subject.largest)
        scale = (float(smooth_sensitivity(local, found.beta)) + grid) * found.sigma_ss
        noise = draw(Gaussian(scale / grid), (1,), entropy).integers[0]
        value = float(np.rint(value / grid) + noise) * grid
    total = max(value, 0.0) + gnss_rdp(found.beta, found.sigma_ss, found.order)
    epsilon = epsilon_improved([found.order], [total], delta)[0]
    return Released(epsilon, delta, subject.method, found)


def _shape(counts: Ints) -> tuple[int, int]:
    return int(counts[0].sum()), counts.shape[1]


def _distribution(
    subject: Subject,
    counts: Ints,
    delta: float,
    settings: Settings,
    method: str,
    cost: Callable[[float, float, float], float],
) -> Distribution:
    value, local = subject.at(counts, None, settings.order)
    std, total = 0.0, value
    if settings.beta > 0:
        std = float(smooth_sensitivity(local, settings.beta)) * settings.sigma_ss
        total += cost(settings.beta, settings.sigma_ss, settings.order)
    mean = epsilon_classic([settings.order], [total], delta)[0]
    improved = epsilon_improved([settings.order], [total], delta)[0]
    return Distribution(mean, std, improved, method, settings)


def _settings(
    subject: Subject, counts: Ints, weights: Floats, delta: float, orders: npt.ArrayLike
) -> Settings:
    """The least improved epsilon plus two standard deviations, over orders and beta."""
    alpha = np.asarray(orders, dtype=np.float64)
    by_epsilon = _by_epsilon(subject, counts, weights, delta, alpha)
    near = alpha[(alpha >= 0.4 * by_epsilon[0]) & (alpha <= 1.2 * by_epsilon[0])]
    spread = np.sort(near)[np.linspace(0, len(near) - 1, min(_ORDERS_TRIED, len(near))).astype(int)]
    tried = np.array(_proven(subject, [*spread.tolist(), *by_epsilon], len(spread)))
    values = weights @ subject.rdp(counts, tried)
    candidates = []
    for order, value, local in zip(
        tried.tolist(), values, subject.weighted_local(counts, weights, tried), strict=True
    ):
        cost, settings = best_settings(local, order)
        epsilon = epsilon_improved([order], [value + cost], delta)[0]
        candidates.append((epsilon, settings))
    return min(candidates, key=lambda candidate: candidate[0])[1]


def _by_epsilon(
    subject: Subject, counts: Ints, weights: Floats, delta: float, alpha: Floats
) -> list[float]:
    """The orders, the one with the least classic epsilon before sanitizing first."""
    epsilons = weights @ subject.rdp(counts, alpha) - math.log(delta) / (alpha - 1)
    return [float(order) for order in alpha[np.argsort(epsilons)]]


def _proven(subject: Subject, orders: list[float], enough: int) -> list[float]:
    """The orders among the first `enough` at which the method is proven, or else the first one."""
    good: list[float] = []
    reasons: list[str] = []
    for place, order in enumerate(orders):
        reason = subject.refusal(order)
        if reason is None:
            good.append(order)
        else:
            reasons.append(reason)
        if good and place >= enough - 1:
            return good
    raise NotSanitizableError(reasons[0])

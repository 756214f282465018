"""A data-dependent epsilon that may be published: smooth sensitivity and GNSS noise.

[P18] Papernot et al., arXiv:1802.08908, Appendix B: Theorem 20, Definition 22, Theorem 23, 5.

The Rényi divergence f(votes) at one order is itself private. Released is f + SS * N(0, sigma_ss^2),
SS the beta-smooth sensitivity of f, which costs GNSS(order) more; the classic or the improved
conversion turns the sum into epsilon. What f is depends on the ensemble, which is public:

  few histograms (two classes, or few teachers): the exact divergence of `fedpate.privacy.exact`, in
      both directions, with sensitivities by visiting every histogram: nothing is assumed;
  otherwise: the bound of [P18] with its Algorithms 3 to 5, refused where conditions C5, C6 fail. As
      in the paper it covers the direction from the votes to their neighbours.

Order, beta and sigma_ss must not be chosen by looking at the votes: `release` takes them from
`reference_votes`, which are public. `distribution` chooses them on the votes, as [P18]'s tables do:
NOT RELEASABLE, and so are its mean and standard deviation; a single draw is.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedpate import _check
from fedpate.privacy.mechanism import Mechanism
from fedpate.privacy.noise import Entropy, Gaussian, draw
from fedpate.privacy.rdp import ORDERS, epsilon_classic, epsilon_improved
from fedpate.privacy.sensitive import Bools, NotSanitizableError, Subject, subject_of
from fedpate.privacy.smooth_sensitivity import smooth_sensitivity
from fedpate.records import Floats, Ints

__all__ = [
    "Distribution",
    "NotSanitizableError",
    "Released",
    "Settings",
    "distribution",
    "gnss_rdp",
    "reference_votes",
    "release",
]

_GRID = 2.0**-20  # of the largest possible divergence: what is released is a multiple of it
_REFERENCE_ROWS = 32


@dataclass(frozen=True)
class Settings:
    """Public parameters of one release; beta = 0 and infinite noise where f is constant."""

    order: float
    beta: float
    sigma_ss: float  # standard deviation, in smooth sensitivities


@dataclass(frozen=True)
class Distribution:
    """What `release` would draw from. Not releasable."""

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


def gnss_rdp(beta: float, sigma_ss: float, order: float) -> float:
    """Rényi cost of f + SS * N(0, sigma_ss^2) ([P18] Theorem 23).

    Raises:
      ValueError: order is not in (1, 1/(2 beta)).
    """
    if beta == 0 and math.isinf(sigma_ss):
        return 0.0  # f is constant: nothing is revealed
    if not (order > 1 and 2 * order * beta < 1):
        raise ValueError(f"order must be in (1, 1/(2 beta)), got order={order:g}, beta={beta:g}")
    moments = -math.log1p(-2 * order * beta) / 2 + beta * order
    return order * math.exp(2 * beta) / (sigma_ss * sigma_ss) + moments / (order - 1)


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


def distribution(
    counts: Ints, mechanism: Mechanism, delta: float, orders: npt.ArrayLike = ORDERS
) -> Distribution:
    """Mean and standard deviation of a sanitized epsilon, with settings chosen on the votes.

    Order: the least classic epsilon before sanitizing; beta and sigma_ss: the least value plus two
    standard deviations over [P18]'s grid of beta. Not releasable.

    Raises:
      NotSanitizableError: says why.
    """
    _check.open_unit(**{"privacy.delta": delta})
    subject = subject_of(mechanism, *_shape(counts))
    found = _settings(subject, counts, np.ones(len(counts)), delta, np.asarray(orders))
    value, local = subject.at(counts, None, found.order)
    std = 0.0 if found.beta == 0 else smooth_sensitivity(local, found.beta) * found.sigma_ss
    total = [value + gnss_rdp(found.beta, found.sigma_ss, found.order)]
    mean = epsilon_classic([found.order], total, delta)[0]
    improved = epsilon_improved([found.order], total, delta)[0]
    return Distribution(mean, float(std), improved, subject.method, found)


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
    found = _settings(subject, reference_votes(*shape), weights, delta, np.asarray(orders))
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


def _settings(
    subject: Subject, counts: Ints, weights: Floats, delta: float, orders: Floats
) -> Settings:
    """[P18]'s choice: see `distribution`. Orders at which the method is not proven are skipped."""
    curve = weights @ subject.rdp(counts, orders)
    epsilons = curve - math.log(delta) / (orders - 1)
    reasons = []
    for order in orders[np.argsort(epsilons)].tolist():
        reason = subject.refusal(order)
        if reason is None:
            return _best(subject, counts, weights, order)
        reasons.append(reason)
    raise NotSanitizableError(reasons[0])


def _best(subject: Subject, counts: Ints, weights: Floats, order: float) -> Settings:
    local = subject.weighted_local(counts, weights, order)
    if not local.any():
        return Settings(order, 0.0, math.inf)
    candidates = []
    for beta in np.arange(0.3, 0.495, 0.01) / order:
        smooth = float(smooth_sensitivity(local, beta))
        # the least order e^(2 beta) / sigma^2 + 2 SS sigma
        sigma_ss = (order * math.exp(2 * beta) / smooth) ** (1 / 3)
        cost = gnss_rdp(beta, sigma_ss, order) + 2 * smooth * sigma_ss
        candidates.append((cost, Settings(order, float(beta), sigma_ss)))
    return min(candidates, key=lambda candidate: candidate[0])[1]

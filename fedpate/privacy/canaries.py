"""What an attacker learns from a trained student: membership inference and the one-run audit.

[SNJ23] Steinke, Nasr, Jagielski, Privacy Auditing with One (1) Training Run, NeurIPS 2023,
    arXiv:2305.08846.
[HM82] Hanley, McNeil, The Meaning and Use of the Area under a ROC Curve, Radiology 143, 1982.
[N06] Newcombe, Confidence Intervals for an Effect Size Measure Based on the Mann-Whitney
    Statistic, part 2, Statistics in Medicine 25, 2006 (its method 5).

Pure functions of scores: where they come from (canary patients put into teachers by coin flips, a
student trained on the released labels) is the caller's business. A canary that is in or out moves
at most one teacher's vote, so the epsilon here is the one per patient.
"""

import itertools
import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from fedpate import _check
from fedpate.errors import ConfigError
from fedpate.records import Floats

FRACTIONS = (1.0, 0.5, 0.25, 0.125)  # of the canaries that the attacker guesses about
LARGEST_EPSILON = 60.0  # no number of canaries shows more


@dataclass(frozen=True)
class OneRun:
    """A one-run audit: guesses about canaries, and the epsilon that they imply."""

    canaries: int
    guesses: int
    correct: int
    delta: float
    confidence: float
    lower_bound: float


@dataclass(frozen=True)
class MembershipAuc:
    """How well scores tell members from others: 0.5 is chance; low, high at `confidence`."""

    auc: float
    low: float
    high: float
    confidence: float


def one_run_p_value(
    canaries: int, guesses: int, correct: int, epsilon: float, delta: float
) -> float:
    """Most probability that an (epsilon, delta)-DP run gives >= `correct` right guesses.

    [SNJ23] Theorem 5.2: right guesses are dominated by Binomial(guesses, q) with
    q = 1 / (1 + e^-epsilon), plus 2 canaries delta max_i Pr[correct > Binomial >= correct - i] / i.
    """
    q = 1 / (1 + math.exp(-epsilon))
    pure = float(stats.binom.sf(correct - 1, guesses, q))
    short_by = np.arange(1, correct + 1)
    shortfall = np.cumsum(stats.binom.pmf(correct - short_by, guesses, q))
    alpha = float((shortfall / short_by).max(initial=0.0))
    return min(1.0, pure + 2 * canaries * delta * alpha)


def one_run_epsilon(
    canaries: int, guesses: int, correct: int, delta: float, confidence: float
) -> float:
    """Lower bound on epsilon from the right guesses of one run ([SNJ23] Algorithm 1).

    Each canary was included by its own fair coin; the attacker guessed about `guesses` of them,
    chosen without knowing the coins.

    Raises:
      ConfigError: not 0 <= correct <= guesses <= canaries, or a probability out of range.
    """
    _check.open_unit(**{"privacy.delta": delta, "confidence": confidence})
    if not 0 <= correct <= guesses <= canaries:
        raise ConfigError(
            "canaries must satisfy 0 <= correct <= guesses <= canaries, "
            f"got {correct}, {guesses}, {canaries}"
        )

    def surplus(epsilon: float) -> float:
        return one_run_p_value(canaries, guesses, correct, epsilon, delta) - (1 - confidence)

    # The p-value need not be monotone for delta > 0: stop at the first epsilon that is possible.
    grid = np.linspace(0.0, LARGEST_EPSILON, 241)
    for below, above in itertools.pairwise(grid):
        if surplus(below) >= 0:
            return 0.0
        if surplus(above) >= 0:
            return float(optimize.brentq(surplus, below, above))
    return LARGEST_EPSILON


def one_run_audit(
    scores: Floats,
    included: npt.NDArray[np.bool_],
    delta: float,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> OneRun:
    """Guess that the highest-scored canaries were in and the lowest-scored ones out.

    Several numbers of guesses are tried (`FRACTIONS` of the canaries), each at its share of the
    error probability, and the best bound is reported.

    Args:
      scores: (n_canaries,) higher means "included", computed without knowing `included`.
      included: (n_canaries,) the outcomes of the independent fair coins.
      delta: of the (epsilon, delta)-DP that is tested.
      rng: orders canaries with equal scores; their order in the arrays must not help the guesses.
      confidence: of the bound.

    Raises:
      ConfigError: fewer than 8 canaries, shapes that differ, or scores that are not finite.
    """
    if scores.shape != included.shape or scores.ndim != 1 or len(scores) < 8:
        raise ConfigError(
            "canaries must be >= 8 scores with one coin each, "
            f"got shapes {scores.shape} and {included.shape}"
        )
    if not np.isfinite(scores).all():
        raise ConfigError("canaries must have finite scores")
    m = len(scores)
    order = np.lexsort((rng.permutation(m), scores))
    error = (1 - confidence) / len(FRACTIONS)
    runs = []
    for fraction in FRACTIONS:
        each_side = int(fraction * m) // 2
        low, high = order[:each_side], order[m - each_side :]
        correct = int((~included[low]).sum() + included[high].sum())
        guesses = 2 * each_side
        bound = one_run_epsilon(m, guesses, correct, delta, 1 - error)
        runs.append(OneRun(m, guesses, correct, delta, confidence, bound))
    return max(runs, key=lambda run: (run.lower_bound, run.guesses))


def membership_auc(members: Floats, nonmembers: Floats, confidence: float = 0.95) -> MembershipAuc:
    """Area under the ROC curve of membership scores, ties counted half, with its interval.

    The interval inverts the score test with the variance of [HM82] ([N06] method 5): it stays
    honest when the classes are perfectly separated, where other intervals shrink to a point.

    Args:
      members: (n,) scores of records that were trained on; higher means "member".
      nonmembers: (m,) scores of records that were not.
      confidence: of the two-sided interval.

    Raises:
      ConfigError: an empty or non-finite array, or `confidence` out of range.
    """
    _check.open_unit(confidence=confidence)
    both = np.concatenate([members, nonmembers])
    n, m = len(members), len(nonmembers)
    if not (n and m and np.isfinite(both).all()):
        raise ConfigError(f"membership needs finite scores of both kinds, got {n} and {m}")
    auc = float((stats.rankdata(both)[:n].sum() - n * (n + 1) / 2) / (n * m))
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    extra = (n + m) / 2 - 1

    def deviation(theta: float) -> float:
        spread = 1 + extra * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return z * math.sqrt(theta * (1 - theta) * spread / (n * m))

    # At 0 and 1 the spread vanishes, which would be a root too: start just inside of them.
    inside = min(max(auc, 1e-12), 1 - 1e-12)
    low = 0.0 if auc == 0 else optimize.brentq(lambda t: t + deviation(t) - auc, 0.0, inside)
    high = 1.0 if auc == 1 else optimize.brentq(lambda t: t - deviation(t) - auc, inside, 1.0)
    return MembershipAuc(auc, float(low), float(high), confidence)

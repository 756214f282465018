"""Data-dependent privacy bounds of the PATE papers, as pure functions of votes and noise.

[P17] Papernot et al., Semi-supervised Knowledge Transfer for Deep Learning from Private Training
  Data, ICLR 2017, arXiv:1610.05755.
[P18] Papernot et al., Scalable Private Learning with PATE, ICLR 2018, arXiv:1802.08908.

q bounds the probability that noise changes the winner; gamma = 1/scale is [P17]'s inverse noise,
sigma [P18]'s; orders are Rényi orders > 1, whole or not, moments l = order - 1. Logs are natural.
Results are (n_queries, n_orders) Rényi divergences.

NOT RELEASABLE: every number here looks at the votes, so it is itself private; it serves study,
tests, and comparison with the papers. What the ledger charges comes from `Mechanism.event`; what
may be published comes from that or from `fedpate.privacy.sanitize`. These bounds hold for the
divergence from the votes at hand to their neighbours, not for the reverse direction, which can be
larger: `fedpate.privacy.exact` computes both.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy import special

from fedpate.privacy.log_moments import as_orders
from fedpate.privacy.theorem6 import log_sum, theorem_6, theorem_6_applies
from fedpate.records import Floats, Ints

_ROWS = 128  # of a matrix, worked on while they are in the cache


def _union_bound(counts: Ints, log_beats: Floats) -> Floats:
    """log of the sum over the losers of Pr[loser beats winner], at most 1 - 1/m.

    Args:
      counts: (n_queries, n_classes).
      log_beats: (largest count + 1,) log probability by the gap; log(1/2) for a gap of 0.
    """
    n_classes = counts.shape[1]
    if n_classes == 1:
        return np.full(len(counts), -np.inf)  # the only class always wins
    gaps = counts.max(axis=1, keepdims=True) - counts
    beats = np.exp(log_beats)
    beats[0] = 0.0  # the winner does not beat itself; who ties with it is added
    total = beats[gaps] @ np.ones(n_classes)
    total += ((gaps == 0) @ np.ones(n_classes) - 1) / 2
    with np.errstate(divide="ignore"):
        log_q = np.log(total)
    tiny = total < 1e-290
    if tiny.any():
        logs = np.append(-np.inf, log_beats[1:])
        log_q[tiny] = special.logsumexp(logs[gaps[tiny]], axis=1)
    return np.asarray(np.minimum(log_q, math.log1p(-1 / n_classes)))


def _gaps(counts: Ints) -> Floats:
    """All gaps that two classes can have."""
    return np.arange(counts.max() + 1, dtype=np.float64)


# --- PATE 2017: Laplace noise -----------------------------------------------------------------


def lnmax_log_q(counts: Ints, scale: float) -> Floats:
    """Upper bound on log Pr[noisy winner is not the winner] for Laplace noise ([P17] Lemma 4).

    Args:
      counts: (n_queries, n_classes) votes; all classes count, also those without a vote.
      scale: of the Laplace noise, in votes.

    Returns:
      (n_queries,) logs, at most log(1 - 1/n_classes).
    """
    gaps = _gaps(counts) / scale
    return _union_bound(counts, np.log(2 + gaps) - math.log(4) - gaps)


def lnmax_moments(log_q: Floats, epsilon: float, moments: npt.ArrayLike) -> Floats:
    """Log moments alpha(l) of an epsilon-DP step ([P17] Theorems 2 and 3, and epsilon l).

    Theorem 3 needs q < 1/(e^epsilon + 1); [P17]'s own code asked for q < 1/2, which is wrong once
    epsilon > 0 is not small (few teachers).

    Args:
      log_q: (n_queries,).
      epsilon: of one step under pure DP: 2 gamma for the Laplace mechanism of [P17].
      moments: (n_moments,) numbers l > 0.

    Returns:
      (n_queries, n_moments).
    """
    l_ = np.atleast_1d(np.asarray(moments, dtype=np.float64))
    result = np.empty((len(log_q), len(l_)))
    result[:] = np.minimum(epsilon * epsilon / 2 * l_ * (l_ + 1), epsilon * l_)
    rows = log_q < -np.logaddexp(0, epsilon)
    log_p = np.log1p(-np.exp(log_q[rows]))
    per_step = log_p - np.log(-np.expm1(log_q[rows] + epsilon))  # log of (1-q)/(1-e^epsilon q)
    stay = np.column_stack([log_p, per_step])
    leave = np.column_stack([log_q[rows], np.full(len(log_p), epsilon)])
    result[rows] = np.minimum(result[rows], log_sum(stay, leave, l_))
    return result


def lnmax_rdp(counts: Ints, scale: float, orders: npt.ArrayLike) -> Floats:
    """Rényi divergence of LNMax: alpha(order - 1)/(order - 1), epsilon = 2/scale. Not releasable.

    [P17]'s conversion to epsilon (Theorem 1) is the classic conversion of these.
    """
    alpha = as_orders(orders)
    return lnmax_moments(lnmax_log_q(counts, scale), 2 / scale, alpha - 1) / (alpha - 1)


# --- PATE 2018: Gaussian noise ----------------------------------------------------------------


def gnmax_log_q(counts: Ints, sigma: float) -> Floats:
    """Upper bound on log Pr[noisy winner is not the winner] for Gaussian noise ([P18] Prop. 7).

    Returns:
      (n_queries,) logs, at most log(1 - 1/n_classes).
    """
    return _union_bound(counts, special.log_ndtr(-_gaps(counts) / (math.sqrt(2) * sigma)))


def gnmax_rdp_independent(sigma: float, orders: npt.ArrayLike) -> Floats:
    """[P18] Prop. 8: order / sigma^2, whatever the votes; (n_orders,)."""
    return as_orders(orders) / (sigma * sigma)


def gnmax_rdp(log_q: Floats, sigma: float, orders: npt.ArrayLike) -> Floats:
    """[P18] Theorem 6 with mu_1, mu_2 of Prop. 10, or Prop. 8 where it is smaller or alone valid.

    Args:
      log_q: (n_queries,) upper bounds on the log probability of another winner; -inf means never.
      sigma: standard deviation of the noise, in votes.
      orders: (n_orders,).

    Returns:
      (n_queries, n_orders). Not releasable.
    """
    alpha = as_orders(orders)
    independent = alpha / (sigma * sigma)
    applies = theorem_6_applies(log_q, sigma)
    if not applies.any():
        result = np.tile(independent, (len(log_q), 1))
    else:
        usable = np.where(applies, log_q, log_q[applies.argmax()])
        result = theorem_6(usable, sigma, alpha, independent)
        result[~applies] = independent
    result[np.isneginf(log_q)] = 0.0
    return result


# --- PATE 2018: Confident and Interactive GNMax -----------------------------------------------


def threshold_log_pr(statistic: npt.ArrayLike, threshold: float, sigma_1: float) -> Floats:
    """log Pr[statistic + N(0, sigma_1^2) >= threshold]: [P18] Algorithms 1 and 2, first step."""
    return np.asarray(special.log_ndtr((np.asarray(statistic) - threshold) / sigma_1))


def threshold_rdp(
    statistic: npt.ArrayLike, threshold: float, sigma_1: float, orders: npt.ArrayLike
) -> Floats:
    """[P18] Theorem 6 for the threshold bit: a vote moves it by 1, so sigma is sqrt(2) sigma_1.

    q is the probability of the less likely bit.
    """
    distances = np.abs(np.atleast_1d(np.asarray(statistic, dtype=np.float64)) - threshold)
    return gnmax_rdp(special.log_ndtr(-distances / sigma_1), math.sqrt(2) * sigma_1, orders)


def confident_rdp(
    counts: Ints,
    statistic: npt.ArrayLike,
    threshold: float,
    sigma_1: float,
    sigma_2: float,
    orders: npt.ArrayLike,
    answered: npt.NDArray[np.bool_] | None = None,
) -> Floats:
    """Threshold and answer together: [P18] Algorithm 1, and 2 with its own statistic.

    Args:
      counts: (n_queries, n_classes) votes.
      statistic: (n_queries,) what is compared with the threshold: the largest count for Confident,
        `interactive_statistic` for Interactive.
      threshold: in votes.
      sigma_1: noise of the threshold test, in votes.
      sigma_2: noise of the answer, in votes.
      orders: (n_orders,).
      answered: (n_queries,) the realised, public outcome of the test; None takes the expectation
        over it, as [P18]'s tables do.

    Returns:
      (n_queries, n_orders): test + Pr[answered] (or 1, or 0) times answer. Not releasable.
    """
    if answered is None:
        weight = np.exp(threshold_log_pr(statistic, threshold, sigma_1))
    else:
        weight = answered.astype(np.float64)
    result = gnmax_rdp(gnmax_log_q(counts, sigma_2), sigma_2, orders)
    different, index = np.unique(statistic, return_inverse=True)
    test = threshold_rdp(different, threshold, sigma_1, orders)
    for start in range(0, len(result), _ROWS):  # both steps while the rows are in the cache
        part = slice(start, start + _ROWS)
        result[part] *= weight[part, None]
        result[part] += test[index[part]]
    return result


def interactive_statistic(counts: Ints, student: Floats) -> Floats:
    """max_j (n_j - M p_j) of [P18] Algorithm 2: (n_queries,) votes by which teachers object.

    Args:
      counts: (n_queries, n_classes), rows sum to M.
      student: (n_queries, n_classes) the student's public predictions p, rows sum to 1.
    """
    teachers = counts.sum(axis=1, keepdims=True)
    return np.asarray((counts - teachers * student).max(axis=1))

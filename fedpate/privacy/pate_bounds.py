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
from fedpate.records import Floats, Ints

_CELLS = 1 << 14  # of one block of (queries x orders) work: a handful of them fit the L2 cache
_OVERFLOW = 700.0  # exp of less than this is finite


def _union_bound(counts: Ints, log_beats: Floats) -> Floats:
    """log of the sum over the losers of exp(log_beats[gap to the winner]), at most 1 - 1/m."""
    n_classes = counts.shape[1]
    if n_classes == 1:
        return np.full(len(counts), -np.inf)  # the only class always wins
    gaps = counts.max(axis=1, keepdims=True) - counts
    # the winner does not beat itself: it gets the last entry of the table
    np.put_along_axis(gaps, counts.argmax(axis=1)[:, None], len(log_beats) - 1, axis=1)
    total = np.exp(log_beats)[gaps].sum(axis=1)
    tiny = total < 1e-290
    with np.errstate(divide="ignore"):
        log_q = np.log(total)
    log_q[tiny] = special.logsumexp(log_beats[gaps[tiny]], axis=1)
    return np.asarray(np.minimum(log_q, math.log1p(-1 / n_classes)))


def _gap_table(counts: Ints) -> Floats:
    """All gaps that two classes can have, as float64, and one infinite gap at the end."""
    return np.append(np.arange(counts.max() + 1, dtype=np.float64), np.inf)


# --- PATE 2017: Laplace noise -----------------------------------------------------------------


def lnmax_log_q(counts: Ints, scale: float) -> Floats:
    """Upper bound on log Pr[noisy winner is not the winner] for Laplace noise ([P17] Lemma 4).

    Args:
      counts: (n_queries, n_classes) votes; all classes count, also those without a vote.
      scale: of the Laplace noise, in votes.

    Returns:
      (n_queries,) logs, at most log(1 - 1/n_classes).
    """
    gaps = _gap_table(counts)[:-1] / scale
    return _union_bound(counts, np.append(np.log(2 + gaps) - math.log(4) - gaps, -np.inf))


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
    leave = log_q[rows], np.full(len(log_p), epsilon)
    result[rows] = np.minimum(result[rows], _log_sum((log_p, per_step), leave, l_))
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
    return _union_bound(counts, special.log_ndtr(-_gap_table(counts) / (math.sqrt(2) * sigma)))


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
    result = np.empty((len(log_q), len(alpha)))
    result[:] = alpha / (sigma * sigma)
    result[np.isneginf(log_q)] = 0.0
    rows = np.flatnonzero(theorem_6_applies(log_q, sigma))
    block = max(1, _CELLS // len(alpha))
    for start in range(0, len(rows), block):
        part = rows[start : start + block]
        bound = theorem_6(log_q[part], sigma, alpha)
        result[part] = np.minimum(result[part], bound, out=bound)
    return result


def theorem_6_applies(log_q: Floats, sigma: float) -> npt.NDArray[np.bool_]:
    """Where q is small enough for [P18] Theorem 6, whatever the order: (n_queries,).

    With mu_1, mu_2 of Prop. 10: mu_2 > 1, the bound increases in q, and A is positive.
    """
    mu_2 = sigma * np.sqrt(-log_q)
    good = (mu_2 > 1) & np.isfinite(log_q)
    mu = np.where(good, mu_2, 2.0)
    epsilon_2 = mu / (sigma * sigma)
    increasing = log_q <= (mu - 1) * epsilon_2 - mu * (np.log1p(1 / mu) + np.log1p(1 / (mu - 1)))
    return np.asarray(good & increasing & (-log_q > epsilon_2))


def theorem_6(log_q: Floats, sigma: float, alpha: Floats) -> Floats:
    """The bound of [P18] Theorem 6 for q that it applies to; infinite for orders >= mu_1.

    Returns:
      (n_queries, n_orders). Not releasable.
    """
    mu_2 = sigma * np.sqrt(-log_q)
    mu_1 = mu_2 + 1
    log_p = np.log1p(-np.exp(log_q))
    inner = (log_q + mu_2 / (sigma * sigma)) * (1 - 1 / mu_2)
    log_a = log_p - np.log(-np.expm1(inner))
    log_b = mu_1 / (sigma * sigma) - log_q / mu_2
    steps = alpha - 1
    bound = _log_sum((log_p, log_a), (log_q, log_b), steps)
    bound /= steps
    if mu_1.min(initial=np.inf) <= alpha.max():
        np.copyto(bound, np.inf, where=alpha >= mu_1[:, None])
    return bound


def _log_sum(stay: tuple[Floats, Floats], leave: tuple[Floats, Floats], steps: Floats) -> Floats:
    """log(e^u + e^v) >= 0 for lines u, v = intercept + slope * steps, precise near 0.

    Args:
      stay: intercepts and slopes of u, each (n_queries,).
      leave: the same of v.
      steps: (n_steps,).

    Returns:
      (n_queries, n_steps).
    """
    u, v = (slope[:, None] * steps for _, slope in (stay, leave))
    u += stay[0][:, None]
    v += leave[0][:, None]
    ends = [steps.argmin(), steps.argmax()]
    if (u[:, ends] < _OVERFLOW).all() and (v[:, ends] < _OVERFLOW).all():
        np.expm1(u, out=u)  # in place: memory traffic is what this costs
        u += np.exp(v, out=v)
        return np.log1p(np.maximum(u, 0.0, out=u), out=u)
    return np.maximum(np.logaddexp(u, v), 0.0)


# --- PATE 2018: Confident and Interactive GNMax -----------------------------------------------


def threshold_log_pr(statistic: npt.ArrayLike, threshold: float, sigma_1: float) -> Floats:
    """log Pr[statistic + N(0, sigma_1^2) >= threshold]: [P18] Algorithms 1 and 2, first step."""
    return np.asarray(special.log_ndtr((np.asarray(statistic) - threshold) / sigma_1))


def threshold_rdp(
    statistic: npt.ArrayLike, threshold: float, sigma_1: float, orders: npt.ArrayLike
) -> Floats:
    """[P18] Theorem 6 for the threshold bit: a vote moves it by 1, so sigma is sqrt(2) sigma_1.

    q is the probability of the less likely bit. Equal statistics are computed once.
    """
    distances = np.abs(np.atleast_1d(np.asarray(statistic, dtype=np.float64)) - threshold)
    different, index = np.unique(distances, return_inverse=True)
    log_q = special.log_ndtr(-different / sigma_1)
    return gnmax_rdp(log_q, math.sqrt(2) * sigma_1, orders)[index]


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
    result *= weight[:, None]
    result += threshold_rdp(statistic, threshold, sigma_1, orders)
    return result


def interactive_statistic(counts: Ints, student: Floats) -> Floats:
    """max_j (n_j - M p_j) of [P18] Algorithm 2: (n_queries,) votes by which teachers object.

    Args:
      counts: (n_queries, n_classes), rows sum to M.
      student: (n_queries, n_classes) the student's public predictions p, rows sum to 1.
    """
    teachers = counts.sum(axis=1, keepdims=True)
    return np.asarray((counts - teachers * student).max(axis=1))

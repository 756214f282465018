"""[P18] Theorem 6: the Rényi divergence of a mechanism that almost always gives one answer.

[P18] Papernot et al., Scalable Private Learning with PATE, ICLR 2018, arXiv:1802.08908. q bounds
the probability of any other answer; mu_1 and mu_2 are those of Prop. 10, for Gaussian noise sigma.

NOT RELEASABLE: q looks at the votes.
"""

import numpy as np
import numpy.typing as npt

from fedpate.records import Floats

_CELLS = 1 << 14  # of one block of (queries x orders) work: a handful of them fit the L2 cache
_OVERFLOW = 700.0  # exp of less than this is finite


def theorem_6_applies(log_q: Floats, sigma: float) -> npt.NDArray[np.bool_]:
    """Where q is small enough for Theorem 6, whatever the order: (n_queries,).

    mu_2 > 1, the bound increases in q, and A is positive.
    """
    mu_2 = sigma * np.sqrt(-log_q)
    good = (mu_2 > 1) & np.isfinite(log_q)
    mu = np.where(good, mu_2, 2.0)
    epsilon_2 = mu / (sigma * sigma)
    increasing = log_q <= (mu - 1) * epsilon_2 - mu * (np.log1p(1 / mu) + np.log1p(1 / (mu - 1)))
    return np.asarray(good & increasing & (-log_q > epsilon_2))


def theorem_6(log_q: Floats, sigma: float, alpha: Floats, at_most: Floats) -> Floats:
    """The bound for q that Theorem 6 applies to, or `at_most` where that is smaller.

    Args:
      log_q: (n_queries,), finite, where `theorem_6_applies`.
      sigma: standard deviation of the noise, in votes.
      alpha: (n_orders,) numbers > 1; the theorem is silent on those >= mu_1.
      at_most: (n_orders,) what is known without it.

    Returns:
      (n_queries, n_orders).
    """
    mu_2 = sigma * np.sqrt(-log_q)
    mu_1 = mu_2 + 1
    log_p = np.log1p(-np.exp(log_q))
    inner = (log_q + mu_2 / (sigma * sigma)) * (1 - 1 / mu_2)
    log_a = log_p - np.log(-np.expm1(inner))
    log_b = mu_1 / (sigma * sigma) - log_q / mu_2
    stay, leave = np.column_stack([log_p, log_a]), np.column_stack([log_q, log_b])
    result = np.empty((len(log_q), len(alpha)))
    per_step = 1 / (alpha - 1)
    block = max(1, _CELLS // len(alpha))
    scratch = np.empty((2, min(block, len(log_q)), len(alpha)))  # reused: fresh memory is slow
    for start in range(0, len(log_q), block):
        part = slice(start, start + block)
        bound = log_sum(stay[part], leave[part], alpha - 1, scratch)
        bound *= per_step
        np.minimum(bound, at_most, out=result[part])
    silent = np.flatnonzero(mu_1 <= alpha.max(initial=0.0))
    result[silent] = np.where(alpha < mu_1[silent, None], result[silent], at_most)
    return result


def log_sum(stay: Floats, leave: Floats, steps: Floats, scratch: Floats | None = None) -> Floats:
    """log(e^u + e^v) >= 0 for lines u, v = intercept + slope * steps, precise near 0.

    Args:
      stay: (n_queries, 2) intercepts and slopes of u.
      leave: (n_queries, 2) the same of v.
      steps: (n_steps,).
      scratch: (2, at least n_queries, n_steps) to work in; the result may lie in it.

    Returns:
      (n_queries, n_steps).
    """
    if scratch is None:
        scratch = np.empty((2, len(stay), len(steps)))
    u, v = scratch[:, : len(stay)]
    if len(steps) > 4:  # a matrix product is one pass over memory
        powers = np.vstack([np.ones_like(steps), steps])
        np.matmul(stay, powers, out=u)
        np.matmul(leave, powers, out=v)
    else:
        np.add(stay[:, 1:] * steps, stay[:, :1], out=u)
        np.add(leave[:, 1:] * steps, leave[:, :1], out=v)
    ends = slice(None) if len(steps) == 1 else [steps.argmin(), steps.argmax()]
    if (u[:, ends] < _OVERFLOW).all() and (v[:, ends] < _OVERFLOW).all():
        np.expm1(u, out=u)
        u += np.exp(v, out=v)
        np.log1p(np.maximum(u, 0.0, out=u), out=u)
    else:
        np.maximum(np.logaddexp(u, v), 0.0, out=u)
    return np.asarray(u)

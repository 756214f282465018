"""The exact law of a Gaussian noisy arg max, and its divergences: an oracle for tests.

Independent of the package: one integral per distinct count, in log space, by the trapezoid rule,
which converges like exp(-2 (pi sigma / step)^2) on integrands like these.
"""

import numpy as np
from scipy import special


def log_law(counts, sigma):
    """(n_classes,) log probabilities of the arg max of counts + N(0, sigma^2)."""
    values, class_value, multiplicity = np.unique(
        np.asarray(counts, dtype=float), return_inverse=True, return_counts=True
    )
    low = (values[0] + values[-1]) / 2 - 10 * sigma  # where the least class would win
    x = np.arange(low, values[-1] + 12 * sigma, sigma / 12)
    z = (x[:, None] - values) / sigma
    below = special.log_ndtr(z)
    wins = -z * z / 2 + (below * multiplicity).sum(axis=1, keepdims=True) - below
    log_value = special.logsumexp(wins, axis=0) + np.log(1 / 12 / np.sqrt(2 * np.pi))
    return (log_value - special.logsumexp(log_value, b=multiplicity))[class_value]


def divergences(log_p, log_q, orders):
    """(n_orders,) Rényi divergences of p from q."""
    alpha = np.asarray(orders)[:, None]
    p, q, loss = np.exp(log_p), np.exp(log_q), log_p - log_q
    with np.errstate(all="ignore"):
        # sum over outcomes of q F(p/q), F(r) = r^a - 1 - a (r - 1): no cancellation for close laws
        close = q * (np.expm1(alpha * loss) - alpha * np.expm1(loss))
        far = np.exp(alpha * log_p + (1 - alpha) * log_q) - q - alpha * (p - q)
        terms = np.where(np.abs(alpha * loss) < 30, close, far)
        moments = np.log1p(terms.sum(axis=1))
    large = special.logsumexp(alpha * log_p + (1 - alpha) * log_q, axis=1)
    return np.where(large > 1, large, moments) / (np.asarray(orders) - 1)

"""Rényi divergence bounds of the simple pieces: each a supremum in closed form, over all orders.

[M17] Mironov, arXiv:1702.07476, Props. 5 and 6. [DDR20] Dong, Durfee, Rogers, Optimal DP
composition for exponential mechanisms, ICML 2020, arXiv:1909.13830. [CR21] Cesar, Rogers,
arXiv:2004.07223.

`orders` are (n_orders,) numbers > 1; results are (n_orders,), rounded up. Derivations are in
docs/proof-argmax-only.md, sections 10 and 11.
"""

import numpy as np

from fedpate.records import Floats

_ROUND_UP = 1 + 1e-9
_ABSOLUTE = 1e-14  # float64 error of a logarithm near 0; divided by order - 1 with it


@np.errstate(over="ignore")
def gaussian(mu: float, orders: Floats) -> Floats:
    """order mu^2 / 2: the Gaussian mechanism, mu = L2 sensitivity / standard deviation."""
    return np.asarray(orders * (mu * mu / 2) * _ROUND_UP)


@np.errstate(over="ignore", invalid="ignore")
def pure(epsilon: float, orders: Floats) -> Floats:
    """Pure epsilon-DP: the worst case is randomized response on one bit ([M17] Prop. 5)."""
    # sum of the two outcomes: (e^(a eps) + e^((1-a) eps)) / (1 + e^eps)
    log_moment = np.logaddexp(orders * epsilon, (1 - orders) * epsilon) - np.logaddexp(0, epsilon)
    caps = np.minimum(epsilon, epsilon * epsilon / 2 * orders)
    return _rounded_up(log_moment, orders, caps)


@np.errstate(over="ignore", invalid="ignore")
def laplace(shift: float, orders: Floats) -> Floats:
    """One Laplace coordinate moved by `shift` scales ([M17] Prop. 6)."""
    # log((a e^((a-1)t) + (a-1) e^(-at)) / (2a-1))
    log_moment = np.logaddexp(
        np.log(orders / (2 * orders - 1)) + (orders - 1) * shift,
        np.log((orders - 1) / (2 * orders - 1)) - orders * shift,
    )
    caps = np.minimum(shift, shift * shift / 2 * orders)
    return _rounded_up(log_moment, orders, caps)


@np.errstate(over="ignore", invalid="ignore")
def bounded_range(eta: float, orders: Floats) -> Floats:
    """Log-likelihood ratios within an interval of length eta ([DDR20]); at most order eta^2 / 8.

    The worst case has the two losses t and t - eta; the best t for the attacker solves
    e^t = (a-1)(1 - e^(-a eta)) / (a (e^(-eta) - e^(-a eta))), and the moment there is
    e^((a-1)t) (1 - e^(-a eta)) / (a (1 - e^(-eta))).
    """
    if eta == 0:
        return np.zeros_like(orders)
    spread = -np.expm1(-orders * eta)
    log_t = np.log1p(-1 / orders) + np.log(spread)
    log_t += eta - np.log(-np.expm1((1 - orders) * eta))
    log_moment = (orders - 1) * log_t + np.log(spread) - np.log(orders * -np.expm1(-eta))
    caps = np.minimum(eta, eta * eta / 8 * orders)
    return _rounded_up(log_moment, orders, caps)


def _rounded_up(log_moment: Floats, orders: Floats, caps: Floats) -> Floats:
    value = np.maximum(log_moment, 0.0) * _ROUND_UP + _ABSOLUTE * (1 + orders)
    return np.asarray(np.fmin(value / (orders - 1), caps * _ROUND_UP))  # NaN: beyond float64

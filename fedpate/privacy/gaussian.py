"""The Gaussian mechanism in closed form, for any number of releases.

[BW18] Balle, Wang, Improving the Gaussian Mechanism, ICML 2018, arXiv:1805.06530, Theorem 8.
[DRS22] Dong, Roth, Su, Gaussian Differential Privacy, JRSS B 2022, arXiv:1905.02383, Cor. 1:
  releases with mu_1, mu_2, ... compose, also adaptively, to sqrt(mu_1^2 + mu_2^2 + ...).

mu is the L2 sensitivity over the standard deviation. delta(epsilon) is exact, not a bound.
"""

import math

from scipy import optimize, special

_ROUND_UP = 1e-9  # relative; far above the float64 error of `delta` and of the root finder


def delta(mu: float, epsilon: float) -> float:
    """The exact delta: Phi(-x) - e^epsilon Phi(-x - mu), with x = epsilon/mu - mu/2.

    As phi(x) = e^epsilon phi(x + mu), the second term is phi(x) m(x + mu) with Mills' ratio m, and
    for x > 0 the first is phi(x) m(x): no overflow, and no cancellation for a small delta.
    """
    if mu == 0:
        return 0.0
    if math.isinf(mu):
        return 0.0 if math.isinf(epsilon) else 1.0
    x = epsilon / mu - mu / 2
    if x > 38:  # phi underflows
        return 0.0
    # phi(x) m(y) = exp(-x^2/2) erfcx(y/sqrt2) / 2
    density, root2 = math.exp(-x * x / 2) / 2, math.sqrt(2)
    first = special.ndtr(-x) if x < 0 else density * special.erfcx(x / root2)
    return max(0.0, float(first - density * special.erfcx((x + mu) / root2)))


def epsilon(mu: float, delta_: float) -> float:
    """The least epsilon >= 0 with `delta(mu, epsilon) <= delta_`, rounded up by 1e-9 relative.

    Args:
      mu: >= 0; infinite or too large to square gives infinity.
      delta_: in (0, 1).
    """
    if mu == 0 or delta(mu, 0.0) <= delta_:
        return 0.0
    # delta(epsilon) <= Phi(mu/2 - epsilon/mu), so the root lies left of this
    high = mu * mu / 2 - mu * float(special.ndtri(delta_)) if delta_ < 0.5 else mu * mu / 2
    if math.isinf(high):
        return math.inf
    root: float = optimize.brentq(
        lambda value: delta(mu, value) - delta_, 0.0, high * (1 + _ROUND_UP), xtol=1e-300
    )
    while delta(mu, root * (1 + _ROUND_UP)) > delta_:  # brentq may stop on the wrong side
        root *= 1 + _ROUND_UP
    return root * (1 + _ROUND_UP)

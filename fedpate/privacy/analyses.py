"""Which data-dependent analysis belongs to which mechanism, over one grid of orders.

NOT RELEASABLE: every divergence here looks at the votes.
"""

from dataclasses import dataclass

import numpy as np

from fedpate.errors import ConfigError
from fedpate.privacy._mechanics import required
from fedpate.privacy.exact import ThresholdTest, exact_rdp
from fedpate.privacy.exact_laws import (
    GaussianLaw,
    GumbelLaw,
    LaplaceLaw,
    NoisyMaxLaw,
    PermuteAndFlipLaw,
)
from fedpate.privacy.mechanism import Mechanism
from fedpate.privacy.mechanisms import (
    ConfidentMax,
    GaussianMax,
    GumbelMax,
    InteractiveMax,
    LaplaceMax,
    PermuteAndFlip,
)
from fedpate.privacy.pate_bounds import (
    confident_rdp,
    gnmax_log_q,
    gnmax_rdp,
    lnmax_rdp,
    threshold_log_pr,
)
from fedpate.privacy.rdp import ORDERS as GUARANTEE_ORDERS
from fedpate.privacy.threshold_mechanisms import EXPECTED_STEP
from fedpate.records import Floats, Ints

# finer where the published settings have their best orders
ORDERS: Floats = np.union1d(GUARANTEE_ORDERS, np.arange(2, 32.5, 0.5))
ORDERS.setflags(write=False)


@dataclass(frozen=True, eq=False)
class Divergences:
    """One analysis: (n_queries, n_orders) at `ORDERS`, or why there is none, in words."""

    rdp: Floats | None
    reason: str | None = None


def tested(
    counts: Ints, mechanism: Mechanism, student: Floats | None
) -> tuple[ThresholdTest, Floats] | None:
    """The threshold test of a mechanism and what it looks at; None where every query is answered.

    Args:
      counts: (n_queries, n_classes).
      mechanism: any.
      student: (n_queries, n_classes) predictions for `InteractiveMax`; None is one that knows
        nothing, all classes equally likely.

    Returns:
      The test, and (n_queries, n_classes) scores of which it takes the largest.
    """
    if not isinstance(mechanism, ConfidentMax | InteractiveMax):
        return None
    test = ThresholdTest(
        required(**{"mechanism.threshold": mechanism.threshold}),
        required(**{"mechanism.threshold_noise_scale": mechanism.threshold_noise_scale}),
    )
    if isinstance(mechanism, ConfidentMax):
        return test, counts.astype(np.float64)
    predicted = np.full(counts.shape, 1 / counts.shape[1]) if student is None else student
    if predicted.shape != counts.shape:
        raise ConfigError(f"student must have shape {counts.shape}, got {predicted.shape}")
    votes = np.rint(counts[0].sum() * predicted / EXPECTED_STEP) * EXPECTED_STEP
    return test, counts - votes


def log_pr_answered(counts: Ints, mechanism: Mechanism, student: Floats | None = None) -> Floats:
    """(n_queries,) log probability that each query passes the threshold test. Not releasable."""
    found = tested(counts, mechanism, student)
    if found is None:
        return np.zeros(len(counts))
    test, scores = found
    return threshold_log_pr(scores.max(axis=1), test.threshold, test.scale)


def published(
    counts: Ints, mechanism: Mechanism, votes_moved: int = 1, student: Floats | None = None
) -> Divergences:
    """The analysis of the paper that the mechanism is from, in expectation over the test."""
    if votes_moved > 1:
        return Divergences(None, f"published analyses move one vote, not {votes_moved}")
    if isinstance(mechanism, LaplaceMax):
        return Divergences(lnmax_rdp(counts, _scale(mechanism), ORDERS))
    if isinstance(mechanism, GaussianMax):
        scale = _scale(mechanism)
        return Divergences(gnmax_rdp(gnmax_log_q(counts, scale), scale, ORDERS))
    found = tested(counts, mechanism, student)
    if found is not None:
        test, scores = found
        largest, scale = scores.max(axis=1), _scale(mechanism)
        return Divergences(
            confident_rdp(counts, largest, test.threshold, test.scale, scale, ORDERS)
        )
    return Divergences(None, f"no published analysis of {mechanism.name} looks at the votes")


def exact(
    counts: Ints, mechanism: Mechanism, votes_moved: int = 1, student: Floats | None = None
) -> Divergences:
    """The exact divergence, both directions, all neighbours (`fedpate.privacy.exact`)."""
    law = _law(mechanism)
    if law is None:
        return Divergences(None, f"the exact law of {mechanism.name} is not computed")
    if votes_moved > 1 and counts.shape[1] > 2:
        return Divergences(
            None, f"{votes_moved} votes of {counts.shape[1]} classes move in too many ways"
        )
    found = tested(counts, mechanism, student)
    test, scores = (None, None) if found is None else found
    if isinstance(mechanism, ConfidentMax):
        scores = None  # the counts themselves, so that equal histograms merge
    try:
        return Divergences(
            exact_rdp(counts, law, ORDERS, test=test, scores=scores, votes_moved=votes_moved)
        )
    except ConfigError as error:
        return Divergences(None, str(error))


def _scale(mechanism: Mechanism) -> float:
    return required(**{"mechanism.noise_scale": mechanism.noise_scale})


def _law(mechanism: Mechanism) -> NoisyMaxLaw | None:
    if isinstance(mechanism, GaussianMax | ConfidentMax | InteractiveMax):
        return GaussianLaw(_scale(mechanism))
    if isinstance(mechanism, LaplaceMax):
        return LaplaceLaw(_scale(mechanism))
    if isinstance(mechanism, GumbelMax):
        return GumbelLaw(_scale(mechanism))
    if isinstance(mechanism, PermuteAndFlip):
        return PermuteAndFlipLaw(_scale(mechanism))
    return None

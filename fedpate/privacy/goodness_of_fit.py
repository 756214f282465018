"""Does a mechanism draw the noise that it states? Its labels against its exact law.

A chi-square test on the votes where the law is most sensitive to the scale: with 10^5 labels it
refutes an error of 5 % in the noise, which an epsilon measured from samples would not show.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy import special, stats

from fedpate.privacy._mechanics import required
from fedpate.privacy.entropy import Entropy
from fedpate.privacy.exact_laws import (
    GaussianLaw,
    GumbelLaw,
    LaplaceLaw,
    NoisyMaxLaw,
    PermuteAndFlipLaw,
    log_law,
)
from fedpate.privacy.mechanism import Mechanism
from fedpate.privacy.mechanisms import (
    ConfidentMax,
    GaussianMax,
    GumbelMax,
    InteractiveMax,
    LaplaceMax,
    PermuteAndFlip,
    RandomizedResponse,
)
from fedpate.privacy.threshold_mechanisms import disagreement
from fedpate.records import NO_ANSWER, Floats, Ints, Votes

BLOCK_QUERIES = 1 << 17  # released at once
FEWEST_EXPECTED = 5  # outcomes expected less often are merged, or chi-square is not its own law

_NOISY_MAX: dict[type[Mechanism], Callable[[float], NoisyMaxLaw]] = {
    LaplaceMax: LaplaceLaw,
    GaussianMax: GaussianLaw,
    GumbelMax: GumbelLaw,
    PermuteAndFlip: PermuteAndFlipLaw,
}


def equal_votes(votes: Ints, n: int) -> Votes:
    """`n` queries with the same (n_classes,) histogram."""
    return Votes(np.arange(n), np.broadcast_to(votes, (n, len(votes))), int(votes.sum()))


def outcome_counts(mechanism: Mechanism, votes: Ints, n: int, entropy: Entropy) -> Ints:
    """(1 + n_classes,) how often `n` releases give no answer, class 0, class 1, ..."""
    counts = np.zeros(1 + len(votes), dtype=np.int64)
    for start in range(0, n, BLOCK_QUERIES):
        block = equal_votes(votes, min(BLOCK_QUERIES, n - start))
        labels = mechanism.release(block, entropy).labels
        counts += np.bincount(labels - NO_ANSWER, minlength=len(counts))
    return counts


def exact_law(mechanism: Mechanism, votes: Ints) -> Floats | None:
    """(1 + n_classes,) probabilities of no answer, class 0, class 1, ... for one histogram.

    Returns:
      None where no closed form or quadrature is at hand: unknown mechanisms, and randomized
      response on more than one vote.
    """
    for kind, law in _NOISY_MAX.items():
        if isinstance(mechanism, kind):
            scale = required(**{"mechanism.noise_scale": mechanism.noise_scale})
            return np.append(0.0, np.exp(log_law(law(scale), votes[None])[0]))
    if isinstance(mechanism, ConfidentMax | InteractiveMax):
        return _gated_law(mechanism, votes)
    if isinstance(mechanism, RandomizedResponse) and votes.sum() == 1:
        flip = required(**{"mechanism.flip_probability": mechanism.flip_probability})
        return np.append(0.0, (1 - flip) * votes + flip / len(votes))
    return None


def _gated_law(mechanism: ConfidentMax | InteractiveMax, votes: Ints) -> Floats:
    statistic, fallback = float(votes.max()), 0
    if isinstance(mechanism, InteractiveMax):  # with a student that knows nothing yet
        student = np.full((1, len(votes)), 1 / len(votes))
        statistic = float(disagreement(equal_votes(votes, 1), student)[0])
        sure = 1 / len(votes) > required(**{"mechanism.confidence": mechanism.confidence})
        fallback = int(sure)
    threshold = required(**{"mechanism.threshold": mechanism.threshold})
    bit = required(**{"mechanism.threshold_noise_scale": mechanism.threshold_noise_scale})
    noise = required(**{"mechanism.noise_scale": mechanism.noise_scale})
    answered = special.ndtr((statistic - threshold) / bit)
    law = np.append(0.0, answered * np.exp(log_law(GaussianLaw(noise), votes[None])[0]))
    law[fallback] += 1 - answered
    return law


def telling_votes(mechanism: Mechanism, n_classes: int, n_teachers: int) -> list[Ints]:
    """Histograms whose law depends most on the scales: leads of about one of them."""
    if isinstance(mechanism, RandomizedResponse):
        return [np.eye(n_classes, dtype=np.int64)[0]]
    scale = mechanism.noise_scale or 1.0
    histograms = [lead_of(n_classes, n_teachers, math.ceil(scale))]
    if isinstance(mechanism, ConfidentMax | InteractiveMax):
        histograms.append(near_threshold(mechanism, n_classes, n_teachers, 1.0))
    return histograms


def lead_of(n_classes: int, n_teachers: int, lead: int) -> Ints:
    """All votes on the first two classes, the first `lead` votes ahead, or as near as can be."""
    lead = min(lead, n_teachers)
    second = (n_teachers - lead) // 2
    return np.array([n_teachers - second, second] + [0] * (n_classes - 2), dtype=np.int64)


def near_threshold(
    mechanism: ConfidentMax | InteractiveMax, n_classes: int, n_teachers: int, above: float
) -> Ints:
    """A plurality `above` threshold noise scales over the threshold, the rest spread evenly."""
    threshold = required(**{"mechanism.threshold": mechanism.threshold})
    bit = required(**{"mechanism.threshold_noise_scale": mechanism.threshold_noise_scale})
    wanted = threshold + above * bit
    if isinstance(mechanism, InteractiveMax):
        wanted += n_teachers / n_classes
    lead = int(np.clip(round(wanted), -(-n_teachers // n_classes), n_teachers))
    each, more = divmod(n_teachers - lead, n_classes - 1)
    others = [each + (i < more) for i in range(n_classes - 1)]
    return np.array([lead, *others], dtype=np.int64)


def chi_square_p_value(observed: Ints, law: Floats) -> float:
    """Pearson's test of outcome counts against their probabilities, rare outcomes merged."""
    if observed[law == 0].any():
        return 0.0
    expected = law * observed.sum()
    order = np.argsort(expected)
    # Merge from the rarest up until the heap is large enough; then each other stands alone.
    heap = int(np.searchsorted(np.cumsum(expected[order]), FEWEST_EXPECTED)) + 1
    groups = [order[:heap], *order[heap:, None]]
    o = np.array([observed[group].sum() for group in groups])
    e = np.array([expected[group].sum() for group in groups])
    if len(groups) < 2:
        return 1.0
    return float(stats.chi2.sf(((o - e) ** 2 / e).sum(), len(groups) - 1))


def sampler_p_value(
    mechanism: Mechanism, n_classes: int, n_teachers: int, labels: int, entropy: Entropy
) -> float | None:
    """Chi-square p-value of `labels` released labels per histogram, Bonferroni over histograms.

    Returns:
      None for a mechanism whose exact law is not known here.
    """
    p_values = []
    for votes in telling_votes(mechanism, n_classes, n_teachers):
        law = exact_law(mechanism, votes)
        if law is None:
            return None
        p_values.append(chi_square_p_value(outcome_counts(mechanism, votes, labels, entropy), law))
    return min(1.0, len(p_values) * min(p_values))

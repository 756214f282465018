"""Audits: an empirical lower bound on epsilon beside the claimed upper bound.

A mechanism that draws less noise than its event says passes every test of its formulas. An audit
samples the real thing on neighbouring votes, picks an event on half of the samples, and bounds its
two probabilities on the other half: were the mechanism (epsilon, delta)-DP, then
    Pr[event | votes] <= e^epsilon Pr[event | neighbour] + delta.
A lower bound above the claim disproves the claim at the stated confidence; one below proves
nothing. Beside it, a chi-square test compares the labels with the exact law of the mechanism.

[CP34] Clopper, Pearson, The Use of Confidence or Fiducial Limits, Biometrika 26, 1934.
[JUO20] Jagielski, Ullman, Oprea, Auditing Differentially Private Machine Learning, NeurIPS 2020,
    arXiv:2006.07709.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from fedpate import _check
from fedpate.privacy.accounting import guarantee
from fedpate.privacy.canaries import MembershipAuc, OneRun, membership_auc, one_run_audit
from fedpate.privacy.entropy import Entropy
from fedpate.privacy.goodness_of_fit import equal_votes, lead_of, near_threshold, sampler_p_value
from fedpate.privacy.mechanism import Mechanism
from fedpate.privacy.mechanisms import ConfidentMax, InteractiveMax
from fedpate.records import NO_ANSWER, Floats, Ints

__all__ = [
    "Audit",
    "Finding",
    "MembershipAuc",
    "OneRun",
    "audit_mechanism",
    "clopper_pearson",
    "epsilon_lower_bound",
    "membership_auc",
    "one_run_audit",
    "worst_pairs",
]

WIDER_DELTAS = (1e-3, 1e-2, 1e-1)  # the claim holds at every delta; these show most in samples
WANTED_CLAIM = 2.0  # compose queries up to about this epsilon: larger ones need too many samples
MOST_CELLS = 3 * 10**8  # drawn in one audit: about half a minute
BLOCK_QUERIES = 1 << 17  # released at once
REFUTED = 1e-9  # a chi-square p-value below this is not chance


@dataclass(frozen=True)
class Finding:
    """Upper and lower bound on one epsilon, per patient and replace-one, at one delta."""

    delta: float
    claimed: float  # from the mechanism's event
    lower_bound: float  # from samples
    pair: str  # the votes and the direction where the lower bound was attained


@dataclass(frozen=True)
class Audit:
    """What an audit of one mechanism found; `confidence` covers all findings together."""

    mechanism: str
    confidence: float
    queries: int  # composed in one output
    trials: int  # outputs sampled from each histogram
    findings: tuple[Finding, ...]  # at the delta asked for, then at wider ones
    chi_square: float | None  # p-value of the released labels; None where no exact law is known

    @property
    def delta(self) -> float:
        """The delta asked for."""
        return self.findings[0].delta

    @property
    def claimed(self) -> float:
        """The claimed epsilon of `queries` queries, at `delta`."""
        return self.findings[0].claimed

    @property
    def lower_bound(self) -> float:
        """The measured lower bound on the same epsilon."""
        return self.findings[0].lower_bound

    @property
    def passed(self) -> bool:
        """Whether nothing refutes the claim."""
        fits = self.chi_square is None or self.chi_square > REFUTED
        return fits and all(found.lower_bound <= found.claimed for found in self.findings)


def clopper_pearson(successes: int, trials: int, error: float) -> tuple[float, float]:
    """Lower and upper bound on a probability, each wrong with probability <= `error` ([CP34])."""
    missed = trials - successes
    low = float(stats.beta.ppf(error, successes, missed + 1)) if successes else 0.0
    high = float(stats.beta.ppf(1 - error, successes + 1, missed)) if missed else 1.0
    return low, high


def epsilon_lower_bound(often: int, rarely: int, trials: int, delta: float, error: float) -> float:
    """Epsilon that must be exceeded, given how often one event happened on two neighbours.

    Args:
      often: times that the event happened in `trials` samples of the first neighbour.
      rarely: times in `trials` samples of the second.
      trials: samples of each; the event must have been chosen without them.
      delta: of the (epsilon, delta)-DP that is tested.
      error: probability that the bound is wrong.
    """
    low, _ = clopper_pearson(often, trials, error / 2)
    _, high = clopper_pearson(rarely, trials, error / 2)
    return max(0.0, math.log((low - delta) / high)) if low > delta else 0.0


def audit_mechanism(
    mechanism: Mechanism,
    delta: float,
    n_classes: int,
    n_teachers: int,
    trials: int,
    entropy: Entropy,
    confidence: float = 0.95,
    queries: int | None = None,
) -> Audit:
    """Sample `mechanism.release` on worst-case neighbours and compare with what its event claims.

    Several queries with the same votes make one output, because a claim at a small delta can be
    approached by composition only.

    Args:
      mechanism: fully set; its event makes the claim.
      delta: at which epsilon is reported; wider ones are tested too.
      n_classes: >= 2.
      n_teachers: >= 1.
      trials: outputs sampled from each histogram; half of them choose the event.
      entropy: what the mechanism draws from.
      confidence: that all lower bounds hold.
      queries: composed in one output; None composes up to an epsilon of about `WANTED_CLAIM`.

    Raises:
      ConfigError: a number out of range.
    """
    _check.open_unit(**{"privacy.delta": delta, "confidence": confidence})
    _check.at_least(2, classes=n_classes)
    _check.at_least(1, teachers=n_teachers)
    _check.at_least(20, trials=trials)
    pairs = worst_pairs(mechanism, n_classes, n_teachers)
    if queries is None:
        queries = _queries_to_compose(mechanism, delta, n_classes, 2 * len(pairs) * trials)
    deltas = (delta, *(wider for wider in WIDER_DELTAS if wider > delta))
    error = (1 - confidence) / (2 * len(pairs) * len(deltas))  # Bonferroni
    best = dict.fromkeys(deltas, (0.0, "none"))
    for name, votes, neighbour in pairs:
        first = _outcomes(mechanism, votes, queries, trials, entropy)
        second = _outcomes(mechanism, neighbour, queries, trials, entropy)
        for one, other, way in ((first, second, "forwards"), (second, first, "backwards")):
            scores = _scores(one, other)
            for wider in deltas:
                found = _bound(*scores, wider, error), f"{name}, {way}"
                best[wider] = max(best[wider], found)
    event = mechanism.event(queries, 1, n_classes)
    return Audit(
        mechanism=mechanism.name,
        confidence=confidence,
        queries=queries,
        trials=trials,
        findings=tuple(
            Finding(wider, guarantee(event, wider).epsilon, *best[wider]) for wider in deltas
        ),
        chi_square=sampler_p_value(mechanism, n_classes, n_teachers, trials * queries, entropy),
    )


def worst_pairs(
    mechanism: Mechanism, n_classes: int, n_teachers: int
) -> list[tuple[str, Ints, Ints]]:
    """Neighbours on which one moved vote shows most: (name, votes, neighbour).

    A duel (the least certain label), unanimity (the rarest one), leads of one and two noise scales
    between them, and, for a mechanism with a threshold, a plurality right at it.
    """
    scale = mechanism.noise_scale or 1.0
    leads = sorted({1, math.ceil(scale), math.ceil(2 * scale), n_teachers})
    pairs = [
        (f"a lead of {lead}", lead_of(n_classes, n_teachers, lead))
        for lead in leads
        if lead <= n_teachers
    ]
    if isinstance(mechanism, ConfidentMax | InteractiveMax):
        at_threshold = near_threshold(mechanism, n_classes, n_teachers, 0.0)
        pairs.append(("at the threshold", at_threshold))
    move = np.zeros(n_classes, dtype=np.int64)
    move[:2] = -1, 1
    return [(name, votes, votes + move) for name, votes in pairs]


def _queries_to_compose(mechanism: Mechanism, delta: float, n_classes: int, outputs: int) -> int:
    queries = 1
    while (
        guarantee(mechanism.event(queries, 1, n_classes), delta).epsilon < WANTED_CLAIM
        and 2 * queries * outputs * n_classes <= MOST_CELLS
    ):
        queries *= 2
    return queries


def _outcomes(
    mechanism: Mechanism, votes: Ints, queries: int, trials: int, entropy: Entropy
) -> Ints:
    """(trials, 1 + n_classes) how often an output holds no answer, class 0, class 1, ..."""
    width, step = 1 + len(votes), max(1, BLOCK_QUERIES // queries)
    blocks = []
    for start in range(0, trials, step):
        size = min(step, trials - start)
        labels = mechanism.release(equal_votes(votes, size * queries), entropy).labels
        cells = np.repeat(np.arange(size) * width, queries) + labels - NO_ANSWER
        blocks.append(np.bincount(cells, minlength=size * width).reshape(size, width))
    return np.concatenate(blocks)


def _scores(one: Ints, other: Ints) -> tuple[Floats, Floats]:
    """Log-likelihood ratio of each output, with the ratio of one label from the first half."""
    half = len(one) // 2
    seen = [sample[:half].sum(axis=0) + 0.5 for sample in (one, other)]
    ratio = np.log(seen[0] / seen[1])
    return one @ ratio, other @ ratio


def _bound(one: Floats, other: Floats, delta: float, error: float) -> float:
    """Bound from the event [score >= threshold]; the first half of the samples chooses it."""
    half = len(one) // 2
    tails = np.concatenate([np.linspace(0, 1, 60), np.geomspace(1 / half, 0.1, 30)])
    pooled = np.concatenate([np.quantile(scores[:half], 1 - tails) for scores in (one, other)])

    def bound(threshold: float, rows: slice) -> float:
        often, rarely = (int((scores[rows] >= threshold).sum()) for scores in (one, other))
        return epsilon_lower_bound(often, rarely, len(one[rows]), delta, error)

    chosen = max(np.unique(pooled), key=lambda threshold: bound(threshold, slice(half)))
    return bound(chosen, slice(half, None))

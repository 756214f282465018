"""Audit a whole simulated run: canary patients in one training, and who can be told from outside.

A canary is a patient with the features of a public query and a wrong label. Each canary enters one
shard, or not, by its own fair coin; then teachers are trained, vote, and the mechanism releases
labels with the noise it really draws, and a student learns from them. The attacker sees the
released labels and the student, guesses the coins, and the number of right guesses bounds from
below the epsilon that the run must have ([SNJ23], `fedpate.privacy.canaries`). Beside it: how well
the student's confidence tells records that the teachers saw from records that nobody saw.

[SNJ23] Steinke, Nasr, Jagielski, Privacy Auditing with One (1) Training Run, NeurIPS 2023,
    arXiv:2305.08846.
"""

from dataclasses import dataclass

import numpy as np

from fedpate import _check
from fedpate.data.federated import Federated, federate
from fedpate.errors import ConfigError
from fedpate.federation import pricing
from fedpate.federation.leave_one_out import train_all
from fedpate.federation.settings import Run
from fedpate.federation.side import choose_queries
from fedpate.learning.fitted_student import FittedStudent
from fedpate.learning.voting import count_votes
from fedpate.privacy.accounting import guarantee
from fedpate.privacy.canaries import MembershipAuc, OneRun, membership_auc, one_run_audit
from fedpate.privacy.noise import Entropy
from fedpate.records import VOTE_PARTS, Floats, Ints, LabelledData, QueryBatch, Release, Votes

_SMALLEST = 1e-12  # a probability that a logarithm can take


@dataclass(frozen=True)
class WholeRun:
    """Upper and lower bound on a run's epsilon per patient, and what the student betrays."""

    claimed: float  # guaranteed, at delta, for all queries answered
    canaries: OneRun
    membership: MembershipAuc | None  # None without a student

    @property
    def passed(self) -> bool:
        """Whether nothing refutes the claim."""
        return self.canaries.lower_bound <= self.claimed


@dataclass(frozen=True, eq=False)
class Canaries:
    """Who they are; `included` is what the attacker must not know."""

    features: QueryBatch  # the first queries of the run
    labels: Ints  # (n_canaries,) all wrong
    included: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]  # (n_canaries,)
    hospital: Ints  # (n_canaries,) where each goes
    shard: Ints  # (n_canaries,)

    def add(self, hospital: int, shard: int, records: LabelledData) -> LabelledData:
        """A shard's records with those canaries that are in it."""
        here = self.included & (self.hospital == hospital) & (self.shard == shard)
        features = np.concatenate([records.features, self.features.features[here]])
        labels = np.concatenate([records.labels, self.labels[here]])
        return LabelledData(features, labels, records.n_classes)


def audit_run(
    run: Run, n_canaries: int, rng: np.random.Generator, entropy: Entropy, confidence: float = 0.95
) -> WholeRun:
    """Train once with canaries, release once, and attack.

    Args:
      run: a simulation's settings; trust=coordinator.
      n_canaries: at least 8, at most the run's queries. Each costs the run a wrong record with
        probability one half, so many of them make another run than the one that is audited.
      rng: coins, labels and places of canaries.
      entropy: the mechanism's noise; the operating system's for a true audit.
      confidence: of the lower bound, and of the interval.

    Raises:
      ConfigError: a number out of range, or trust=local.
    """
    _check.at_least(8, canaries=n_canaries)
    if run.trust != "coordinator":
        raise ConfigError(f"the audit of a run needs trust=coordinator, got trust={run.trust}")
    data = federate(run.data, run.partition, run.hospitals, run.teachers_per_hospital, run.seed)
    queries, n_classes = choose_queries(run, data.pool()), data.dataset.n_classes
    if n_canaries > len(queries):
        raise ConfigError(f"canaries must be at most queries={len(queries)}, got {n_canaries}")
    canaries = _plant(run, data, queries.take(slice(n_canaries)), rng)
    teachers = train_all(run, data, add=canaries.add)
    soft = run.votes == "probabilities"
    counts = count_votes(teachers, queries.features, n_classes, soft=soft)
    votes = Votes(queries.query_ids, counts, len(teachers), VOTE_PARTS if soft else 1)
    mechanism = pricing.calibrated(run, len(queries), n_classes)
    release = mechanism.release(votes, entropy)
    student = _student(run, data, release)
    claimed = guarantee(mechanism.event(len(queries), 1, n_classes), run.privacy.delta)
    return WholeRun(
        claimed=claimed.epsilon,
        canaries=one_run_audit(
            _scores(canaries, release, student),
            canaries.included,
            run.privacy.delta,
            rng,
            confidence,
        ),
        membership=None if student is None else _membership(student, data, confidence),
    )


def _plant(run: Run, data: Federated, features: QueryBatch, rng: np.random.Generator) -> Canaries:
    n, n_classes = len(features), data.dataset.n_classes
    true = data.pool_labels()[features.query_ids]
    return Canaries(
        features=features,
        labels=(true + rng.integers(1, n_classes, n)) % n_classes,
        included=rng.random(n) < 0.5,
        hospital=rng.integers(0, data.partition.n_hospitals, n),
        shard=rng.integers(0, run.teachers_per_hospital, n),
    )


def _student(run: Run, data: Federated, release: Release) -> FittedStudent | None:
    if len(np.unique(release.labels[release.answered])) < 2:
        return None  # nothing, or one class: no confidence to attack
    fitted: FittedStudent = run.student.fit(
        data.pool(),
        release,
        data.dataset.n_classes,
        data.preprocessing(),
        run.seed,
        device=run.device,
    )
    return fitted


def _scores(canaries: Canaries, release: Release, student: FittedStudent | None) -> Floats:
    """Higher where the wrong label came out: in the release first, in the student second."""
    n = len(canaries.labels)
    scores: Floats = (release.labels[:n] == canaries.labels).astype(np.float64)
    if student is not None:
        predicted = student.predict(canaries.features.features)
        scores += predicted[np.arange(n), canaries.labels]
    return scores


def _membership(student: FittedStudent, data: Federated, confidence: float) -> MembershipAuc:
    """Log-probability of the right label: records of the hospitals against the test set."""

    def scores(records: LabelledData) -> Floats:
        predicted = student.predict(records.features)
        right = predicted[np.arange(len(records)), records.labels]
        likelihoods: Floats = np.log(np.maximum(right, _SMALLEST))
        return likelihoods

    return membership_auc(scores(data.private()), scores(data.test()), confidence)

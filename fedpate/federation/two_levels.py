"""FedKT-style two-level voting [L21], the baseline: votes inside a hospital, then among hospitals.

Each hospital takes the noisy arg max of its own teachers' votes and trains a student on these
labels; the hospitals' students vote, and a last student learns from that. Noise is added once, in
the hospital, and what follows is post-processing. Hospitals have different patients, so one
hospital's price is a patient's price of it all. The mechanism is GNMax, calibrated to the price
that the run itself has paid, for as many queries.

[L21] Li, He, Song, Practical One-Shot Federated Learning for Cross-Silo Setting, IJCAI 2021,
    arXiv:2010.01017.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fedpate import rng
from fedpate.federation import evaluation
from fedpate.federation.releasing import coordinator_entropy
from fedpate.federation.settings import Run
from fedpate.federation.side import Side
from fedpate.learning.fitted_student import FittedStudent
from fedpate.privacy.accounting import calibrate
from fedpate.privacy.mechanisms import GaussianMax
from fedpate.records import PredictionVectors, QueryBatch, Release, Votes


def two_level_student(
    run: Run, side: Side, answers: Sequence[PredictionVectors], epsilon: float
) -> FittedStudent | None:
    """The last student.

    Args:
      run: its student's settings train every student, in hospitals with a single network.
      side: the coordinator's.
      answers: of each hospital, without noise, to the same queries.
      epsilon: per patient at `privacy.delta`; infinite: no noise is added.
    """
    noise = None
    if math.isfinite(epsilon):
        noise = calibrate(
            lambda scale: GaussianMax(scale).event(len(answers[0].query_ids), 1, side.n_classes),
            epsilon,
            run.privacy.delta,
        )
    ids = answers[0].query_ids
    queries = side.pool.take(np.searchsorted(side.pool.query_ids, ids))
    counts = np.zeros((len(ids), side.n_classes), np.int64)
    for index, answer in enumerate(answers):
        votes = Votes.tally([answer])
        seed = rng.stream_seed(run.seed, "two levels", index)
        if noise is None:
            labels = evaluation.majority_vote(votes, seed)
        else:
            labels = GaussianMax(noise).release(
                votes, coordinator_entropy(run, f"two levels {index}")
            )
        predicted = _fit(run, side, queries, labels, seed, last=False).predict(queries.features)
        counts[np.arange(len(ids)), predicted.argmax(axis=1)] += 1
    vote = evaluation.majority_vote(Votes(ids, counts, len(answers)), run.seed)
    return _fit(run, side, side.pool, vote, run.seed, last=True)


def _fit(
    run: Run, side: Side, pool: QueryBatch, release: Release, seed: int, *, last: bool
) -> FittedStudent:
    settings = run.student
    if not last and hasattr(settings, "members"):
        settings = replace(settings, members=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a hospital of one class is no news here
        student: FittedStudent = settings.fit(
            pool, release, side.n_classes, side.preprocessing, seed, device=run.device
        )
    return student

"""From votes to public labels, given that they have been paid for."""

from collections.abc import Callable

import numpy as np

from fedpate.federation.settings import Run
from fedpate.privacy.mechanism import Mechanism
from fedpate.privacy.mechanisms import plain_argmax
from fedpate.privacy.noise import Entropy, OsEntropy, SeededEntropy
from fedpate.records import Floats, QueryBatch, Release, Votes

Predict = Callable[[QueryBatch], Floats]  # (n_queries, n_classes) probabilities
StudentOf = Callable[[Release], Predict | None]  # None: nothing to learn from yet


def coordinator_entropy(run: Run) -> Entropy:
    """Where the coordinator's noise comes from: the operating system, unless seeded."""
    if run.noise_seed is None:
        return OsEntropy()
    return SeededEntropy(run.noise_seed, "release")


def release(
    run: Run, mechanism: Mechanism, votes: Votes, queries: QueryBatch, student_of: StudentOf
) -> Release:
    """Draw the noise and take the arg max of each query.

    Args:
      run: who adds the noise, its seed, and the number of rounds.
      mechanism: calibrated; with trust=local its noise is already in the votes.
      votes: the tally of all answers.
      queries: the same queries, for a student to predict between rounds.
      student_of: trains a student on the labels so far (mechanism=interactive only).
    """
    entropy = coordinator_entropy(run)
    if run.trust == "local":
        return plain_argmax(votes, entropy)
    if mechanism.name != "interactive":
        return mechanism.release(votes, entropy)
    parts = np.array_split(np.arange(len(queries)), min(run.rounds, len(queries)))
    labels = np.empty(0, dtype=np.int64)
    for rows in parts:
        so_far = Release(queries.query_ids[: len(labels)], labels)
        student = student_of(so_far) if len(labels) else None
        predicted = None if student is None else student(queries.take(rows))
        part = Votes(votes.query_ids[rows], votes.counts[rows], votes.n_teachers)
        labels = np.concatenate([labels, mechanism.release(part, entropy, predicted).labels])
    return Release(votes.query_ids, labels)

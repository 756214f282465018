"""How good a run's student is on the test set; what it is compared with is in `baselines`."""

import logging
import warnings

import numpy as np

from fedpate.data.federated import Federated
from fedpate.federation.progress import Progress, staged
from fedpate.federation.settings import Run
from fedpate.federation.side import Side
from fedpate.learning.fitted_student import FittedStudent
from fedpate.learning.metrics import Scores
from fedpate.privacy.entropy import SeededEntropy
from fedpate.privacy.mechanisms import plain_argmax
from fedpate.records import LabelledData, Release, Votes

log = logging.getLogger(__name__)


def train_student(
    run: Run, side: Side, release: Release, progress: Progress
) -> FittedStudent | None:
    """Train on released labels and the public pool: nothing else is in reach.

    None where no query was answered. Warnings (all labels are one class) go to the log.
    """
    if not release.answered.any():
        log.warning("none of %d queries was answered: there is no student", len(release.labels))
        return None
    total = getattr(run.student, "members", 1)
    with staged(progress, "student", total), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        student: FittedStudent = run.student.fit(
            side.pool,
            release,
            side.n_classes,
            side.preprocessing,
            run.seed,
            device=run.device,
            progress=lambda n: progress.advance("student", n),
        )
    for warning in caught:
        log.warning("%s", warning.message)
    return student


def score(student: FittedStudent | None, test: LabelledData) -> Scores | None:
    """How good the student is; None without one, or without test records."""
    if student is None or not len(test):
        return None
    return Scores.of(student.predict(test.features), test.labels)


def hospital_mean(student: FittedStudent | None, side: Side) -> float | None:
    """Accuracy on each real hospital's test records, averaged over hospitals.

    None where the data name no hospitals, so also in a deployment.
    """
    truth, test = side.truth, side.test
    if student is None or truth is None or truth.dataset.hospitals is None or not len(test):
        return None
    home = truth.dataset.hospitals[truth.split.test_rows]
    right = student.predict(test.features).argmax(axis=1) == test.labels
    return float(np.mean([right[home == name].mean() for name in np.unique(home)]))


def majority_vote(votes: Votes, seed: int) -> Release:
    """The arg max without noise, ties broken by a stream of the run's seed."""
    return plain_argmax(votes, SeededEntropy(seed, "ties of the vote without noise"))


def one_class_teachers(truth: Federated | None, n_hospitals: int) -> int | None:
    """How many teachers saw a single class, so that they always answer it."""
    if truth is None:
        return None
    shards = [shard for hospital in range(n_hospitals) for shard in truth.shards(hospital)]
    return sum(len(np.unique(shard.labels)) == 1 for shard in shards)

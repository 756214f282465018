"""How good a run is: the student on the test set, beside what it could be compared with.

Baselines read private records, so they exist in a simulation only. All are accuracies on the same
test set: the class most common in the private records; a model of the teacher's kind trained on all
records of one hospital (mean and best over hospitals) or of all hospitals; and the teachers' vote
without noise. Their models go through the teacher store, so a sweep trains them once.
"""

import logging
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedpate.data.federated import Federated
from fedpate.federation import simulated_teachers, site
from fedpate.federation.hospital import training_id
from fedpate.federation.overrides import settings_for
from fedpate.federation.progress import Progress, staged
from fedpate.federation.settings import Run
from fedpate.federation.side import Side
from fedpate.learning.fitted import FittedTeacher
from fedpate.learning.fitted_student import FittedStudent
from fedpate.learning.metrics import Scores, accuracy
from fedpate.learning.teachers import Onnx, teacher_seed
from fedpate.privacy.entropy import SeededEntropy
from fedpate.privacy.mechanisms import plain_argmax
from fedpate.records import LabelledData, QueryBatch, Release, Votes

log = logging.getLogger(__name__)

WHOLE = -1  # in the place of a shard: all records of the hospital
BASELINES = (
    "majority_class",
    "mean_hospital",
    "best_hospital",
    "vote_without_noise",
    "pooled",
    "fedavg",
)


@dataclass(frozen=True)
class Baselines:
    """What a run could be compared with."""

    scores: Mapping[str, float | None]  # every name of BASELINES -> accuracy
    alone: Mapping[str, float]  # hospital -> accuracy of a model of its own records


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


def majority_vote(votes: Votes, seed: int) -> Release:
    """The arg max without noise, ties broken by a stream of the run's seed."""
    return plain_argmax(votes, SeededEntropy(seed, "ties of the vote without noise"))


def baselines(run: Run, side: Side, voters: Collection[str], progress: Progress) -> Baselines:
    """Train and score them; there are none in a deployment or with `baselines=false`."""
    found: dict[str, float | None] = dict.fromkeys(BASELINES)
    truth, simulation = side.truth, side.settings.simulation
    if truth is None or simulation is None or not run.baselines or not len(side.test):
        return Baselines(found, {})
    names = [site.simulated_name(hospital) for hospital in range(side.n_hospitals)]
    whole = [_all_records(truth, hospital) for hospital in range(side.n_hospitals)]

    def train(wanted: Sequence[simulated_teachers.Wanted]) -> list[FittedTeacher]:
        return simulated_teachers.train(
            run,
            wanted,
            side.preprocessing,
            site.simulated_store(simulation),
            lambda n: progress.advance("baselines", n),
        )

    with staged(progress, "baselines", len(whole) + 1):
        single = train(
            [
                (name, records, teacher_seed(run.seed, name, WHOLE))
                for name, records in zip(names, whole, strict=True)
            ]
        )
        # A model that a hospital has already cannot be trained on all records.
        one_for_all = [("pooled", truth.private(), teacher_seed(run.seed, "pooled", WHOLE))]
        pooled = train(one_for_all) if run.teacher.name != Onnx.name else []
    test = side.test
    by_hospital = [accuracy(model.votes(test.features), test.labels) for model in single]
    most_common = int(np.bincount(truth.private().labels).argmax())
    found["majority_class"] = float((test.labels == most_common).mean())
    found["mean_hospital"] = float(np.mean(by_hospital))
    found["best_hospital"] = max(by_hospital)
    if pooled:
        found["pooled"] = accuracy(pooled[0].votes(test.features), test.labels)
    if voters:
        found["vote_without_noise"] = _vote_accuracy(run, side, voters)
    return Baselines(found, dict(zip(names, by_hospital, strict=True)))


def one_class_teachers(truth: Federated | None, n_hospitals: int) -> int | None:
    """How many teachers saw a single class, so that they always answer it."""
    if truth is None:
        return None
    shards = [shard for hospital in range(n_hospitals) for shard in truth.shards(hospital)]
    return sum(len(np.unique(shard.labels)) == 1 for shard in shards)


def _vote_accuracy(run: Run, side: Side, voters: Collection[str]) -> float:
    """All teachers vote on the test set, without noise; they are in the store by now."""
    settings = side.settings
    batch = QueryBatch(np.arange(len(side.test), dtype=np.int64), side.test.features)
    answers = []
    for hospital in range(side.n_hospitals):
        name = site.simulated_name(hospital)
        if name in voters:
            own = settings_for(settings, run.hospital_overrides, name)
            member = site.simulated_hospital(hospital, own, own.simulation)
            member.train(own, side.preprocessing)
            training = training_id(own, side.preprocessing)
            answers.append(member.answer(batch, own, training))
    vote = majority_vote(Votes.tally(answers), run.seed)
    return accuracy(vote.labels, side.test.labels)


def _all_records(truth: Federated, hospital: int) -> LabelledData:
    here = truth.partition.hospital_of_record == hospital
    return truth.dataset.take(truth.split.private_rows[here])

"""What a run is compared with, all on the same test set, in a simulation only.

Baselines read private records without noise, or let weights leave a hospital. Their single models
go through the teacher store, so a sweep trains them once. `baselines=` says how many:

  none      nothing
  local     the most common class; a model of the teacher's kind per hospital; the plain vote
  standard  and one model of all private records
  all       and federated averaging, plain and with DP-SGD, and FedKT-style two-level voting, the
            latter two at the price per patient that the run itself has paid
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fedpate.data.federated import Federated
from fedpate.federation import evaluation, simulated_teachers, site
from fedpate.federation.hospital import training_id
from fedpate.federation.overrides import settings_for
from fedpate.federation.progress import Progress, staged
from fedpate.federation.settings import Run
from fedpate.federation.side import Side
from fedpate.federation.two_levels import two_level_student
from fedpate.learning import averaged
from fedpate.learning.fitted import FittedTeacher
from fedpate.learning.metrics import accuracy, auc
from fedpate.learning.nets import Net
from fedpate.learning.schedule import Training
from fedpate.learning.teachers import Cnn, Mlp, Onnx, teacher_seed
from fedpate.records import LabelledData, PredictionVectors, QueryBatch, Release, Votes

WHOLE = -1  # in the place of a shard: all records of the hospital
BASELINES = (
    "majority_class",
    "mean_hospital",
    "best_hospital",
    "vote_without_noise",
    "pooled",
    "pooled_auc",
    "fedavg",
    "fedavg_dpsgd",
    "fedkt",
)


@dataclass(frozen=True)
class Baselines:
    """What a run could be compared with."""

    scores: Mapping[str, float | None]  # every name of BASELINES -> accuracy; None: not trained
    alone: Mapping[str, float]  # hospital -> accuracy of a model of its own records


def compare(
    run: Run,
    side: Side,
    release: Release,
    voters: Collection[str],
    epsilon: float,
    progress: Progress,
) -> Baselines:
    """Train and score what `run.baselines` asks for; nothing in a deployment.

    Args:
      run: the settings.
      side: the coordinator's, with the truth of a simulation.
      release: the run's own: its queries are asked again.
      voters: hospitals whose teachers voted.
      epsilon: what a patient has paid, at `privacy.delta`; infinite without noise.
      progress: is told about the stage.
    """
    found: dict[str, float | None] = dict.fromkeys(BASELINES)
    truth, everything = side.truth, run.baselines == "all"
    if truth is None or run.baselines == "none" or not len(side.test):
        return Baselines(found, {})
    names = [site.simulated_name(hospital) for hospital in range(side.n_hospitals)]
    whole = [_all_records(truth, hospital) for hospital in range(side.n_hospitals)]
    test, private = side.test, everything and averaged.LEAST_EPSILON <= epsilon < math.inf
    steps = len(whole) + (run.baselines != "local") + averaged.ROUNDS * (everything + private)
    with staged(progress, "baselines", steps):
        single = _train(run, side, list(zip(names, whole, strict=True)), progress)
        by_hospital = [accuracy(model.votes(test.features), test.labels) for model in single]
        most_common = int(np.bincount(truth.private().labels).argmax())
        found["majority_class"] = float((test.labels == most_common).mean())
        found["mean_hospital"] = float(np.mean(by_hospital))
        found["best_hospital"] = max(by_hospital)
        if voters:
            queries = QueryBatch(np.arange(len(test), dtype=np.int64), test.features)
            vote = evaluation.majority_vote(
                Votes.tally(_answers(run, side, queries, voters)), run.seed
            )
            found["vote_without_noise"] = accuracy(vote.labels, test.labels)
        # A model that a hospital has already cannot be trained on all records.
        if run.baselines != "local" and run.teacher.name != Onnx.name:
            pooled = _train(run, side, [("pooled", truth.private())], progress)[0]
            found["pooled"] = accuracy(pooled.votes(test.features), test.labels)
            found["pooled_auc"] = auc(pooled.probabilities(test.features), test.labels)
        if everything:
            found |= _averaged(run, side, whole, epsilon if private else None, progress)
            if voters and len(release.query_ids):
                found["fedkt"] = _two_levels(run, side, release, voters, epsilon)
    return Baselines(found, dict(zip(names, by_hospital, strict=True)))


def _train(
    run: Run, side: Side, wanted: Sequence[tuple[str, LabelledData]], progress: Progress
) -> list[FittedTeacher]:
    """A model of its hospital's kind for each table, from the store if it is there."""
    simulation = side.settings.simulation
    assert simulation is not None
    return simulated_teachers.train(
        run,
        [(name, records, teacher_seed(run.seed, name, WHOLE)) for name, records in wanted],
        side.preprocessing,
        site.simulated_store(simulation),
        lambda n: progress.advance("baselines", n),
    )


def _answers(
    run: Run, side: Side, queries: QueryBatch, voters: Collection[str]
) -> list[PredictionVectors]:
    """What each voter's teachers answer, without noise; they are in the store by now."""
    answers = []
    for hospital in range(side.n_hospitals):
        name = site.simulated_name(hospital)
        if name in voters:
            settings = replace(side.settings, mechanism=None)
            own = settings_for(settings, run.hospital_overrides, name)
            member = site.simulated_hospital(hospital, own, own.simulation)
            member.train(own, side.preprocessing)
            answers.append(member.answer(queries, own, training_id(own, side.preprocessing)))
    return answers


def _averaged(
    run: Run,
    side: Side,
    shards: Sequence[LabelledData],
    epsilon: float | None,
    progress: Progress,
) -> dict[str, float | None]:
    """Accuracy of federated averaging; with DP-SGD too if there is an epsilon to spend."""
    from fedpate.federation.fedavg import Averaging

    assert side.truth is not None
    net, training = _network(run, side)
    updates: dict[str, averaged.Updates] = {"fedavg": averaged.PlainUpdates(training)}
    tables = {"fedavg": list(shards)}
    if epsilon is not None:
        updates["fedavg_dpsgd"] = averaged.PrivateUpdates(epsilon, run.privacy.delta)
        tables["fedavg_dpsgd"] = [
            _all_records(side.truth, hospital, one_per_patient=True)
            for hospital in range(side.n_hospitals)
        ]
    found: dict[str, float | None] = {}
    for name, how in updates.items():
        model = Averaging(
            net,
            tables[name],
            side.preprocessing,
            run.seed,
            lambda n: progress.advance("baselines", n),
        ).run(how, name)
        found[name] = accuracy(model.votes(side.test.features), side.test.labels)
    return found


def _network(run: Run, side: Side) -> tuple[Net, Training]:
    """The teacher's network, or the default one of its data; training of one round."""
    shape = side.preprocessing.apply(side.test.features[:1]).shape[1:]
    teacher = run.teacher
    if not isinstance(teacher, Mlp | Cnn):
        teacher = Mlp() if len(shape) == 1 else Cnn()
    training = replace(Training.of(teacher), epochs=1, min_steps=1)
    return teacher.net(shape, side.n_classes), training


def _two_levels(
    run: Run, side: Side, release: Release, voters: Collection[str], epsilon: float
) -> float | None:
    queries = side.pool.take(np.searchsorted(side.pool.query_ids, release.query_ids))
    student = two_level_student(run, side, _answers(run, side, queries, voters), epsilon)
    scores = evaluation.score(student, side.test)
    return None if scores is None else scores.accuracy


def _all_records(truth: Federated, hospital: int, *, one_per_patient: bool = False) -> LabelledData:
    """A hospital's records; or the first of each patient, who is then one record."""
    rows = truth.split.private_rows[truth.partition.hospital_of_record == hospital]
    if one_per_patient:
        _, first = np.unique(truth.dataset.patients[rows], return_index=True)
        rows = rows[np.sort(first)]
    return truth.dataset.take(rows)

"""`summary.json`, schema 1: every key always there, null where it does not apply.

Keys beyond the contract: `federation.one_class_teachers`, `federation.dropped_because` (hospital ->
action and code, or what was wrong with its answer), `labels.requested`,
`labels.accuracy_without_noise`, each unit's `bound`, the theorem that shows its guarantee, and
`bytes.per_query_and_hospital` beside the least that votes can take.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import fedpate
from fedpate.errors import ConfigError
from fedpate.federation import evaluation, pricing
from fedpate.federation.members import Members
from fedpate.federation.private_teachers import Route, route_of
from fedpate.federation.releasing import coordinator_entropy
from fedpate.federation.settings import Run
from fedpate.federation.side import Side
from fedpate.federation.timing import Clock
from fedpate.learning.metrics import Scores, accuracy
from fedpate.privacy import account
from fedpate.privacy.accounting import bounds, guarantee
from fedpate.privacy.events import Event, by_votes, trainings
from fedpate.privacy.mechanism import GatedMechanism, Mechanism
from fedpate.records import NO_ANSWER, Ints, Release, Votes

SCHEMA = 1


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    mechanism: Mechanism  # calibrated
    members: Members
    spent: Mapping[str, Event]  # unit -> everything in the ledger, earlier runs included
    release: Release
    votes: Votes | None  # None where every label came from the ledger's cache
    from_cache: int
    student: Scores | None
    hospital_mean: float | None  # the student's accuracy, averaged over real hospitals
    baselines: Mapping[str, float | None]
    alone: Mapping[str, float]  # hospital -> accuracy of a model of its own records


def summarize(run: Run, side: Side, outcome: Outcome, clock: Clock) -> dict[str, Any]:
    """The content of `summary.json`."""
    return {
        "schema": SCHEMA,
        "fedpate": fedpate.__version__,
        "seed": run.seed,
        "federation": _federation(run, side, outcome.members),
        "data": {
            "name": side.data_name,
            "classes": side.n_classes,
            "train_records": side.truth and len(side.truth.split.private_rows),
            "pool": len(side.pool),
            "test": len(side.test),
        },
        "mechanism": _mechanism(run, outcome.mechanism, route_of(run, side)),
        "labels": _labels(run, side, outcome),
        "privacy": _privacy(run, side, outcome),
        "student": {
            "name": run.student.name,
            **_student(outcome.student),
            "hospital_mean_accuracy": outcome.hospital_mean,
        },
        "baselines": dict(outcome.baselines),
        "timings": clock.timings(),
        "bytes": {
            "to_hospitals": outcome.members.bytes_out,
            "from_hospitals": outcome.members.bytes_in,
            **outcome.members.answers.per_query(),
        },
    }


def _federation(run: Run, side: Side, members: Members) -> dict[str, Any]:
    present = {name: members.teachers.get(name, 0) for name in members.present}
    return {
        "engine": side.engine,
        "hospitals": side.n_hospitals,
        "teachers_per_hospital": run.teachers_per_hospital,
        "teachers_present": sum(present.values()),
        "dropped": sorted(members.dropped),
        "dropped_because": dict(sorted(members.dropped.items())),
        "trust": run.trust,
        "one_class_teachers": evaluation.one_class_teachers(side.truth, side.n_hospitals),
    }


def _mechanism(run: Run, mechanism: Mechanism, route: Route | None) -> dict[str, Any]:
    entropy = coordinator_entropy(run)
    return {
        "name": mechanism.name,
        "noise_scale": mechanism.noise_scale,
        "threshold": getattr(mechanism, "threshold", None),
        "noise": entropy.name,
        "guarantee": entropy.guarantee and (mechanism.name != "none" or route is not None),
    }


def _labels(run: Run, side: Side, outcome: Outcome) -> dict[str, Any]:
    release, answered = outcome.release, outcome.release.answered
    score = without_noise = None
    if side.truth is not None:
        true = side.truth.pool_labels()
        if answered.any():
            score = accuracy(release.labels[answered], true[release.query_ids[answered]])
        if outcome.votes is not None and run.trust != "local":
            vote = evaluation.majority_vote(outcome.votes, run.seed)
            without_noise = accuracy(vote.labels, true[vote.query_ids])
    return {
        "asked": len(release.labels),
        "answered": int((release.labels != NO_ANSWER).sum()),
        "from_cache": outcome.from_cache,
        "accuracy": score,
        "requested": run.queries,
        "accuracy_without_noise": without_noise,
    }


def _student(scores: Scores | None) -> dict[str, float | None]:
    keys = ("accuracy", "balanced_accuracy", "auc")
    return {key: None if scores is None else getattr(scores, key) for key in keys}


def _privacy(run: Run, side: Side, outcome: Outcome) -> dict[str, Any]:
    privacy: dict[str, Any] = {"delta": run.privacy.delta, "relation": "replace_one"}
    for unit, budget in pricing.budgets(run).items():
        price = guarantee(outcome.spent[unit], run.privacy.delta)
        privacy[unit] = {
            "guaranteed": price.epsilon,
            "sanitized": None,
            "data_dependent": None,
            "budget": budget,
            "bound": price.bound,
        }
    privacy["patient"]["routes"] = _routes(outcome.spent["patient"], run.privacy.delta)
    if side.truth is not None and (votes := _votes_behind_everything(run, side, outcome)):
        arguments = votes.counts, outcome.mechanism, run.privacy.delta
        moved = {"patient": 1, "hospital": max(outcome.members.voters.values())}
        for unit in pricing.UNITS:
            privacy[unit]["data_dependent"] = _exact(*arguments, moved[unit])
        privacy["patient"]["sanitized"] = account.sanitized(
            *arguments, coordinator_entropy(run, "sanitize"), outcome.release.answered
        )
    return privacy


def _routes(spent: Event, delta: float) -> dict[str, float] | None:
    """A patient's price by the votes and by private teachers; the smaller one is the guarantee."""
    if not trainings(spent):
        return None
    found = bounds(spent, delta)
    own = found.pop("dpsgd_teachers")
    votes = min(bound.epsilon for bound in found.values())
    return {"votes": votes, "dpsgd_teachers": own.epsilon}


def _votes_behind_everything(run: Run, side: Side, outcome: Outcome) -> Votes | None:
    """The votes, if the ledger holds the price of these alone and the mechanism saw them as such.

    Not with trust=local, where they are randomized already; not with mechanism=interactive, where
    the price depends on what the student predicted in each round; not where a hospital dropped out
    on the way, so that not all queries have the votes of the same teachers; not for soft votes,
    whose changes are not moves of whole votes.
    """
    if outcome.votes is None or run.trust == "local" or outcome.mechanism.name == "interactive":
        return None
    if run.votes != "labels":
        return None
    if len(np.unique(outcome.votes.counts.sum(axis=1))) > 1:
        return None
    here = _charged(outcome.mechanism, outcome, side.n_classes)
    return outcome.votes if by_votes(outcome.spent["patient"]).pieces == here.pieces else None


def _charged(mechanism: Mechanism, outcome: Outcome, n_classes: int) -> Event:
    """What a patient pays for a release with these answers, if nothing was cut short or cached."""
    asked = len(outcome.release.query_ids)
    if not isinstance(mechanism, GatedMechanism):
        return mechanism.event(asked, 1, n_classes)
    answers = int(outcome.release.answered.sum())
    return mechanism.gate_event(asked, 1, n_classes) + mechanism.answer_event(answers, 1, n_classes)


def _exact(counts: Ints, mechanism: Mechanism, delta: float, moved: int) -> float | None:
    try:
        return account.data_dependent(counts, mechanism, delta, votes_moved=moved)
    except ConfigError:  # too little noise, or too many classes, for the exact law
        return None

"""A plan before any training: what labels cost, what they are worth, which mechanism to use.

Asked with a target epsilon and a number of labels, it finds the most accurate labels; with a target
and a wanted accuracy, the most labels; without a target, the least epsilon per patient. Prices are
guaranteed ones (`plan_search`), accuracies are expectations under a model of votes or a pilot
(`vote_model`), over the queries that are answered: a threshold answers the easier ones. Among ways
within `TOLERANCE` of the best, the first of `MECHANISM_NAMES` is taken.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fedpate import _check
from fedpate.errors import ConfigError
from fedpate.privacy import plan_words
from fedpate.privacy.mechanism import Mechanism
from fedpate.privacy.plan_search import MECHANISM_NAMES, Bench, Choice, Way, ways
from fedpate.privacy.vote_model import VoteModel, VoteSource

DEFAULT_TEACHERS = 5  # per hospital, where neither they nor the patients are stated
_DEFAULT_LABELS = 100
CONCESSION = 0.1  # part of the noise-free vote's accuracy given up, unless a wish is stated
TOLERANCE = 0.002  # below what the sample of histograms can tell
EPSILONS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)  # of the frontier
_MOST = 10**6  # labels, where no pool is stated


@dataclass(frozen=True)
class Question:
    """What is known and what is wanted; None is for the plan to find.

    `teachers_per_hospital` left open becomes as many as the patients allow.
    """

    hospitals: int = 10
    teachers_per_hospital: int | None = None
    patients: int | None = None  # over all hospitals
    patients_per_teacher: int = 20  # the fewest that a teacher is trained on
    classes: int = 10
    labels: int | None = None  # expected to be answered
    target_epsilon: float | None = None  # per patient
    hospital_epsilon: float | None = None
    delta: float = 1e-5
    label_accuracy: float | None = None
    pool: int | None = None  # the most queries that can be asked
    votes: VoteSource = field(default_factory=VoteModel)
    mechanisms: tuple[str, ...] = MECHANISM_NAMES

    def __post_init__(self) -> None:
        whole = {
            "hospitals": self.hospitals,
            "teachers_per_hospital": self.teachers_per_hospital,
            "patients": self.patients,
            "patients_per_teacher": self.patients_per_teacher,
            "labels": self.labels,
            "pool": self.pool,
        }
        _check.at_least(1, **{name: value for name, value in whole.items() if value is not None})
        _check.at_least(2, classes=self.classes)
        _check.open_unit(**{"privacy.delta": self.delta})
        _check.positive(**{f"{unit}_epsilon": goal for unit, goal in self.targets.items()})
        if self.label_accuracy is not None:
            _check.open_unit(label_accuracy=self.label_accuracy)
        for name in self.mechanisms:
            _check.one_of(MECHANISM_NAMES, mechanism=name)
        if not self.mechanisms:
            raise ConfigError("mechanisms must name at least one, got none")
        if self.labels is not None and self.labels > (self.pool or self.labels):
            raise ConfigError(f"labels must be <= pool={self.pool}, got {self.labels}")
        if self.patients is not None and self.patients < self.n_teachers:
            raise ConfigError(
                f"patients must be >= {self.n_teachers}, one per teacher, got {self.patients}"
            )

    @property
    def targets(self) -> dict[str, float]:
        """The epsilons asked for, by unit."""
        goals = {"patient": self.target_epsilon, "hospital": self.hospital_epsilon}
        return {unit: goal for unit, goal in goals.items() if goal is not None}

    @property
    def teachers_each(self) -> int:
        """Teachers per hospital: as stated, or as many as the patients allow."""
        if self.teachers_per_hospital is not None:
            return self.teachers_per_hospital
        if self.patients is None:
            raise ConfigError("teachers_per_hospital must be set where patients is not")
        return max(1, self.patients // (self.hospitals * self.patients_per_teacher))

    @property
    def n_teachers(self) -> int:
        """Teachers of all hospitals."""
        return self.hospitals * self.teachers_each


@dataclass(frozen=True, repr=False)
class Plan:
    """The answer to a question; printed, the best choice and the remarks."""

    question: Question
    wanted: float  # label accuracy
    without_noise: float  # accuracy of the vote itself: no mechanism is better, but by selection
    best: Choice | None
    useful: bool  # as accurate as wanted, at an epsilon that was asked for or still means something
    frontier_unit: str
    frontier: tuple[tuple[float, Choice], ...]  # that unit's epsilon -> the most accurate labels
    remarks: tuple[str, ...]  # in words: what to make of it, and what would change it

    def __str__(self) -> str:
        return "\n".join([self._headline(), *self.remarks])

    def __repr__(self) -> str:
        return f"<Plan: {self._headline()}>"

    def _headline(self) -> str:
        if self.best is None:
            return "nothing reaches what was asked for"
        best = self.best
        noise = best.mechanism.noise_scale or math.nan
        prices = ", ".join(
            f"epsilon {_rounded_up(epsilon):.2f} per {unit}"
            for unit, epsilon in best.epsilon.items()
        )
        return (
            f"{best.mechanism.name} at noise scale {noise:.4g}: {best.queries} queries, "
            f"{best.labels:.0f} labels, {100 * best.accuracy:.1f} % right; "
            f"{prices} (delta {self.question.delta:g})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        asked = self.question
        return {
            "hospitals": asked.hospitals,
            "teachers_per_hospital": asked.teachers_each,
            "classes": asked.classes,
            "delta": asked.delta,
            "relation": "replace_one",
            "label_accuracy_wanted": self.wanted,
            "label_accuracy_without_noise": self.without_noise,
            "best": None if self.best is None else self.best.to_dict(),
            "useful": self.useful,
            "frontier": {
                "unit": self.frontier_unit,
                "rows": [
                    {"target_epsilon": epsilon, **choice.to_dict()}
                    for epsilon, choice in self.frontier
                ],
            },
            "remarks": list(self.remarks),
        }


def _rounded_up(epsilon: float) -> float:
    """Two decimals; a price is never stated lower than it is."""
    return math.ceil(round(epsilon * 100, 6)) / 100


def plan(question: Question) -> Plan:
    """Answer a question.

    Raises:
      ConfigError: the question contradicts itself, or its pilot.
    """
    bench = _bench(question)
    without_noise = bench.sample.without_noise
    wanted = question.label_accuracy or without_noise * (1 - CONCESSION)
    best = _best(question, bench, wanted)
    labels = question.labels or (max(1, math.floor(best.labels)) if best else _DEFAULT_LABELS)
    unit = "patient" if "patient" in question.targets else next(iter(question.targets), "patient")
    frontier = tuple(
        (epsilon, _most_accurate(question, bench, labels, {unit: epsilon}, exact=False))
        for epsilon in EPSILONS
        if _ways(question, labels)
    )
    situation = plan_words.Situation(
        bench, question.hospitals, question.teachers_each, labels, wanted, question.targets
    )
    useful = best is not None and situation.is_useful(best)
    remarks = (
        question.votes.remark,
        *plan_words.remarks(situation, best, useful),
        *plan_words.about_patients(
            question.patients, question.n_teachers, question.patients_per_teacher
        ),
    )
    return Plan(question, wanted, without_noise, best, useful, unit, frontier, remarks)


def evaluate(question: Question, mechanism: Mechanism, queries: int) -> Choice:
    """The other way round: price, labels and accuracy of a mechanism with all its settings.

    Raises:
      ConfigError: a setting is open, or the mechanism is none of `MECHANISM_NAMES`.
    """
    _check.one_of(MECHANISM_NAMES, mechanism=mechanism.name)
    _check.at_least(1, queries=queries)
    return _bench(question).choice(mechanism, queries, exact=True)


def _bench(question: Question) -> Bench:
    sample = question.votes.sample(question.n_teachers, question.classes)
    moved = {"patient": 1, "hospital": question.teachers_each}
    return Bench(sample, moved, question.classes, question.delta)


def _best(question: Question, bench: Bench, wanted: float) -> Choice | None:
    labels = question.labels or _DEFAULT_LABELS
    if not question.targets:
        return _cheapest(question, bench, min(labels, question.pool or labels), wanted)
    if question.labels is None:
        return _most_labels(question, bench, wanted)
    return _most_accurate(question, bench, question.labels, question.targets, exact=True)


def _most_accurate(
    question: Question, bench: Bench, labels: int, targets: Mapping[str, float], *, exact: bool
) -> Choice:
    def noise_scale(way: Way) -> float:
        return bench.noise_for_epsilon(way, way.asked(labels), targets)

    scales = {way: noise_scale(way) for way in _ways(question, labels)}
    if not scales:
        raise ConfigError(f"pool must hold more queries for {labels} labels, got {question.pool}")
    way = _first_best(
        {way: bench.accuracy(way, scale) for way, scale in scales.items()}, lambda a, b: a - b
    )
    scale = bench.calibrated(way, way.asked(labels), targets) if exact else scales[way]
    return bench.choice(bench.build(way, scale), way.asked(labels), exact=exact)


def _most_labels(question: Question, bench: Bench, wanted: float) -> Choice | None:
    pool, found = question.pool or _MOST, {}
    for way in _ways(question, 1):
        scale = bench.noise_for_accuracy(way, wanted)
        if scale is None:
            continue
        asked = bench.asked_for_epsilon(way, scale, question.targets, pool)
        if asked:
            found[way] = (asked / way.asked_per_label, scale, asked)
    if not found:
        return None
    way = _first_best({way: labels for way, (labels, _, _) in found.items()}, _relative)
    _, scale, asked = found[way]
    return bench.choice(bench.build(way, scale), asked, exact=True)


def _cheapest(question: Question, bench: Bench, labels: int, wanted: float) -> Choice | None:
    scales, prices = {}, {}
    for way in _ways(question, labels):
        scale = bench.noise_for_accuracy(way, wanted)
        if scale is not None:
            scales[way] = scale
            prices[way] = -bench.epsilon(way, scale, way.asked(labels), "patient")
    if not prices:
        return None
    way = _first_best(prices, _relative)
    return bench.choice(bench.build(way, scales[way]), way.asked(labels), exact=True)


def _ways(question: Question, labels: int) -> list[Way]:
    pool = question.pool or _MOST
    tried = [way for name in question.mechanisms for way in ways(name)]
    return [way for way in tried if way.asked(labels) <= pool]


def _relative(best: float, other: float) -> float:
    return (best - other) / max(abs(best), 1e-12)


def _first_best(scores: Mapping[Way, float], distance: Callable[[float, float], float]) -> Way:
    """The first way whose score is within the tolerance of the best."""
    best = max(scores.values())
    return next(way for way, score in scores.items() if distance(best, score) <= TOLERANCE)

"""A plan in words: what the numbers mean for this federation, and what would change them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fedpate.privacy.plan_search import Bench, Choice, Way

MEANINGFUL_EPSILON = 10.0  # beyond, a guarantee is a formality; not fedpate's opinion alone
GOOD_EPSILON = 1.0  # what to aim at where no target is stated
_GNMAX = Way("gnmax")


@dataclass(frozen=True, eq=False)
class Situation:
    """What the remarks look at."""

    bench: Bench
    hospitals: int
    teachers_each: int
    labels: int
    wanted: float  # label accuracy
    targets: Mapping[str, float]

    def is_useful(self, best: Choice) -> bool:
        """As accurate as wanted, at an epsilon that was asked for or still means something."""
        meaningful = bool(self.targets) or best.epsilon["patient"] <= MEANINGFUL_EPSILON
        return best.accuracy >= self.wanted - 1e-3 and meaningful


def remarks(situation: Situation, best: Choice | None, useful: bool) -> tuple[str, ...]:
    """Sentences about the best choice, or about there being none."""
    without_noise = situation.bench.sample.without_noise
    said = [f"Without noise the vote would be right in {without_noise:.1%} of the queries."]
    if not useful:
        said.append(_nothing_useful(situation, best))
        said += _what_would_change_it(situation)
    elif best is not None:
        said += _about_hospitals(best.epsilon)
    return tuple(said)


def about_patients(patients: int | None, n_teachers: int, fewest: int) -> tuple[str, ...]:
    """Whether the teachers have patients enough to be as accurate as assumed."""
    if patients is None or patients // n_teachers >= fewest:
        return ()
    return (
        f"{patients} patients make {patients // n_teachers} per teacher, fewer than "
        f"patients_per_teacher={fewest}: expect less accurate teachers than assumed here.",
    )


def _about_hospitals(epsilon: Mapping[str, float]) -> list[str]:
    if not epsilon["hospital"] > MEANINGFUL_EPSILON >= epsilon["patient"]:
        return []
    return [
        f"This protects patients, not hospitals: epsilon is {epsilon['patient']:.2f} per patient "
        f"and {epsilon['hospital']:.0f} per hospital. Protecting a hospital takes more hospitals, "
        "not more teachers in each."
    ]


def _nothing_useful(situation: Situation, best: Choice | None) -> str:
    wish = f"{situation.labels} labels of which {situation.wanted:.1%} are right"
    if best is None:
        return f"Nothing useful exists: {wish} are out of reach."
    if situation.targets:
        goals = " and ".join(f"{unit} epsilon {e:g}" for unit, e in situation.targets.items())
        return (
            f"Nothing useful exists: at {goals}, {situation.labels} labels would be right in "
            f"{best.accuracy:.1%} of the cases, not in {situation.wanted:.1%}."
        )
    return (
        f"Nothing useful exists: {wish} cost a patient epsilon of {best.epsilon['patient']:.1f}, "
        f"and above {MEANINGFUL_EPSILON:g} a guarantee is a formality."
    )


def _what_would_change_it(situation: Situation) -> list[str]:
    """Each lever alone, for plain GNMax, whose noise may grow in proportion to the votes."""
    bench, labels = situation.bench, situation.labels
    largest = bench.noise_for_accuracy(_GNMAX, situation.wanted)
    if largest is None:
        return ["More accurate teachers, or a lower label_accuracy: noise is not what is missing."]
    targets = situation.targets or {"patient": GOOD_EPSILON}
    said = []
    for unit, goal in targets.items():
        factor = bench.noise_for_epsilon(_GNMAX, labels, {unit: goal}) / largest
        if factor <= 1:
            continue
        count = situation.teachers_each if unit == "patient" else situation.hospitals
        what = "teachers per hospital" if unit == "patient" else "hospitals"
        said.append(
            f"{unit.capitalize()} epsilon {goal:g} takes about {math.ceil(count * factor)} {what} "
            f"instead of {count}, as accurate as these: so many more patients, too."
        )
    goals = " and ".join(f"{unit} epsilon {goal:g}" for unit, goal in targets.items())
    fewer = bench.asked_for_epsilon(_GNMAX, largest, targets, labels)
    if fewer < labels:
        plural = "" if fewer == 1 else "s"
        said.append(f"These teachers give {fewer or 'no'} label{plural} so accurate at {goals}.")
    for unit, goal in situation.targets.items():
        needed = bench.epsilon(_GNMAX, largest, labels, unit)
        if needed > goal:
            said.append(f"With them {labels} labels so accurate take {unit} epsilon {needed:.1f}.")
    return said

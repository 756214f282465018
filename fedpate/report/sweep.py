"""Many runs side by side: one row per run for a CSV file, one group per setting for people.

A group holds the runs that differ in nothing but their seeds; its numbers are means over them. Only
the guaranteed epsilon is compared: it does not look at the votes.
"""

import csv
import io
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from fedpate.report import text
from fedpate.report.page import SUMMARY, read_summary

SEEDS = ("seed", "noise_seed")
# What moves a point along its curve, rather than to another curve.
PRICED = ("queries", "privacy.target_epsilon")
EPSILON = {unit: f"privacy.{unit}.guaranteed" for unit in ("patient", "hospital")}
LABELS, STUDENT = "labels.accuracy", "student.accuracy"
DEEPEST = 4  # folders between what was named and a run


@dataclass(frozen=True)
class Row:
    """One run: done (`values`) or failed (`error`)."""

    name: str
    settings: Mapping[str, str]  # what was typed, and the options that its summary names
    values: Mapping[str, Any]  # summary.json, keys dotted; empty if it failed
    error: str | None = None


@dataclass(frozen=True)
class Number:
    """A mean over runs and its standard deviation; None where there are too few."""

    mean: float | None
    deviation: float | None


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seeds only."""

    settings: Mapping[str, str]  # those that vary between groups
    rows: Sequence[Row]

    def number(self, key: str) -> Number:
        """Mean and deviation of one number over the runs that have it."""
        values = [float(row.values[key]) for row in self.rows if row.values.get(key) is not None]
        if not values:
            return Number(None, None)
        finite = len(values) > 1 and all(map(math.isfinite, values))
        return Number(statistics.fmean(values), statistics.stdev(values) if finite else None)

    @property
    def guarantee(self) -> bool:
        """Whether the epsilon of all its runs is one: noise from the operating system."""
        return all(row.values.get("mechanism.guarantee") for row in self.rows)


def run_folders(place: Path) -> list[Path]:
    """The run directories in a folder, or the folder itself; in the order of their numbers."""
    found = [
        path.parent
        for depth in range(DEEPEST + 1)
        for path in place.glob(f"{'*/' * depth}{SUMMARY}")
        if not any(part.startswith(".") for part in path.relative_to(place).parts)
    ]
    return sorted(found, key=lambda path: [_number(part) for part in path.parts])


def read_row(folder: Path, name: str) -> Row:
    """The row of a finished run.

    Raises:
      ConfigError: no finished run, or one of another version.
    """
    summary = read_summary(folder)
    settings = {
        "data": summary["data"]["name"],
        "trust": summary["federation"]["trust"],
        "mechanism": summary["mechanism"]["name"],
        "seed": str(summary["seed"]),
    }
    recorded = folder / ".hydra" / "overrides.yaml"
    if recorded.is_file():
        settings |= typed([str(word) for word in OmegaConf.load(recorded)])
    return Row(name, settings, flat(summary))


def typed(overrides: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE` as a mapping; deletions are left out."""
    pairs = (word.lstrip("+").partition("=") for word in overrides if not word.startswith("~"))
    return {key: value for key, _, value in pairs}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys as dotted ones."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        result |= flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return result


def as_csv(rows: Sequence[Row]) -> str:
    """One line per run: its name, why it failed, the settings typed, all of its summary."""
    settings = list(dict.fromkeys(key for row in rows for key in row.settings))
    values = list(dict.fromkeys(key for row in rows for key in row.values))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["point", "error", *(f"settings.{key}" for key in settings), *values])
    for row in rows:
        cells = [row.settings.get(key, "") for key in settings]
        cells += [_cell(row.values.get(key)) for key in values]
        writer.writerow([row.name, row.error or "", *cells])
    return file.getvalue()


def groups(rows: Sequence[Row]) -> list[Group]:
    """The runs that are done, by the settings that vary, seeds aside; in their first order."""
    done = [row for row in rows if row.error is None]
    keys = list(dict.fromkeys(key for row in done for key in row.settings if key not in SEEDS))
    varying = [key for key in keys if len({row.settings.get(key) for row in done}) > 1]
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in done:
        found.setdefault(tuple(row.settings.get(key, "") for key in varying), []).append(row)
    return [Group(dict(zip(varying, key, strict=True)), found[key]) for key in found]


def curves(of: Sequence[Group]) -> dict[str, list[Group]]:
    """Groups that differ in price only, under the name of what they share; by rising epsilon."""
    found: dict[str, list[Group]] = {}
    for group in of:
        shared = {key: value for key, value in group.settings.items() if not _priced(key)}
        mechanism = shared.pop("mechanism", group.rows[0].settings["mechanism"])
        name = ", ".join([mechanism, *(f"{key}={value}" for key, value in shared.items())])
        found.setdefault(name, []).append(group)
    for members in found.values():
        members.sort(key=lambda group: group.number(EPSILON["patient"]).mean or 0.0)
    return found


def front(of: Sequence[Group]) -> list[Group]:
    """The groups that no other one beats in both epsilon and student; by rising epsilon.

    Only epsilons that are a guarantee take part: one of seeded noise, or none at all, is no price.
    Epsilons that are stated alike, with two decimals, are alike.
    """
    priced = []
    for group in of:
        epsilon, student = group.number(EPSILON["patient"]).mean, group.number(STUDENT).mean
        if not group.guarantee or epsilon is None or student is None or math.isinf(epsilon):
            continue
        priced.append((float(text.epsilon(epsilon)), -student, group))
    best: list[Group] = []
    least = math.inf
    for _, loss, group in sorted(priced, key=lambda item: item[:2]):
        if loss < least:
            best.append(group)
            least = loss
    return best


def dump(of: Sequence[Group]) -> list[dict[str, Any]]:
    """The groups as JSON: settings, number of runs, means and deviations."""
    best = front(of)
    keys = {"labels": LABELS, "student": STUDENT}
    keys |= {f"{unit}_epsilon": name for unit, name in EPSILON.items()}
    return [
        {
            "settings": dict(group.settings),
            "runs": len(group.rows),
            "guarantee": group.guarantee,
            "front": group in best,
            **{name: vars(group.number(key)) for name, key in keys.items()},
        }
        for group in of
    ]


def _priced(key: str) -> bool:
    return key in PRICED or key.startswith(("mechanism.", "privacy.budget."))


def _number(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdecimal() else (-1, part)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | bool):
        return json.dumps(value)
    return str(value)

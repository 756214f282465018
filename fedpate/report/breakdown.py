"""Per class and per hospital: tables made from the counts in details.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Matrix = Sequence[Sequence[int]]  # [true class][answer] -> records

MOST_IN_MATRIX = 12  # classes that a matrix on a page, or a bar of shares, can have
MOST_ROWS = 60  # of a table; a page has to stay small


@dataclass(frozen=True)
class ClassRow:
    """One class: how the student does on it, and how its released labels did."""

    name: str
    records: int  # in the test set
    found: float | None  # of these, the share that the student finds (recall)
    right: float | None  # of its answers of this class, the share that is right (precision)
    released: int | None  # labels of this class; None outside a simulation
    released_right: float | None
    unanswered: int | None


@dataclass(frozen=True)
class HospitalRow:
    """One simulated hospital."""

    name: str
    records: int
    shares: list[float]  # of its records by class; empty if there are too many to draw
    held: int  # classes that it has records of
    teachers: int
    dropped: bool
    accuracy_alone: float | None


def told(rows: int, what: str, chosen: str) -> str | None:
    """What a reader has to know of a table that does not hold all; None if it does."""
    return f"The {MOST_ROWS} {chosen} of {rows} {what}." if rows > MOST_ROWS else None


def class_names(details: Mapping[str, Any]) -> list[str]:
    """Names of the classes, or their numbers."""
    if details["class_names"] is not None:
        return [str(name) for name in details["class_names"]]
    counted = details["student"] or details["labels"]
    return [str(number) for number in range(len(counted["confusion"]) if counted else 0)]


def class_rows(details: Mapping[str, Any]) -> list[ClassRow]:
    """A row per class, the most frequent ones if there are too many."""
    student, labels = details["student"], details["labels"]
    names = class_names(details)
    tested = student["confusion"] if student else [[0] * len(names)] * len(names)
    rows = [
        ClassRow(
            name=name,
            records=sum(tested[place]),
            found=_ratio(tested[place][place], sum(tested[place])),
            right=_ratio(tested[place][place], _column(tested, place)),
            released=_column(labels["confusion"], place) if labels else None,
            released_right=_ratio(
                labels["confusion"][place][place], _column(labels["confusion"], place)
            )
            if labels
            else None,
            unanswered=labels["unanswered"][place] if labels else None,
        )
        for place, name in enumerate(names)
    ]
    if len(rows) <= MOST_ROWS:
        return rows
    return sorted(rows, key=lambda row: -row.records)[:MOST_ROWS]


def matrix(details: Mapping[str, Any]) -> list[list[tuple[int, float]]] | None:
    """(records, share of the true class) of the student's answers; None if it is too large."""
    if not details["student"] or len(details["student"]["confusion"]) > MOST_IN_MATRIX:
        return None
    return [
        [(count, _ratio(count, sum(row)) or 0.0) for count in row]
        for row in details["student"]["confusion"]
    ]


def hospital_rows(details: Mapping[str, Any]) -> list[HospitalRow]:
    """A row per hospital of a simulation, the largest ones if there are too many."""
    rows = [
        HospitalRow(
            name=hospital["name"],
            records=sum(hospital["classes"]),
            shares=_shares(hospital["classes"]),
            held=sum(count > 0 for count in hospital["classes"]),
            teachers=hospital["teachers"],
            dropped=hospital["dropped"],
            accuracy_alone=hospital["accuracy_alone"],
        )
        for hospital in details["hospitals"] or []
    ]
    if len(rows) <= MOST_ROWS:
        return rows
    return sorted(rows, key=lambda row: -row.records)[:MOST_ROWS]


def _shares(counts: Sequence[int]) -> list[float]:
    if len(counts) > MOST_IN_MATRIX:
        return []
    return [_ratio(count, sum(counts)) or 0.0 for count in counts]


def _column(table: Matrix, place: int) -> int:
    return sum(row[place] for row in table)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None

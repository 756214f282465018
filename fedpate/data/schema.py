"""What goes into a student and what comes out, in the user's words: columns and classes.

A student's file is published, so it may hold the public shape of the data only. Names of columns
and classes are that. A category of a text column is the content of a cell; it is named where a
record of the public pool has it, and a place without a name otherwise.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Self

from fedpate.records import Features


@dataclass(frozen=True)
class Column:
    """A number; or text, which becomes one 0/1 feature for each category."""

    name: str
    categories: tuple[str | None, ...] = ()  # None: not named

    @property
    def width(self) -> int:
        """How many features it becomes."""
        return len(self.categories) or 1


@dataclass(frozen=True)
class Schema:
    """Of one student; `columns` is empty for images."""

    class_names: tuple[str, ...]
    columns: tuple[Column, ...] = ()
    missing_allowed: bool = False  # whether a number may be missing

    @classmethod
    def of_pool(
        cls,
        pool: Features,
        class_names: Sequence[str],
        names: Sequence[str] | None,
        *,
        missing_allowed: bool,
    ) -> Self:
        """Keep of the columns what the public pool shows; name those that have no name.

        Args:
          pool: (n_records, ...) features of the public pool.
          class_names: one for each class.
          names: `Dataset.columns`: one for each feature, COLUMN or COLUMN=CATEGORY.
          missing_allowed: `Dataset.missing_allowed`.
        """
        if pool.ndim > 2:
            return cls(tuple(class_names), (), missing_allowed)
        if names is None:
            names = [f"feature_{place}" for place in range(pool.shape[1])]
        seen = (pool != 0).any(axis=0).tolist()
        split = [name.partition("=") for name in names]
        columns = []
        for text, group in groupby(zip(split, seen, strict=True), key=lambda pair: pair[0][:2]):
            members = list(group)
            if text[1]:
                categories = tuple(name[2] if there else None for name, there in members)
                columns.append(Column(text[0], categories))
            else:
                columns += [Column(name[0]) for name, _ in members]
        return cls(tuple(class_names), tuple(columns), missing_allowed)

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; KeyError, TypeError or ValueError for anything else."""
        fields = json.loads(text)
        columns = tuple(
            Column(column["name"], tuple(column["categories"])) for column in fields["columns"]
        )
        return cls(tuple(fields["class_names"]), columns, bool(fields["missing_allowed"]))

"""A finished run as a Python object: its numbers, labels and student, and how it looks."""

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fedpate.errors import DataError
from fedpate.records import NO_ANSWER, Ints
from fedpate.report import notebook, page, words

if TYPE_CHECKING:
    import os

    from matplotlib.figure import Figure

    from fedpate.learning.fitted_student import FittedStudent


@dataclass(frozen=True, eq=False)
class Result:
    """What a run directory holds, read when it is asked for.

    In a notebook it shows its accuracies and prices; every epsilon with its unit and delta.
    """

    folder: Path

    @cached_property
    def summary(self) -> dict[str, Any]:
        """`summary.json`: every number of the run."""
        return page.read_summary(self.folder)

    @property
    def query_ids(self) -> Ints:
        """(n_queries,) which records of the public pool were asked about."""
        return self._released[0]

    @property
    def labels(self) -> Ints:
        """(n_queries,) the released labels; -1 where there was no answer."""
        return self._released[1]

    @cached_property
    def student(self) -> "FittedStudent":
        """The trained student; `predict` takes records as the data set has them.

        Raises:
          DataError: there is none, because no query was answered.
        """
        from fedpate.learning.fitted_student import load_student

        if not (self.folder / "student.pt").is_file():
            raise DataError("there is no student: no query was answered")
        return load_student(self.folder / "student.pt")

    @property
    def report(self) -> Path:
        """`report.html`, to be opened in a browser."""
        return self.folder / page.PAGE

    def plot(self) -> "Figure":
        """Accuracies against the baselines, and the guaranteed epsilon of both privacy units."""
        from fedpate.report import figures

        return figures.run(self.summary)

    def _repr_html_(self) -> str:
        return notebook.fragment(self.summary)

    def __repr__(self) -> str:
        return f"<{words.title(self.summary)}: {words.one_line(self.summary)}>"

    @cached_property
    def _released(self) -> tuple[Ints, Ints]:
        path = self.folder / "labels.csv"
        with path.open(newline="", encoding="utf-8") as file:
            _, *rows = csv.reader(file)
        ids = np.array([int(query) for query, _ in rows], dtype=np.int64)
        labels = [int(label) if label else NO_ANSWER for _, label in rows]
        return ids, np.array(labels, dtype=np.int64)


def load(run_dir: "str | os.PathLike[str]") -> Result:
    """The result of a run that finished, here or on the command line.

    Raises:
      ConfigError: not the directory of a finished run.
    """
    folder = Path(run_dir).absolute()
    page.read_summary(folder)  # a wrong folder is refused here, not when something is read
    return Result(folder)

"""What a tracker is told about a run, read from its finished run directory.

Votes, the ledger and data-dependent epsilons are left out: a tracker is a place that others read.
(`summary.json` and `report.html` of a *simulation* do hold data-dependent numbers.)
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from omegaconf import OmegaConf

from fedpate.errors import ConfigError
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.privacy.ledger_view import statement

PRIVATE = "data_dependent"
FILES = ("summary.json", "report.html", "labels.csv", "student.pt", "student.onnx")


@dataclass(frozen=True)
class Step:
    """The guaranteed epsilon of a privacy unit after one charge."""

    unit: str
    step: int
    seconds: float  # since 1970
    epsilon: float


@dataclass(frozen=True)
class Record:
    """One run."""

    name: str
    folder: Path
    parameters: Mapping[str, str]  # dotted settings
    metrics: Mapping[str, float]  # the numbers of summary.json, dotted
    spent: tuple[Step, ...]  # epsilon over time, at the run's delta
    files: tuple[Path, ...]

    @classmethod
    def read(cls, folder: Path, ledger: Path | None = None) -> Self:
        """The record of a run directory.

        Args:
          folder: the run directory.
          ledger: where the run paid; None: in the run directory.

        Raises:
          ConfigError: no finished run.
          LedgerError: its ledger is broken.
        """
        try:
            summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"RUN_DIR must be the directory of a finished run, got {folder}"
            ) from error
        settings = folder / ".hydra" / "config.yaml"
        loaded = OmegaConf.to_container(OmegaConf.load(settings)) if settings.is_file() else {}
        numbers = {
            key: float(value)
            for key, value in _flat(summary)
            if isinstance(value, int | float) and PRIVATE not in key
        }
        book = ledger or folder / "ledger.sqlite"
        return cls(
            name=f"{summary['data']['name']} {summary['mechanism']['name']} {folder.name}",
            folder=folder,
            parameters={key: str(value) for key, value in _flat(loaded)},
            metrics=numbers,
            spent=tuple(_spent(book, summary["privacy"]["delta"])) if book.is_file() else (),
            files=tuple(folder / name for name in FILES if (folder / name).is_file()),
        )


def _spent(book: Path, delta: float) -> Iterator[Step]:
    with PrivacyLedger.read(book) as ledger:
        for step, row in enumerate(statement(ledger, delta)):
            seconds = datetime.fromisoformat(row["time"]).timestamp()
            for unit, balance in row["units"].items():
                yield Step(unit, step, seconds, balance["epsilon"])


def _flat(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value

"""What a run directory holds, read for a page: the summary always, the rest where it is there."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fedpate.errors import ConfigError

SUMMARY, DETAILS, AUDIT, LEDGER = "summary.json", "details.json", "audit.json", "ledger.sqlite"
YamlLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where PyYAML was built so
SCHEMA = 1  # of all three JSON files


@dataclass(frozen=True)
class Recorded:
    """One finished run."""

    name: str  # of its directory
    summary: dict[str, Any]
    details: dict[str, Any] | None = None
    audit: dict[str, Any] | None = None  # the last `fedpate audit RUN_DIR`
    settings: str | None = None  # YAML, as Hydra composed them
    head: str | None = None  # hash of the ledger's last entry at the end of the run
    ledger: str | None = None  # where that ledger is; None: in the run directory


def read(folder: Path) -> Recorded:
    """Everything that a page shows.

    Raises:
      ConfigError: no finished run, or a file that this version does not read.
      LedgerError: the run's own ledger is broken.
    """
    summary = read_summary(folder)
    details = _read(folder / DETAILS)
    ledger = {"head": _head(folder), "path": None} if details is None else details["ledger"]
    return Recorded(
        name=folder.absolute().name,
        summary=summary,
        details=details,
        audit=_read(folder / AUDIT),
        settings=settings(folder),
        head=ledger["head"],
        ledger=ledger["path"],
    )


def read_summary(folder: Path) -> dict[str, Any]:
    """What `summary.json` holds.

    Raises:
      ConfigError: there is none, or it is not a summary that this version reads.
    """
    summary = _read(folder / SUMMARY)
    if summary is None:
        raise ConfigError(
            f"RUN_DIR must be the directory of a finished run, got {folder} without {SUMMARY}"
        )
    return summary


def settings(folder: Path) -> str | None:
    """The composed settings, as Hydra recorded them; None where it was not there."""
    config, hydra = (folder / ".hydra" / name for name in ("config.yaml", "hydra.yaml"))
    if not (config.is_file() and hydra.is_file()):
        return None
    chosen = yaml.load(hydra.read_text(encoding="utf-8"), YamlLoader)  # noqa: S506 - a safe one
    for key in ("hydra", "runtime", "choices"):
        chosen = (chosen or {}).get(key)
    options = [
        f"{group}={option}"
        for group, option in sorted((chosen or {}).items())
        if "/" not in group and option
    ]
    return f"# {' '.join(options)}\n" + config.read_text(encoding="utf-8")


def _read(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} must be a JSON file of fedpate, it cannot be read") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ConfigError(f"{file} must be of schema {SCHEMA}, which this version reads")
    return content


def _head(folder: Path) -> str | None:
    if not (folder / LEDGER).is_file():
        return None
    from fedpate.privacy.ledger import PrivacyLedger

    with PrivacyLedger.read(folder / LEDGER) as ledger:
        return ledger.head

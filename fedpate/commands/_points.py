"""The points of a sweep on disk: which are wanted and which have ended, also after kill -9.

`sweep.json` in the sweep's directory lists every point that was ever asked for there: its number,
its overrides and a hash of its resolved settings. A number belongs to one hash for good, so a run
directory is never taken over by other settings. `.points/NUMBER.json` appears, whole, when a point
has ended. One process at a time sweeps in a directory; the lock goes with the process.
"""

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import fedpate
from fedpate import config
from fedpate.errors import ConfigError
from fedpate.federation import plain

SWEEP, ENDED, LOCK, SUMMARY = "sweep.json", ".points", ".lock", "summary.json"


@dataclass(frozen=True)
class Wanted:
    """A point that the sweep is to have."""

    number: int
    config: str  # hash of the resolved settings
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """A point that was run: done, or failed and why."""

    number: int
    config: str
    overrides: tuple[str, ...]
    folder: str  # its run directory, within the sweep's
    error: str | None = None  # one line; None: done
    exit_code: int = 0


def digest(cfg: DictConfig, overrides: Sequence[str]) -> str:
    """Hash of the settings that a run would have, and of the version that would run them."""
    with suppress(ConfigError):  # the point itself will be refused, in its turn
        cfg = config.settle_noise(cfg, overrides)
    try:
        settings = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException:
        settings = OmegaConf.to_container(cfg)
    text = json.dumps([fedpate.__version__, options(cfg), settings], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def options(cfg: DictConfig) -> dict[str, str]:
    """What was chosen of each group: options that differ may have equal settings."""
    return {group: _class(cfg._get_node(group)) for group in plain.GROUPS if group in cfg}


def _class(node: Any) -> str:
    kind = OmegaConf.get_type(node)
    return "" if kind is None else f"{kind.__module__}.{kind.__qualname__}"


class Points:
    """The record in one sweep's directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Inside, no other process sweeps here.

        Raises:
          ConfigError: another process does.
        """
        with (self.folder / LOCK).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(
                    f"hydra.sweep.dir must not be in use by another sweep, got {self.folder}"
                ) from error
            yield

    def busy(self) -> bool:
        """Whether a process sweeps here now."""
        try:
            with self.locked():
                return False
        except ConfigError:
            return True

    def plan(self, command: str, asked: Sequence[tuple[str, Sequence[str]]]) -> list[Wanted]:
        """Give every point a number, its old one if it has one; write `sweep.json`.

        Args:
          command: hash of what was typed.
          asked: (hash of the settings, overrides) of each point.

        Returns:
          The points in the order asked for, each once.
        """
        earlier = {point.config: point for point in self.wanted()}
        free = 1 + max((point.number for point in earlier.values()), default=-1)
        points: dict[str, Wanted] = {}
        for key, overrides in asked:
            if key not in points:
                points[key] = earlier.get(key) or Wanted(free, key, tuple(overrides))
                free += key not in earlier
        everything = {**earlier, **points}
        rows = [asdict(point) for point in everything.values()]
        _replace(self.folder / SWEEP, {"command": command, "points": rows})
        return list(points.values())

    def wanted(self) -> list[Wanted]:
        """Every point that was ever asked for here."""
        return [_wanted(row) for row in _read(self.folder / SWEEP).get("points", [])]

    def ended(self) -> dict[str, Ended]:
        """Hash of the settings -> the end of that point; a done one still has its summary."""
        found = {}
        for path in (self.folder / ENDED).glob("*.json"):
            row = _read(path)
            if row:
                point = Ended(**{**row, "overrides": tuple(row["overrides"])})
                if point.error or (self.folder / point.folder / SUMMARY).is_file():
                    found[point.config] = point
        return found

    def missing(self, points: Sequence[Wanted]) -> list[Wanted]:
        """Those that are not done: never run, interrupted, or failed."""
        ended = self.ended()
        return [p for p in points if p.config not in ended or ended[p.config].error is not None]

    def forget(self, points: Sequence[Wanted]) -> None:
        """They are about to be run: how they ended before is of no interest."""
        for point in points:
            (self.folder / ENDED / f"{point.number}.json").unlink(missing_ok=True)

    def has_ended(self, point: Wanted) -> bool:
        """Whether a point that was forgotten has ended since."""
        return (self.folder / ENDED / f"{point.number}.json").exists()

    def record(self, point: Ended) -> None:
        """Write down how a point ended."""
        _replace(self.folder / ENDED / f"{point.number}.json", asdict(point))


def unfinished(root: Path, depth: int, command: str) -> Path | None:
    """The newest sweep of the same command that has points left and that nobody is working on."""
    found = [path.parent for path in root.glob(f"{'*/' * depth}{SWEEP}")]
    for folder in sorted(found, key=lambda place: place.parts, reverse=True):
        points = Points(folder)
        same = _read(folder / SWEEP).get("command") == command
        if same and points.missing(points.wanted()) and not points.busy():
            return folder
    return None


def command(overrides: Sequence[str]) -> str:
    """Hash of what was typed, in any order."""
    return hashlib.sha256("\n".join(sorted(overrides)).encode()).hexdigest()


def _wanted(row: dict[str, Any]) -> Wanted:
    return Wanted(row["number"], row["config"], tuple(row["overrides"]))


def _read(path: Path) -> dict[str, Any]:
    """The file's object; empty where there is none. Files appear whole."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return content


def _replace(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    Path(draft).replace(path)

"""The run directory on the way in and out.

In: a directory named after the time belongs to one run, also when two begin in the same second.
Out: what Hydra began for a run that did not finish goes again.
"""

import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from fedpate.commands._points import command, unfinished

# What a run pays for, or finishes with. (`federation.run_directory` removes a ledger that it made
# and that holds no charge.)
KEPT = ("summary.json", "labels.csv", "ledger.sqlite")
HYDRA, LOG, SWEEP = ".hydra", "fedpate.log", "multirun.yaml"
ATTEMPTS = 100


class OwnDirectory(Callback):
    """Hydra's callback: makes a dated `hydra.run.dir` or `hydra.sweep.dir` this process's own.

    A sweep that was interrupted goes on in its directory when the same command comes again. A
    directory that the user names is taken as it is: its ledger goes on.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Before the run directory is made."""
        if _dated(config, "run"):
            _take(config, "run", Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Before the sweep's directory is made."""
        pattern = _dated(config, "sweep")
        if not pattern:
            return
        root = Path(pattern.partition("${now:")[0])
        wanted = Path(config.hydra.sweep.dir)
        depth = len(wanted.parts) - len(root.parts)
        earlier = unfinished(root, depth, command(list(config.hydra.overrides.task)))
        _take(config, "sweep", wanted, earlier)


def _dated(config: DictConfig, part: str) -> str:
    """How a directory is named after the time; empty where it is not."""
    pattern = str(OmegaConf.to_container(config.hydra[part])["dir"])  # type: ignore[index,call-overload]
    return pattern if "${now:" in pattern else ""


def _take(config: DictConfig, part: str, wanted: Path, earlier: Path | None = None) -> None:
    # Where it cannot be made, Hydra fails at the same place and the user is told why.
    with suppress(OSError):
        folder = earlier or claim(wanted)
        quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra[part].dir = str(folder)
            # The points of a sweep are composed anew, from these.
            config.hydra.overrides.hydra.append(f"hydra.{part}.dir='{quoted}'")


def claim(wanted: Path) -> Path:
    """Make a directory that no other process has: `wanted`, or `wanted_1`, `wanted_2`, ...

    Raises:
      OSError: it cannot be made.
    """
    number = attempts = 0
    while True:
        folder = wanted.with_name(f"{wanted.name}_{number}") if number else wanted
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
        except FileExistsError:
            if not folder.is_dir():
                raise
            number += 1
        except FileNotFoundError:  # another process removed the emptied parent just now
            attempts += 1
            if attempts > ATTEMPTS:
                raise
        else:
            return folder


def discard_unfinished(folder: Path, since: float) -> bool:
    """Remove a run directory that holds nothing of value; returns whether it is gone.

    Only Hydra's records and the log are ever deleted, and only where no earlier run's results lie
    beside them: the directory may be one that the user keeps other things in.

    Args:
      folder: the run directory.
      since: when the run began (seconds since the epoch); an older log is not its own.
    """
    if any((folder / name).exists() for name in KEPT):
        return False
    for path in (folder / LOG, folder / SWEEP):
        if path.is_file() and path.stat().st_mtime >= since:
            path.unlink()
    shutil.rmtree(folder / HYDRA, ignore_errors=True)
    return remove_empty(folder)


def remove_empty(folder: Path) -> bool:
    """Remove an empty run directory, and `outputs/<date>` above it if that is empty then.

    Returns whether there is none now.
    """
    if not folder.is_dir() or any(folder.iterdir()):
        return not folder.exists()
    folder.rmdir()
    date = folder.parent
    if re.fullmatch(r"\d{4}-\d\d-\d\d", date.name):
        with suppress(OSError):  # not empty, or gone: another run is there, or was
            date.rmdir()
            if date.parent.name in ("outputs", "multirun"):
                date.parent.rmdir()
    return True

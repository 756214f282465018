"""The run directory on the way out: what Hydra began for a run that did not finish goes again."""

import re
import shutil
from pathlib import Path

# What a run pays for, or finishes with. (`federation.run_directory` removes a ledger that it made
# and that holds no charge.)
KEPT = ("summary.json", "labels.csv", "ledger.sqlite")
HYDRA, LOG, SWEEP = ".hydra", "fedpate.log", "multirun.yaml"


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
    return _remove_empty(folder)


def _remove_empty(folder: Path) -> bool:
    """Remove an empty run directory, and `outputs/<date>` above it if that is empty then."""
    if not folder.is_dir() or any(folder.iterdir()):
        return not folder.exists()
    folder.rmdir()
    date = folder.parent
    if re.fullmatch(r"\d{4}-\d\d-\d\d", date.name) and not any(date.iterdir()):
        date.rmdir()
        if date.parent.name in ("outputs", "multirun") and not any(date.parent.iterdir()):
            date.parent.rmdir()
    return True

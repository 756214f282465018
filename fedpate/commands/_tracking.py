"""A finished run is told to the tracker that `tracking=` names."""

import logging
from pathlib import Path

from fedpate.federation.settings import Run

log = logging.getLogger(__name__)


def track(run: Run, folder: Path, ledger: Path | None = None) -> None:
    """Tell it. A tracker that fails costs a line in the log: the run is done and paid for.

    Args:
      run: the settings.
      folder: the run directory.
      ledger: where the run paid, if not where `privacy.ledger` says.
    """
    if run.tracking is None or run.tracking.name == "none":
        return
    from fedpate.tracking.record import Record

    own = Path(run.privacy.ledger) if run.privacy.ledger else None
    try:
        run.tracking.track(Record.read(folder, ledger or own))
    except Exception as error:  # noqa: BLE001 - whatever a store, a server or a network comes up with
        line = (str(error).splitlines() or [""])[0]
        log.warning("tracking=%s failed: %s %s", run.tracking.name, type(error).__name__, line)

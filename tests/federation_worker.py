"""Runs a small federation in a process of its own, which can be stopped at a named moment.

Usage: federation_worker.py RUN_FILE OUT MOMENT. At MOMENT the process writes `OUT.reached` and
waits to be killed: "greeted", "training", "voting", "charged" (paid, no noise drawn yet), "gated"
(threshold bits drawn, no answer paid for), "drawn" (noise drawn, nothing released), "released", or
"submitted" (engine=flower).
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from fedpate.federation import evaluation, hospital, members
from fedpate.federation.engines import flower, simulate
from fedpate.federation.settings import Run
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.privacy.mechanisms import ConfidentMax, GaussianMax

MOMENTS = {  # moment -> (owner, name of a function that is reached then)
    "greeted": (members.Members, "train"),
    "training": (hospital.Hospital, "train"),
    "voting": (hospital.Hospital, "answer"),
    "charged": (GaussianMax, "release"),
    "gated": (ConfidentMax, "answer"),
    "drawn": (PrivacyLedger, "release"),
    "submitted": (flower, "_follow"),
    "released": (evaluation, "train_student"),
}


def main(run_file: str, out: str, moment: str) -> None:
    def wait(*_, **__):
        Path(f"{out}.reached").touch()
        time.sleep(600)

    setattr(*MOMENTS[moment], wait)
    simulate(Run.from_json(Path(run_file).read_text()), Path(out))


def start(run: Run, out: Path, moment: str) -> subprocess.Popen:
    """A worker process, once it has reached the moment."""
    run_file = Path(f"{out}.json")
    run_file.write_text(run.to_json())
    worker = subprocess.Popen(
        [sys.executable, __file__, str(run_file), str(out), moment],
        env={**os.environ, "TMPDIR": str(out.parent)},
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 120
    while not Path(f"{out}.reached").exists():
        assert worker.poll() is None, worker.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return worker


if __name__ == "__main__":
    main(*sys.argv[1:])

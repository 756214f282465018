"""Runs a small federation in a process of its own, which can be stopped at a named moment.

Usage: federation_worker.py RUN_FILE OUT MOMENT. At MOMENT the process writes `OUT.reached` and
waits to be killed: "greeted", "training", "voting", "charged" (paid, no noise drawn yet), "drawn"
(noise drawn, nothing released) or "released".
"""

import sys
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore", category=DeprecationWarning)

from fedpate.federation import evaluation, hospital, members, purchase  # noqa: E402
from fedpate.federation.engines import simulate  # noqa: E402
from fedpate.federation.settings import Run  # noqa: E402
from fedpate.privacy.ledger import PrivacyLedger  # noqa: E402

MOMENTS = {  # moment -> (owner, name of a function that is reached then)
    "greeted": (members.Members, "train"),
    "training": (hospital.Hospital, "train"),
    "voting": (hospital.Hospital, "answer"),
    "charged": (purchase, "release"),
    "drawn": (PrivacyLedger, "release"),
    "released": (evaluation, "train_student"),
}


def main(run_file: str, out: str, moment: str) -> None:
    def wait(*_, **__):
        Path(f"{out}.reached").touch()
        time.sleep(600)

    setattr(*MOMENTS[moment], wait)
    simulate(Run.from_json(Path(run_file).read_text()), Path(out))


if __name__ == "__main__":
    main(*sys.argv[1:])

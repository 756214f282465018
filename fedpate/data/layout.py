"""A simulation's private records as files: what each hospital would hold if it were real.

For trying a deployment out, and for holding it against the simulation: a hospital called
`hospital-3` that reads its file deals the same patients to the same teachers.
"""

from pathlib import Path

import numpy as np

from fedpate.data.federated import Federated


def lay_out(truth: Federated, folder: Path) -> dict[str, Path]:
    """Write `hospital-N.npz` for every hospital, readable by its owner only.

    Returns:
      Hospital -> its file, with arrays `features`, `labels` and `patients`; a site file reads it
      with `missing: true` where values may be missing.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = {}
    for hospital in range(truth.partition.n_hospitals):
        rows = truth.split.private_rows[truth.partition.hospital_of_record == hospital]
        path = folder / f"hospital-{hospital}.npz"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        with path.open("wb") as file:
            np.savez_compressed(
                file,
                features=truth.dataset.features[rows],
                labels=truth.dataset.labels[rows],
                patients=truth.dataset.patients[rows],
            )
        files[path.stem] = path
    return files

"""A real federation gives what the simulation gives: provision, start, deploy, real processes."""

import csv
import json

import pytest

from deployments import Federation
from fedpate.data.federated import federate
from fedpate.data.heart import FILES
from fedpate.data.partition import PARTITIONS
from fedpate.data.sources import SOURCES

# Flower's builder of bundles calls an old name in pathspec.
pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")

SEED, TEACHERS = 3, 3
SETTINGS = [
    *("data=heart_disease", "teacher=sklearn", "student=sklearn", "queries=20"),
    *(f"seed={SEED}", "noise_seed=5", f"teachers_per_hospital={TEACHERS}"),
    *("mechanism.noise_scale=8", "privacy.budget.patient=20"),
]


def lay_out_heart_files(root, folder):
    """Each hospital's own file, as UCI ships it: the lines that a simulation deals to it."""
    data = federate(
        SOURCES["heart_disease"](str(root)), PARTITIONS["natural"](), None, TEACHERS, SEED
    )
    lines = []
    for name in FILES.values():
        text = (root / "heart-disease" / name).read_text(encoding="ascii")
        lines += [line for line in text.splitlines() if line.strip()]
    places = {}
    for hospital, name in enumerate(FILES.values()):
        rows = data.split.private_rows[data.partition.hospital_of_record == hospital]
        places[f"hospital-{hospital}"] = folder / name
        (folder / name).write_text("\n".join(lines[row] for row in rows) + "\n")
    return places


def labels(folder):
    with (folder / "labels.csv").open() as file:
        return list(csv.reader(file))


@pytest.mark.data
@pytest.mark.processes
def test_four_hospitals_with_their_heart_files_give_the_labels_of_the_simulation(
    tmp_path, data_root
):
    files = lay_out_heart_files(data_root, tmp_path)
    federation = Federation(tmp_path, *files)
    try:
        federation.coordinator()
        for name, path in files.items():
            federation.hospital(name, path)
        simulated, deployed = tmp_path / "simulated", tmp_path / "deployed"
        root = f"data.root={data_root}"
        one = federation.command(
            "simulate", *SETTINGS, root, "partition=natural", f"hydra.run.dir={simulated}"
        )
        assert one.wait() == 0, one.text()
        deploy = ("deploy", federation.home.folder, *SETTINGS, root, f"hydra.run.dir={deployed}")
        run = federation.command(*deploy)
        assert run.wait() == 0, run.text()
        assert labels(deployed) == labels(simulated)
        summary = json.loads((deployed / "summary.json").read_text())
        assert summary["federation"]["engine"] == "deployment"
        assert summary["federation"]["teachers_present"] == 4 * TEACHERS
    finally:
        federation.stop()

"""The four hospitals of UCI's heart disease study, each with its own file, as in the simulation."""

import csv

from fedpate.data.federated import federate
from fedpate.data.heart import FILES
from fedpate.data.partition import PARTITIONS
from fedpate.data.sources import SOURCES

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

"""Settings of `student=torch` side by side, on labels of which a known share is wrong.

    python experiments/student_settings.py digits 100 batch_size=32,epochs=80 members=3
    python experiments/student_settings.py mnist 250 channels=16:64 --seeds 6 --root DIR

The first row has the default settings, every other one those named (items of a list between
colons). All of them learn from the same records with the same wrong labels and are scored on the
same other records, so their differences are far smaller than the spread of each. A table in
Markdown: the share right for each share of wrong labels, the mean difference from the first row
with its standard error, and the CPU seconds of a student.
"""

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fedpate.data.dataset import Dataset
from fedpate.data.preprocessing import Preprocessing
from fedpate.data.sources import SOURCES
from fedpate.learning.fitted_student import NetStudent
from fedpate.learning.supervised import TorchStudent
from fedpate.records import LabelledData
from fedpate.rng import stream

WRONG = (0.05, 0.2, 0.45)
MOST_TESTED = 4000
FEWEST_FITTED = 1000  # records that scale a table's columns, as a pool would


def settings(text: str) -> TorchStudent:
    """A student of the default settings but for those in `text`."""
    given: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        lists = name in ("channels", "hidden", "table_hidden")
        given[name] = yaml.safe_load(f"[{value.replace(':', ',')}]" if lists else value)
    return dataclasses.replace(TorchStudent(), **given)


def score(student: TorchStudent, data: Dataset, n: int, wrong: float, seed: int) -> float:
    """Share of records that a student of `n` labels gets right."""
    rng = stream(seed, "student settings")
    order = rng.permutation(len(data.labels))
    train, test = order[:n], order[n:][:MOST_TESTED]
    labels = data.labels[train].copy()
    flipped = rng.random(n) < wrong
    moved = rng.integers(1, data.n_classes, flipped.sum())
    labels[flipped] = (labels[flipped] + moved) % data.n_classes
    shard = LabelledData(data.features[train], labels, data.n_classes)
    preprocessing = Preprocessing.fit(
        data.features[order[: max(n, FEWEST_FITTED)]],
        missing_allowed=data.missing_allowed,
        full_scale=data.full_scale,
    )
    seeds = [seed * 100 + member for member in range(student.members)]
    networks = student.networks([shard] * student.members, preprocessing, seeds, "cpu", None)
    answers = NetStudent(networks).predict(data.features[test]).argmax(axis=1)
    return float((answers == data.labels[test]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", choices=("digits", "breast_cancer", "mnist", "adult"))
    parser.add_argument("labels", type=int)
    parser.add_argument("others", nargs="*", metavar="SETTING=VALUE,...")
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--root", type=Path, help="where mnist or adult is")
    asked = parser.parse_args()
    source = SOURCES[asked.data]
    data = (source() if asked.root is None else source(root=str(asked.root))).load()
    shares = " | ".join(f"{100 * wrong:g} % wrong" for wrong in WRONG)
    print(f"| settings | {shares} | difference | CPU s |")
    print("|---|" + "---:|" * (len(WRONG) + 2))
    first = None
    for text in ["", *asked.others]:
        student, start = settings(text), time.process_time()
        found = np.array(
            [[score(student, data, asked.labels, w, s) for s in range(asked.seeds)] for w in WRONG]
        )
        taken = (time.process_time() - start) / found.size
        first = found if first is None else first
        paired = (found - first).mean(axis=0)
        error = paired.std(ddof=1) / np.sqrt(asked.seeds)
        right = " | ".join(f"{100 * row:.1f} %" for row in found.mean(axis=1))
        told = f"{100 * paired.mean():+.2f} +- {100 * error:.2f}"
        print(f"| {text or 'the default'} | {right} | {told} | {taken:.2f} |", flush=True)


if __name__ == "__main__":
    main()

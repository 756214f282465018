"""How time and memory grow from 10 to 1,000 teachers, as a picture and a table.

    OMP_NUM_THREADS=1 python experiments/bench/bench_growth.py [--most 1000] [--figure FILE.svg]

The default networks on random 28 x 28 images, 240 records per teacher, five epochs, as in
bench_learning.py. Each size is a process of its own, so that its peak of memory is its own; what an
empty one takes is subtracted. Memory is bounded by the stacks that train at a time, but the records
and the trained weights of all teachers are there, too. CPU seconds of one thread. Prints Markdown.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from bench_learning import BATCH, CLASSES, NETS, SHAPE, members, train_stacks

from fedpate.data.preprocessing import Preprocessing
from fedpate.learning.fitted import TorchTeacher
from fedpate.learning.schedule import Training
from fedpate.learning.voting import count_votes
from fedpate.rng import stream

SIZES = (10, 30, 100, 300, 1000)
FIGURE = Path(__file__).resolve().parents[1] / "figures" / "growth.svg"


def measure(name: str, n: int) -> dict[str, float]:
    """In this process: seconds and megabytes of `n` teachers."""
    torch.set_num_threads(1)
    empty = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    net, training = NETS[name], Training(5, 1, 10**6, BATCH, 0.003, 0.01)
    some = members(net, n, training)
    start = time.process_time()
    trained = train_stacks(net, some, training)
    trained_s = time.process_time() - start
    untouched = Preprocessing(None, np.array(0, np.float32), np.array(1, np.float32))
    teachers = [TorchTeacher(net, params, untouched) for params in trained]
    queries = stream(0, "queries").random((1000, *SHAPE), np.float32)
    start = time.process_time()
    count_votes(teachers, queries, CLASSES)
    voted_s = time.process_time() - start
    megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - empty) / 1024
    return {"training": trained_s, "voting": voted_s, "memory": megabytes}


def measured_apart(name: str, n: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--one", name, str(n)],
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def draw(found: dict[str, dict[int, dict[str, float]]], path: Path) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fedpate", "font.size": 10}):
        figure = Figure(figsize=(7, 3), layout="constrained")
        time_axes, memory_axes = figure.subplots(1, 2)
        for name, rows in found.items():
            sizes = sorted(rows)
            for what, line in (("training", "-"), ("voting", ":")):
                values = [rows[n][what] for n in sizes]
                time_axes.loglog(sizes, values, line, marker="o", ms=3, label=f"{name} {what}")
            memory_axes.loglog(sizes, [rows[n]["memory"] for n in sizes], "o-", ms=3, label=name)
        time_axes.set_ylabel("CPU seconds")
        memory_axes.set_ylabel("MB of memory")
        for axes in (time_axes, memory_axes):
            axes.set_xlabel("teachers")
            axes.legend(fontsize=8)
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--most", type=int, default=SIZES[-1])
    parser.add_argument("--figure", type=Path, default=FIGURE)
    parser.add_argument("--one", nargs=2, metavar=("NET", "TEACHERS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, n = arguments.one
        print(json.dumps(measure(name, int(n))))
        return
    found: dict[str, dict[int, dict[str, float]]] = {}
    print("| net | teachers | training, s | 1,000 queries, s | memory, MB |")
    print("|---|---:|---:|---:|---:|")
    for name in NETS:
        for n in SIZES:
            if n <= arguments.most:
                row = found.setdefault(name, {})[n] = measured_apart(name, n)
                print(
                    f"| {name} | {n} | {row['training']:.2f} | {row['voting']:.2f} "
                    f"| {row['memory']:.0f} |",
                    flush=True,
                )
    draw(found, arguments.figure)


if __name__ == "__main__":
    main()

"""What the federation costs beside the training, and what a second run costs; counting votes.

    OMP_NUM_THREADS=1 python experiments/bench/bench_federation.py --root DIR [--teacher mlp|cnn]

DIR holds MNIST as `data.root` does. CPU seconds of this process, on one thread. Prints Markdown.

  bare        the same 250 teachers in the same stacks, by `train_teachers` alone, nothing stored
  first run   `fedpate simulate` in this process: data, messages, training, 1,000 queries, ledger,
              release, a logistic regression as the student, run directory
  second run  the same with another noise scale: the teachers are in the store
  counting    1,000,000 queries x 250 teachers x 10 classes: classes -> counts -> GNMax labels,
              a hospital of 25 teachers at a time, in chunks; beside one copy of the classes (2 GB,
              as networks give them) in memory
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fedpate.data.federated import federate
from fedpate.data.partition import PARTITIONS
from fedpate.data.sources import SOURCES
from fedpate.federation.engines import simulate
from fedpate.federation.settings import Run
from fedpate.learning.students import STUDENTS
from fedpate.learning.teachers import TEACHERS, teacher_seed, train_teachers
from fedpate.learning.voting import QUERIES_AT_ONCE, tally
from fedpate.privacy.mechanisms import MECHANISMS
from fedpate.privacy.noise import OsEntropy
from fedpate.records import Ints, PredictionVectors, Votes
from fedpate.rng import stream

QUERIES, TEACHERS_EACH, HOSPITALS, CLASSES = 1_000_000, 25, 10, 10
CHUNK = QUERIES_AT_ONCE  # as votes are counted in a run


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def the_run(root: str, teacher: str, noise_scale: float, store: Path) -> Run:
    return Run(
        data=SOURCES["mnist"](root=root),
        partition=PARTITIONS["iid"](),
        teacher=TEACHERS[teacher](),
        mechanism=MECHANISMS["gnmax"](noise_scale=noise_scale),
        student=STUDENTS["sklearn"](),
        hospitals=HOSPITALS,
        teachers_per_hospital=TEACHERS_EACH,
        queries=1000,
        baselines="none",
        store=str(store),
    )


def train_bare(run: Run) -> None:
    data = federate(run.data, run.partition, run.hospitals, run.teachers_per_hospital, run.seed)
    shards, seeds = [], []
    for hospital in range(HOSPITALS):
        for index, shard in enumerate(data.shards(hospital)):
            shards.append(shard)
            seeds.append(teacher_seed(run.seed, f"hospital-{hospital}", index))
    train_teachers(run.teacher, shards, data.preprocessing(), seeds)


def table_of_runs(root: str, teacher: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        first, second = (the_run(root, teacher, noise, place / "store") for noise in (40.0, 60.0))
        federate(first.data, first.partition, HOSPITALS, TEACHERS_EACH, first.seed)  # both need it
        bare = seconds(lambda: train_bare(first))
        one = seconds(lambda: simulate(first, place / "one"))
        two = seconds(lambda: simulate(second, place / "two"))
    print("| what | CPU s | |\n|---|---:|---:|")
    print(f"| {teacher}: bare training | {bare:.1f} | |")
    print(f"| {teacher}: first run | {one:.1f} | {one / bare:.2f} x bare |")
    print(
        f"| {teacher}: second run, other noise | {two:.1f} | {100 * two / one:.1f} % of the first |"
    )


def table_of_counting() -> None:
    rng = stream(0, "votes")
    answers = rng.integers(0, CLASSES, (HOSPITALS * TEACHERS_EACH, CHUNK))
    chunks = -(-QUERIES // CHUNK)
    mechanism = MECHANISMS["gnmax"](noise_scale=40.0)
    large = np.ones(2**24, np.int64)  # larger than any cache
    copied = np.empty_like(large)
    ids = np.arange(CHUNK)
    np.copyto(copied, large)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    parts = [answers[at : at + TEACHERS_EACH] for at in range(0, len(answers), TEACHERS_EACH)]

    def count() -> list[Ints]:
        return [tally(part, CLASSES) for part in parts]

    counts = count()

    def add() -> Votes:
        return Votes.tally([PredictionVectors(ids, each, TEACHERS_EACH) for each in counts])

    votes = add()
    share = chunks * answers.size / large.size
    read = share * min(seconds(lambda: np.copyto(copied, large)) for _ in range(3))
    counted = chunks * min(seconds(count) for _ in range(9))
    added = chunks * min(seconds(add) for _ in range(9))
    released = chunks * min(
        seconds(lambda: mechanism.release(votes, OsEntropy())) for _ in range(3)
    )
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"| one copy of 250 million votes | {read:.2f} | |")
    print(f"| counting them | {counted:.2f} | {counted / read:.1f} x the copy |")
    print(f"| checking and adding ten hospitals' counts | {added:.2f} | |")
    print(f"| secure noise and arg max | {released:.2f} | |")
    print(f"| memory beside the votes of {CHUNK} queries, MB | {grown:.0f} | |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--root", default="data")
    parser.add_argument("--teacher", choices=("mlp", "cnn"), default="mlp")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table_of_runs(arguments.root, arguments.teacher)
    table_of_counting()


if __name__ == "__main__":
    main()

"""What a further point of a sweep costs: 45 points on digits, beside their first three.

Five epsilons, three mechanisms and three seeds. The first three points are the three seeds, each
of which trains its teachers; every other point finds them in the store. Both commands are run as a
user types them, each with an empty store, one after the other, so the ratio is one of wall clocks
on one machine.

    python experiments/bench/bench_sweep.py
    python experiments/bench/bench_sweep.py hydra.launcher.jobs=1

Prints a Markdown table; exits with 1 if the sweep takes 3 times as long or longer.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

FIRST = ("mechanism=laplace", "privacy.target_epsilon=0.5", "seed=0,1,2")
ALL = ("mechanism=laplace,gnmax,confident", "privacy.target_epsilon=0.5,1,2,4,8", "seed=0,1,2")
REPEATS = 3
GOAL = 3.0


def seconds(points: Sequence[str], more: Sequence[str]) -> float:
    """Wall clock of one sweep that finds nothing."""
    with tempfile.TemporaryDirectory() as folder:
        places = (f"store={folder}/store", f"hydra.sweep.dir={folder}/sweep")
        command = [sys.executable, "-m", "fedpate", "simulate", "-m", "data=digits"]
        start = time.perf_counter()
        done = subprocess.run(
            [*command, *points, *places, *more], capture_output=True, text=True, check=False
        )
        taken = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(done.stderr)
        assert len(list(Path(folder, "sweep").glob("*/summary.json"))) in (3, 45)
    return taken


def main(more: Sequence[str]) -> int:
    """Run both and compare."""
    print("| first 3 points, s | 45 points, s | ratio | a further point, s |")
    print("|---:|---:|---:|---:|")
    ratios = []
    for _ in range(REPEATS):
        first, all_ = seconds(FIRST, more), seconds(ALL, more)
        ratios.append(all_ / first)
        further = (all_ - first) / 42
        print(f"| {first:.1f} | {all_:.1f} | {ratios[-1]:.2f} | {further:.2f} |", flush=True)
    median = statistics.median(ratios)
    print(f"\nmedian {median:.2f}, goal below {GOAL:g}")
    return int(median >= GOAL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

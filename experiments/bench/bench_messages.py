"""What the federation's messages cost: one round of no-ops, against plain function calls.

A round is what the coordinator does with every question: make one message per hospital, have the
grid copy and deliver it, let the ClientApp find its handler, copy the reply back, check it. The
hospitals do nothing. The limit is the same handler called in a loop with no message at all.

    python experiments/bench/bench_messages.py           # in-process
    python experiments/bench/bench_messages.py --pool    # and the process pool, workers warm

Prints a Markdown table; exits with 1 if an in-process round of 250 hospitals takes 0.1 s or more.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

from flwr.app import Context, Message, RecordDict

from fedpate.federation import client_app, wire
from fedpate.federation.engines import CLIENT_APP
from fedpate.federation.engines.identity import acting_as_coordinator
from fedpate.federation.engines.inprocess import InProcessGrid
from fedpate.federation.engines.local_grid import LocalGrid
from fedpate.federation.engines.pool import PoolGrid, worker_pool
from fedpate.federation.members import Members
from fedpate.federation.progress import LogProgress

SIZES = (10, 50, 250)
REPEATS = 15
LIMIT_S = 0.1  # in-process, 250 hospitals


def seconds(work: Callable[[], None]) -> float:
    """Median time of a call, after one to warm up."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def round_of(grid: LocalGrid) -> Callable[[], None]:
    """One checked round of `query.hello` with every hospital."""
    n = len(grid.contexts)

    def work() -> None:
        display = LogProgress()
        display.stage("hospitals", n)
        members = Members(grid, n, n, 60.0, display)
        members.greet()
        assert len(members.present) == n

    return work


def calls(n: int) -> Callable[[], None]:
    """The handler of `query.hello`, called n times in a loop."""
    contexts = [Context(1, 1, {"partition-id": index}, RecordDict(), {}) for index in range(n)]
    message = Message(wire.hello_request(), 1, wire.HELLO)

    def work() -> None:
        for context in contexts:
            client_app.hello(message, context)

    return work


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", action="store_true", help="also measure engine=pool")
    with_pool = parser.parse_args().pool
    print("| engine | hospitals | round | per message | plain calls | ratio |")
    print("|---|---:|---:|---:|---:|---:|")
    slowest = 0.0

    def row(engine: str, n: int, taken: float) -> None:
        plain = seconds(calls(n))
        each, ratio = taken / n * 1e6, taken / plain
        cells = f"{taken * 1e3:.1f} ms | {each:.0f} µs | {plain * 1e3:.1f} ms | {ratio:.1f}"
        print(f"| {engine} | {n} | {cells} |")

    with acting_as_coordinator(1):
        for n in SIZES:
            slowest = seconds(round_of(InProcessGrid(client_app.app, n)))
            row("inprocess", n, slowest)
        if with_pool:
            with worker_pool(max(SIZES)) as workers:
                for n in SIZES:
                    row("pool", n, seconds(round_of(PoolGrid(workers, CLIENT_APP, n))))
    return int(slowest >= LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())

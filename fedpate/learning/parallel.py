"""Several models at a time on several cores, each operation on one.

A kernel that splits its work over threads may add in another order, and training amplifies the last
bit into other votes. So every operation runs on one core, and cores are filled with whole stacks of
models instead: results do not depend on how many cores there are.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

J = TypeVar("J")
R = TypeVar("R")
Stopped = Callable[[], bool]


def cores() -> int:
    """How many threads torch may use in this process (OMP_NUM_THREADS, torch.set_num_threads)."""
    return torch.get_num_threads()


def run_all(function: Callable[[J, Stopped], R], jobs: Sequence[J]) -> list[R]:
    """`function` of every job, as many at a time as there are cores; in the order of the jobs.

    Args:
      function: takes a job, and a function that says whether to give up, to be asked often: after
        an error or Ctrl-C nobody waits for a training to end.
      jobs: what to run it on.
    """
    stop = threading.Event()
    with _one_core_per_operation() as workers:
        if min(workers, len(jobs)) <= 1:
            return [function(job, stop.is_set) for job in jobs]
        with ThreadPoolExecutor(
            workers, "fedpate", initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            futures = [pool.submit(function, job, stop.is_set) for job in jobs]
            try:
                return [future.result() for future in futures]
            except BaseException:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise


@contextmanager
def _one_core_per_operation() -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield before
    finally:
        torch.set_num_threads(before)

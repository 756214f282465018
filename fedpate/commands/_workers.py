"""Processes that run points of a sweep, one at a time in each.

They load what a run needs while the first points run elsewhere, leave Ctrl-C to the process that
started them, clean up after SIGTERM, and end when that process does. One that dies costs its point.
"""

import multiprocessing
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hydra import version
from hydra.core.utils import JobRuntime, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from fedpate._conf import HYDRA
from fedpate.commands._points import Wanted
from fedpate.commands._run_directory import discard_unfinished

GRACE_S = 10.0  # to clean up after an interruption
# Where processes are forked from one that does nothing else, that one loads this for all of them.
PRELOADED = (
    *("fedpate.commands._one_run", "fedpate.federation.engines", "fedpate.federation.coordinator"),
    *("fedpate.federation.student_files", "fedpate.learning.supervised", "fedpate.report.page"),
)
Died = Callable[[Wanted, DictConfig], None]


@dataclass(frozen=True)
class Work:
    """What is done with every point."""

    task: TaskFunction
    callbacks: Any  # Hydra's
    name: str  # Hydra's, of the job
    threads: int  # of torch, in each process

    def do(self, cfg: DictConfig) -> None:
        """Run one point as Hydra does; the task itself tells how it ended."""
        since = time.time() - 1  # file systems round their clocks
        try:
            run_job(
                task_function=self.task,
                config=cfg,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
                hydra_context=HydraContext(None, self.callbacks),  # type: ignore[arg-type]
            )
        except KeyboardInterrupt:  # also while Hydra writes its records, before the task
            discard_unfinished(Path(cfg.hydra.sweep.dir) / cfg.hydra.sweep.subdir, since)
            raise


class Workers:
    """So many processes; inside `with` they are there, afterwards none is."""

    def __init__(self, n: int, work: Work) -> None:
        self._work = work
        self._context = _context()
        self._all = [self._start() for _ in range(n)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        for worker in self._all:
            worker.pipe.close()  # who waits for a point ends
            if kind is not None:
                worker.process.terminate()
        for worker in self._all:
            worker.process.join(GRACE_S)
            worker.process.kill()
            worker.process.join()

    def do(self, points: Sequence[tuple[Wanted, DictConfig]], died: Died) -> None:
        """Have every point run, in this order; `died` gets those whose process died.

        Raises:
          Exception: what Hydra raised around a point.
        """
        waiting, idle = deque(points), list(self._all)
        busy: dict[_Worker, tuple[Wanted, DictConfig]] = {}
        while waiting or busy:
            while waiting and idle:
                worker = idle.pop()
                busy[worker] = waiting.popleft()
                worker.give(busy[worker][1])
            told = wait([worker.pipe for worker in busy])
            for worker in [one for one in busy if one.pipe in told]:
                point = busy.pop(worker)
                if worker.done():
                    idle.append(worker)
                else:
                    died(*point)
                    idle.append(self._replace(worker))

    def _start(self) -> "_Worker":
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._work))
        process.start()
        theirs.close()  # the end of the process is then the end of the pipe
        return _Worker(process, ours)

    def _replace(self, dead: "_Worker") -> "_Worker":
        self._all.remove(dead)
        dead.pipe.close()
        dead.process.join()
        self._all.append(self._start())
        return self._all[-1]


@dataclass(frozen=True, eq=False)
class _Worker:
    process: Any
    pipe: Connection

    def give(self, cfg: DictConfig) -> None:
        with suppress(BrokenPipeError):  # it died while it had nothing to do: `done` tells
            self.pipe.send(cfg)

    def done(self) -> bool:
        """Whether its point has come to an end; False if the process has instead."""
        try:
            failure = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            return False
        if failure is not None:
            raise failure
        return True


def _context() -> Any:
    """Forked from a process that has loaded everything and runs nothing; elsewhere, fresh ones."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def _serve(pipe: Connection, work: Work) -> None:
    """In a worker: run what comes."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # raises KeyboardInterrupt
    from fedpate.federation.engines.processes import begin_worker

    begin_worker(work.threads)
    setup_globals()
    version.setbase(HYDRA)
    JobRuntime.instance().set("name", work.name)
    with suppress(KeyboardInterrupt, EOFError, BrokenPipeError):  # interrupted, or no more points
        while True:
            cfg = pipe.recv()
            try:
                work.do(cfg)
            except Exception as error:  # noqa: BLE001 - the caller's to tell
                pipe.send(error)
            else:
                pipe.send(None)

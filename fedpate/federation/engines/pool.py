"""engine=pool: the ClientApp in a pool of processes, one message at a time in each.

Workers are spawned, import the app by its name, and end when their parent does.
"""

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from fedpate.errors import EngineError
from fedpate.federation.engines.local_grid import (
    LocalGrid,
    across_the_wire,
    deliver,
    number,
    received,
)
from fedpate.federation.engines.processes import begin_worker

MOST_WORKERS = 8
WAIT_S = 0.05
WORKER_DIED = (
    "a worker of engine=pool died: was it out of memory, or does a script call fedpate.simulate "
    'without `if __name__ == "__main__":`?'
)


class PoolGrid(LocalGrid):
    """A grid whose nodes are tasks of a process pool."""

    def __init__(self, executor: ProcessPoolExecutor, app: str, n_nodes: int) -> None:
        super().__init__(n_nodes)
        self._executor, self._app = executor, app
        self._pending: dict[str, Future[tuple[bytes, Context]]] = {}

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Hand every message to the pool."""
        ids = []
        for message in messages:
            ids.append(number(message))
            context = self.contexts[message.metadata.dst_node_id]
            task = self._executor.submit(_work, self._app, across_the_wire(message), context)
            self._pending[ids[-1]] = task
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Replies that are ready; waits a moment if none is.

        Raises:
          EngineError: a worker died.
        """
        tasks = {self._pending[id_]: id_ for id_ in message_ids if id_ in self._pending}
        ready, _ = wait(tasks, timeout=WAIT_S, return_when=FIRST_COMPLETED)
        replies = []
        for task in ready:
            del self._pending[tasks[task]]
            try:
                data, context = task.result()
            except BrokenProcessPool as error:
                raise EngineError(WORKER_DIED) from error
            self.contexts[context.node_id] = context
            replies.append(received(data))
        return replies


@contextmanager
def worker_pool(n_hospitals: int) -> Iterator[ProcessPoolExecutor]:
    """A pool that leaves no process behind, however it ends."""
    cores = os.cpu_count() or 1
    workers = max(1, min(cores, n_hospitals, MOST_WORKERS))
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=begin_worker,
        initargs=(max(1, cores // workers),),
    )
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
            process.join()


@lru_cache(maxsize=1)
def _app(name: str) -> ClientApp:
    module, attribute = name.split(":")
    app: ClientApp = getattr(import_module(module), attribute)
    return app


def _work(app: str, data: bytes, context: Context) -> tuple[bytes, Context]:
    return deliver(_app(app), data, context), context

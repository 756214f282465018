"""Who this process is to Flower: messages can only be made by somebody."""

from collections.abc import Iterator
from contextlib import contextmanager

from flwr.supercore.task_identity import TaskIdentity

COORDINATOR_NODE = 1  # as Flower's own SuperLink calls itself

# Not public in Flower 1.41: `Message` reads it, and only Flower's own runtimes set it.


@contextmanager
def acting_as_coordinator(run_id: int) -> Iterator[None]:
    """Inside, this process may make messages of the given run."""
    before = dict(vars(TaskIdentity))
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = run_id, COORDINATOR_NODE, 1
    try:
        yield
    finally:
        for name in ("_run_id", "_node_id", "_task_id"):
            setattr(TaskIdentity, name, before[name])

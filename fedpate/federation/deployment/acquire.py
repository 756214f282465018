"""An executor's loop: ask Flower's Runtime API for tasks, with the secret that allows it.

Flower's own `flower-superexec` takes every type of task and hands the task's token to a new process
on its command line, where every user of the machine can read it and then act as the coordinator.
Here only one type is asked for, and the token stays in memory.
"""

import time
from collections.abc import Callable

import httpx
from flwr.proto.runtime_pb2 import AcquireTaskRequest
from flwr.proto.task_pb2 import Task
from flwr.supercore.constant import TaskType
from flwr.supercore.interceptors import (
    RuntimeVersionHttpInterceptor,
    SuperExecAuthHttpInterceptor,
)
from flwr.supercore.runtime import RuntimeHttpClient

POLL_S = 0.5
AWAY_S = 3.0  # the Runtime API does not answer: it may be starting again
ACQUIRE = "/flwr.proto.Runtime/AcquireTask"

Launch = Callable[[str, Task], None]


def acquire_forever(
    address: str,
    task_type: TaskType,
    secret: bytes,
    launch: Launch,
    ca: bytes | None = None,
) -> None:
    """Ask for tasks of one type and launch them, one after the other, for ever.

    Args:
      address: host:port of the Runtime API.
      task_type: the only type asked for.
      secret: of the SuperExec.
      launch: gets a task's token and the task.
      ca: PEM; None for plain HTTP on loopback.
    """
    client = RuntimeHttpClient.from_server_address(
        address,
        insecure=ca is None,
        root_certificates=ca,
        interceptors=[
            RuntimeVersionHttpInterceptor(component_name="SuperExec"),
            SuperExecAuthHttpInterceptor(master_secret=secret, protected_methods={ACQUIRE}),
        ],
    )
    request = AcquireTaskRequest(supported_task_types=[task_type])
    while True:
        try:
            answer = client.AcquireTask(request)
        except httpx.TransportError:
            time.sleep(AWAY_S)
            continue
        if answer.HasField("task") and answer.token:
            launch(answer.token, answer.task)
        else:
            time.sleep(POLL_S)

"""Runs the coordinator's ServerApps, each in a process of its own.

A task's token lets its holder read every hospital's votes: it travels to the new process through a
pipe, not through a command line. Run as `python -m ...server_executor KIT`.
"""

import json
import subprocess
import sys
from pathlib import Path

from flwr.proto.task_pb2 import Task
from flwr.supercore.constant import TaskType

from fedpate.federation.deployment import child, secrets
from fedpate.federation.deployment.acquire import acquire_forever
from fedpate.federation.kit import STATE, CoordinatorKit


def main() -> None:
    """Acquire and launch until SIGTERM."""
    child.begin()
    kit = CoordinatorKit.read(Path(sys.argv[1]))
    address = f"127.0.0.1:{kit.superlink_port}"
    running: list[subprocess.Popen[bytes]] = []

    def launch(token: str, _: Task) -> None:
        running[:] = [process for process in running if process.poll() is None]
        task = subprocess.Popen(
            [sys.executable, "-P", "-m", "fedpate.federation.deployment.server_task"],
            stdin=subprocess.PIPE,
        )
        assert task.stdin is not None
        ca = str(kit.folder / "ca.crt")
        task.stdin.write(json.dumps({"address": address, "token": token, "ca": ca}).encode())
        task.stdin.close()
        running.append(task)

    acquire_forever(
        address,
        TaskType.SERVER_APP,
        secrets.read(kit.folder / STATE, secrets.SUPEREXEC),
        launch,
        (kit.folder / "ca.crt").read_bytes(),
    )


if __name__ == "__main__":
    main()

"""One ServerApp, told on stdin which: `{"address": ..., "token": ..., "ca": ...}`."""

import json
import sys
from pathlib import Path
from queue import Queue

from flwr.superlink.runtime import run_serverapp

from fedpate.federation.deployment import child


def main() -> None:
    """Run it; what it prints stays in the coordinator's own log."""
    child.begin()
    task = json.load(sys.stdin)
    run_serverapp(
        runtime_api_address=task["address"],
        log_queue=Queue(),
        token=task["token"],
        insecure=False,
        certificates=Path(task["ca"]).read_bytes(),
        runtime_dependency_install=False,
    )


if __name__ == "__main__":
    main()

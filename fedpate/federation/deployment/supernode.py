"""Flower's SuperNode, which always ends when it has ended: `python -m ...supernode ARGUMENTS`.

When its connection fails for good, flower-supernode's main thread returns while its HTTP server's
thread keeps the process alive: nobody would start it again.

And when a run ends while one of its messages is being fetched, it leaves the message's task open,
whose parts will never come: whoever runs tasks would wait for them, up to two hours, and answer
nobody else meanwhile. Here such a task fails at once.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from flwr.supercore.inflatable.inflatable_utils import ObjectPullError
from flwr.supercore.run import RunNotRunningException
from flwr.supernode import start_client_internal
from flwr.supernode.cli.flower_supernode import flower_supernode

from fedpate.federation.deployment import child


def failing_with_its_run(pull: Callable[..., Any]) -> Callable[..., Any]:
    """`pull_objects` whose failure, when the run has ended, is one after which Flower tidies up."""

    def pull_objects(object_ids: list[str], *args: Any, **kwargs: Any) -> Any:
        try:
            return pull(object_ids, *args, **kwargs)
        except RunNotRunningException as error:
            raise ObjectPullError(object_ids[0], "the run has ended") from error

    return pull_objects


def main() -> None:
    """Run it; the exit code is Flower's, or 1 where it has none."""
    child.begin()
    internal: Any = start_client_internal
    internal.pull_objects = failing_with_its_run(internal.pull_objects)
    sys.argv[0] = "flower-supernode"
    code: object = 1
    try:
        flower_supernode()
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    main()

"""Flower's SuperNode, which always ends when it has ended: `python -m ...supernode ARGUMENTS`.

When its connection fails for good, flower-supernode's main thread returns while its HTTP server's
thread keeps the process alive: nobody would start it again.
"""

import os
import sys

from flwr.supernode.cli.flower_supernode import flower_supernode

from fedpate.federation.deployment import child


def main() -> None:
    """Run it; the exit code is Flower's, or 1 where it has none."""
    child.begin()
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

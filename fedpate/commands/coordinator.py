"""`fedpate coordinator start KIT`: the coordinator's long-running side."""

from collections.abc import Sequence
from pathlib import Path

from fedpate.commands._arguments import Parser

HELP = """\
usage: fedpate coordinator start KIT [--no-proxy]

Runs a federation's coordinator from its kit until SIGTERM or Ctrl-C: Flower's SuperLink on
loopback, a TLS proxy that shows hospitals the few paths they need, and the executor of runs. Says
who joins and leaves; keeps its state, and the logs of its processes, in KIT/state.

  --no-proxy  nginx stands in for the proxy: KIT/nginx.conf

examples:
  fedpate coordinator start kits/coordinator"""


def main(args: Sequence[str]) -> int:
    """Run until told to stop.

    Raises:
      ConfigError: not a coordinator's kit, or it cannot be started here.
    """
    parser = Parser(add_help=False)
    parser.add_argument("action", metavar="start", choices=("start",))
    parser.add_argument("kit", metavar="KIT", type=Path)
    parser.add_argument("--no-proxy", action="store_true")
    asked = parser.read(args)

    from fedpate.federation.kit import CoordinatorKit

    kit = CoordinatorKit.read(asked.kit)  # before Flower, which takes seconds to import

    from fedpate.federation.deployment import coordinator

    coordinator.start(kit, proxy=not asked.no_proxy)
    return 0

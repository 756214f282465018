"""`fedpate hospital start KIT --data PATH`: a hospital's long-running side."""

from collections.abc import Sequence
from pathlib import Path

from fedpate.commands._arguments import Parser

HELP = """\
usage: fedpate hospital start KIT [--data PATH]

Runs a hospital from its kit until SIGTERM or Ctrl-C: it connects to its coordinator and to nobody
else, answers under KIT/policy.yaml, and comes back by itself when the network or the coordinator
was away. Its state, and the logs of its processes, are in KIT/state.

  --data PATH  where the records are (default: data.path in KIT/site.yaml)

examples:
  fedpate hospital start kits/north --data /srv/records.csv"""


def main(args: Sequence[str]) -> int:
    """Run until told to stop.

    Raises:
      ConfigError: not a hospital's kit, or it cannot be started here.
    """
    parser = Parser(add_help=False)
    parser.add_argument("action", metavar="start", choices=("start",))
    parser.add_argument("kit", metavar="KIT", type=Path)
    parser.add_argument("--data", type=Path)
    asked = parser.read(args)

    from fedpate.federation.kit import HospitalKit

    kit = HospitalKit.read(asked.kit)  # before Flower, which takes seconds to import

    from fedpate.federation.deployment import hospital

    hospital.start(kit, asked.data)
    return 0

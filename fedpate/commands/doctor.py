"""`fedpate doctor`: whether everything that a run needs is here and in order."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from fedpate.commands._arguments import Parser

HELP = """\
usage: fedpate doctor [--data DIR] [--json]

Looks at what a run needs: Python and packages (Flower must be of the version that this fedpate
speaks), extras, telemetry (off), random numbers, disk, ports, data, devices. A line for each; a
problem says what to do about it. Changes nothing and asks nobody.

  --data DIR  where data sets are looked for (default: data, as data.root)
  --json      print one JSON document

examples
  fedpate doctor
  fedpate doctor --data ~/datasets --json

exit codes: 0 all in order (notes are no problems), 1 a problem was found"""


def main(args: Sequence[str]) -> int:
    """Look, and tell.

    Raises:
      ConfigError: an unknown option.
    """
    parser = Parser(add_help=False)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--json", action="store_true")
    asked = parser.read(args)
    from fedpate.commands import _checks, _output

    found = list(_checks.all_checks(asked.data.expanduser()))
    healthy = all(check.state != _checks.PROBLEM for check in found)
    if asked.json:
        checks = [dataclasses.asdict(check) for check in found]
        _output.print_json({"ok": healthy, "checks": checks})
    else:
        for check in found:
            advice = f" -> {check.advice}" if check.advice else ""
            _output.say(f"{check.state:<7}  {check.name:<15}  {check.found}{advice}")
    return 0 if healthy else 1

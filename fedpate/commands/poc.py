"""`fedpate poc start|status|stop`: a real federation on this machine, to try out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fedpate import _check
from fedpate.commands._arguments import Parser
from fedpate.errors import ConfigError

if TYPE_CHECKING:
    from fedpate.federation.deployment.poc import Poc

HELP = """\
usage: fedpate poc start [--hospitals N] [--folder DIR] [--json]
       fedpate poc status [--folder DIR] [--json]
       fedpate poc stop [--folder DIR]

The shortest way from a simulation to a federation of real processes: a coordinator and N hospitals
on this machine, with real certificates and keys, on free ports of loopback, each hospital with its
own file of example records (breast cancer, from scikit-learn).

  start   makes DIR if needed, starts everything, waits until all hospitals have joined, and prints
          the `fedpate deploy` to type next; what was stopped in DIR goes on with its kits
  status  says who is there
  stop    ends every process; DIR stays, with kits, records, ledgers and logs

  --hospitals N  1 to 10 (default 3, or as many as DIR has)
  --folder DIR   where all of it lies (default: fedpate-poc)
  --json         print one JSON document

examples:
  fedpate poc start
  fedpate poc start --hospitals 5 --folder five
  fedpate poc status
  fedpate poc stop"""


def main(args: Sequence[str]) -> int:
    """Start, tell or stop.

    Raises:
      ConfigError: an option is wrong, one is running already, or there is none.
      EngineError: it did not start; nothing is left running.
    """
    parser = Parser(add_help=False)
    parser.add_argument("action", metavar="start|status|stop", choices=("start", "status", "stop"))
    parser.add_argument("--hospitals", type=int)
    parser.add_argument("--folder", type=Path, default=Path("fedpate-poc"))
    parser.add_argument("--json", action="store_true")
    asked = parser.read(args)
    if asked.hospitals is not None:
        if asked.action != "start":
            raise ConfigError(f"--hospitals is for `fedpate poc start`, got {asked.action}")
        _check.at_least(1, **{"--hospitals": asked.hospitals})

    from fedpate.commands._output import complain, say
    from fedpate.federation.deployment import poc
    from fedpate.federation.deployment.example import MOST_HOSPITALS

    if asked.action == "stop":
        was_running = poc.stop(asked.folder)
        say("stopped; no process is left" if was_running else "nothing was running")
    elif asked.action == "status":
        _tell(poc.status(asked.folder), as_json=asked.json)
    else:
        if (asked.hospitals or 1) > MOST_HOSPITALS:
            raise ConfigError(f"--hospitals must be <= {MOST_HOSPITALS}, got {asked.hospitals}")
        _tell(poc.start(asked.folder, asked.hospitals, complain), as_json=asked.json)
    return 0


def _tell(poc: "Poc", *, as_json: bool) -> None:
    """Who is there, and what to type next."""
    from fedpate.commands._output import print_json, say

    running, joined = bool(poc.running()), set(poc.joined())
    if as_json:
        hospitals = {name: name in joined for name in poc.hospitals}
        print_json({"running": running, "joined": hospitals, "next": poc.command()})
        return
    if not running:
        say(f"the federation in {poc.folder} is stopped; `fedpate poc start` starts it again")
        return
    say(f"the federation in {poc.folder} is running, coordinator at port {poc.home.port}")
    for name in poc.hospitals:
        say(f"  {name:<12} {'joined' if name in joined else 'not there'}")
    say(f"next:\n  {poc.command()}")

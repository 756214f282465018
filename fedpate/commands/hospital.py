"""`fedpate hospital start|check|status|approve KIT`: a hospital's side."""

import datetime as dt
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fedpate.commands._arguments import Parser
from fedpate.errors import ConfigError

if TYPE_CHECKING:
    from fedpate.federation.kit import HospitalKit

HELP = """\
usage: fedpate hospital start KIT [--data PATH]
       fedpate hospital check KIT [--data PATH] [--json]
       fedpate hospital status KIT [--json]
       fedpate hospital approve KIT RUN [--yes]

start    runs a hospital from its kit until SIGTERM or Ctrl-C: it connects to its coordinator and to
         nobody else, answers under KIT/policy.yaml, and comes back by itself when the network or
         the coordinator was away; its state, and the logs of its processes, are in KIT/state
check    does everything that a start does, but join: reads kit, policy and records, and knocks at
         the coordinator's door; exit code 2 if a start would be refused
status   what was asked, answered, refused and spent
approve  allows a run that has asked, where KIT/policy.yaml says `approval: manual`; shows what it
         asks and what that would cost; RUN is the name in the status

  --data PATH  where the records are (default: data.path in KIT/site.yaml)
  --yes        approve without being asked
  --json       print one JSON document

examples:
  fedpate hospital check kits/north --data /srv/records.csv
  fedpate hospital start kits/north --data /srv/records.csv
  fedpate hospital status kits/north
  fedpate hospital approve kits/north 3f5a60c1d2e4b798"""

ACTIONS = ("start", "check", "status", "approve")


def main(args: Sequence[str]) -> int:
    """Run until told to stop, or look, or approve.

    Raises:
      FedPateError: not a hospital's kit, it cannot be started here, or no such run.
    """
    parser = Parser(add_help=False)
    parser.add_argument("action", metavar="ACTION", choices=ACTIONS)
    parser.add_argument("kit", metavar="KIT", type=Path)
    parser.add_argument("run", metavar="RUN", nargs="?")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--yes", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.read(args)
    if (asked.run is not None) != (asked.action == "approve"):
        raise ConfigError("RUN must be given to approve, and to nothing else")

    from fedpate.federation.kit import HospitalKit

    kit = HospitalKit.read(asked.kit)  # before Flower, which takes seconds to import
    if asked.action == "status":
        return _status(kit, as_json=asked.json)
    if asked.action == "approve":
        return _approve(kit, asked.run, sure=asked.yes)

    from fedpate.federation.deployment import hospital

    if asked.action == "check":
        return _check(kit, asked.data, as_json=asked.json)
    hospital.start(kit, asked.data)
    return 0


def _check(kit: "HospitalKit", data: Path | None, *, as_json: bool) -> int:
    from fedpate.commands import _output
    from fedpate.federation.deployment import hospital
    from fedpate.report import hospital_words

    found = hospital.check(kit, data).to_dict(kit)
    if as_json:
        _output.print_json(found)
    else:
        _output.say(hospital_words.check(found))
    return 0


def _status(kit: "HospitalKit", *, as_json: bool) -> int:
    from fedpate.commands import _output
    from fedpate.federation.hospital_status import status
    from fedpate.report import hospital_words

    found = status(kit, dt.datetime.now(dt.UTC)).to_dict()
    if as_json:
        _output.print_json(found)
    else:
        _output.say(hospital_words.status(found))
    return 0


def _approve(kit: "HospitalKit", run: str, *, sure: bool) -> int:
    from fedpate.commands import _output
    from fedpate.federation import hospital_status
    from fedpate.report import hospital_words

    _output.say(hospital_words.run(hospital_status.asked(kit, run)))
    if not sure:
        if not sys.stdin.isatty():
            raise ConfigError("--yes must be given where nobody can be asked; nothing was approved")
        _output.say("Allow this run? [y/N]")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            _output.say("not approved")
            return 0
    hospital_status.approve(kit, run, getpass.getuser())
    _output.say(f"approved {run}; the coordinator's next try is answered")
    return 0

"""`fedpate compare DIR...`: one table and the privacy/utility pictures of any set of runs."""

from collections.abc import Sequence
from pathlib import Path

from fedpate.commands._arguments import Parser
from fedpate.errors import ConfigError

HELP = """\
usage: fedpate compare DIR... [--out DIR] [--json]

Compares all runs in the directories: those of a sweep, or any run directories. Writes sweep.csv (a
row per run: every number of summary.json and the settings that were typed), student.svg and
labels.svg (accuracy against the guaranteed epsilon, a line per mechanism, bars of one standard
deviation over seeds) and pareto.svg, and prints a table: runs that differ in their seeds only are
one row. Runs are compared by the guaranteed epsilon, which looks at nobody's data. `fedpate
simulate -m` does the same at its end.

  --out DIR  where the files go; DIR itself if one is given, else the current folder
  --json     print the rows of the table as JSON

examples
  fedpate compare multirun/2026-01-31/12-00-00
  fedpate compare outputs/2026-01-31/* --out comparison"""


def main(args: Sequence[str]) -> int:
    """Compare the runs in some directories.

    Raises:
      ConfigError: there are none, or the files cannot be written.
    """
    from fedpate.commands import _compare, _output
    from fedpate.report import sweep

    parser = Parser(add_help=False, prog="fedpate compare")
    parser.add_argument("places", metavar="DIR", nargs="+", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.read(args)
    found = _compare.rows(asked.places)
    if not found:
        raise ConfigError(
            "DIR must be a directory with finished runs, got "
            + " and ".join(str(place) for place in asked.places)
        )
    only = asked.places[0] if len(asked.places) == 1 else Path.cwd()
    folder: Path = asked.out or only
    pictures = _compare.write(found, folder, "--out")
    if asked.json:
        _output.print_json(sweep.dump(sweep.groups(found)))
    else:
        _compare.show(found, folder, pictures)
    return 0

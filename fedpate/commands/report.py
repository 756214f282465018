"""`fedpate report RUN_DIR...`: write `report.html` again from what a run recorded."""

from collections.abc import Sequence
from pathlib import Path

from fedpate.commands._arguments import Parser

HELP = """\
usage: fedpate report RUN_DIR [RUN_DIR ...] [--json]

Writes report.html into each directory of a finished run: one self-contained page, readable without
a network and without scripts, every number from the run's summary.json.

  --json  print the paths of the pages as one JSON list

examples
  fedpate report outputs/2026-01-31/12-00-00
  fedpate report multirun/2026-01-31/12-00-00/*/"""


def main(args: Sequence[str]) -> int:
    """Write the page of each run.

    Raises:
      ConfigError: not the directory of a finished run.
    """
    parser = Parser(add_help=False)
    parser.add_argument("run_dir", type=Path, nargs="+", metavar="RUN_DIR")
    parser.add_argument("--json", action="store_true")
    asked = parser.read(args)
    from fedpate.commands import _output
    from fedpate.report import page

    pages = [str(page.write(folder)) for folder in asked.run_dir]
    if asked.json:
        _output.print_json(pages)
    else:
        _output.stdout().print("\n".join(pages))
    return 0

"""`fedpate report RUN_DIR...`: pages made again from what runs recorded, and their comparison."""

from collections.abc import Sequence
from pathlib import Path

from fedpate.commands._arguments import Parser

HELP = """\
usage: fedpate report RUN_DIR [RUN_DIR ...] [--out FILE] [--json]

Writes report.html into each directory of a finished run: one self-contained page, readable without
a network and without scripts, every number from what the run recorded. For several runs also a
page that compares them: a table, and accuracy against guaranteed epsilon.

  --out FILE  the comparison; default: comparison.html in the folder that holds all the runs
  --json      print the paths of the pages as one JSON list, the comparison last

examples
  fedpate report outputs/2026-01-31/12-00-00
  fedpate report multirun/2026-01-31/12-00-00/*/
  fedpate report first second --out both.html"""


def main(args: Sequence[str]) -> int:
    """Write the page of each run, and the comparison of several.

    Raises:
      ConfigError: not the directory of a finished run, or a page cannot be written.
    """
    parser = Parser(add_help=False)
    parser.add_argument("run_dir", type=Path, nargs="+", metavar="RUN_DIR")
    parser.add_argument("--out", type=Path, metavar="FILE")
    parser.add_argument("--json", action="store_true")
    asked = parser.read(args)
    from fedpate.commands import _output
    from fedpate.errors import ConfigError
    from fedpate.report import comparison, page

    if asked.out and len(asked.run_dir) == 1:
        raise ConfigError("--out is for a comparison: give at least two RUN_DIR")
    pages = [str(page.write(folder)) for folder in asked.run_dir]
    if len(pages) > 1:
        pages.append(str(comparison.write(asked.run_dir, asked.out)))
    if asked.json:
        _output.print_json(pages)
    else:
        _output.stdout().print("\n".join(pages))
    return 0

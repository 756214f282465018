"""`fedpate ledger show|verify PATH`: what was spent and on what, and whether it was tampered with.

Reads without locking out a running coordinator, and never writes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedpate.commands._arguments import Parser
from fedpate.errors import ConfigError, LedgerError

HELP = """\
usage: fedpate ledger show PATH [--delta DELTA] [--json]
       fedpate ledger verify PATH [--head HASH] [--json]

PATH is a ledger, or a run directory that holds ledger.sqlite. A hospital's ledger is
KIT/state/ledger.sqlite; verify also takes its log of requests and decisions, KIT/state/log.sqlite.

show    a bank statement: every charge, what it was for, and both privacy units' epsilon after it
verify  checks the hash chain and all that the entries say; exit code 2 if anything was changed,
        inserted, deleted or cut off

  --delta DELTA  state epsilon at this delta (default: that of the last charge)
  --head HASH    the head hash that you noted earlier; only with it a ledger that was replaced as a
                 whole, or put back to an older copy, can be told from a sound one
  --json         print one JSON document

examples:
  fedpate ledger show outputs/2026-01-31/12-00-00
  fedpate ledger verify federation.sqlite --head 3f5a..."""

FILE_NAME = "ledger.sqlite"


def main(args: Sequence[str]) -> int:
    """Show or verify one ledger.

    Raises:
      LedgerError: not a ledger, unreadable, or (verify) not what it was.
    """
    asked = _parser().read(args)
    path = _ledger_path(asked.path)
    if asked.action == "verify":
        return _verify(path, asked.head, asked.json)
    return _show(path, asked.delta, asked.json)


def _parser() -> Parser:
    parser = Parser(add_help=False)
    parser.add_argument("action", metavar="show|verify", choices=("show", "verify"))
    parser.add_argument("path", metavar="PATH", type=Path)
    parser.add_argument("--delta", type=float)
    parser.add_argument("--head")
    parser.add_argument("--json", action="store_true")
    return parser


def _ledger_path(path: Path) -> Path:
    if path.is_dir():
        path = path / FILE_NAME
    if not path.is_file():
        raise ConfigError(f"PATH must be a ledger or a run directory with one, got {path}")
    return path


def _verify(path: Path, head: str | None, as_json: bool) -> int:
    from fedpate.federation import hospital_log
    from fedpate.privacy.ledger_check import verify

    found = hospital_log.verify(path, head) or verify(path, head)
    if as_json:
        from fedpate.commands._output import print_json

        result = {"ok": found.ok, "entries": found.head.count, "head": found.head.hash}
        print_json({**result, "problems": list(found.problems)})
        return 0 if found.ok else LedgerError.exit_code
    if not found.ok:
        raise LedgerError(f"{path} is not what it was: " + "; ".join(found.problems))
    from fedpate.commands._output import stdout

    stdout().print(f"sound: {found.head.count} entries, head {found.head.hash}")
    if head is None:
        stdout().print("note the head elsewhere, and give it as --head next time")
    return 0


def _show(path: Path, delta: float | None, as_json: bool) -> int:
    from fedpate.privacy.ledger import PrivacyLedger
    from fedpate.privacy.ledger_view import statement

    with PrivacyLedger.read(path) as ledger:
        charges = [charge for _, charge in ledger.book().charges.values()]
        if delta is None:
            delta = charges[-1].delta if charges else 1e-5
        result: dict[str, Any] = {
            "federation": ledger.federation,
            "head": ledger.head,
            "delta": delta,
            "relation": "replace_one",
            "entries": statement(ledger, delta),
        }
    if as_json:
        from fedpate.commands._output import print_json

        print_json(result)
    else:
        from fedpate.commands._output import stdout
        from fedpate.report.tables import ledger_statement

        stdout().print(ledger_statement(result))
    return 0

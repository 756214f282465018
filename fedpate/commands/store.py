"""`fedpate store list|clean [FOLDER]`: the trained teachers that are kept, and what they take."""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedpate.commands._arguments import Parser
from fedpate.errors import ConfigError

HELP = """\
usage: fedpate store list [FOLDER] [--json]
       fedpate store clean [FOLDER] [--unused-for DAYS] [--private] [--json]

FOLDER is what `store=FOLDER` says (default: your cache folder), or a hospital's KIT. It holds
models of private records: treat it like the records.

list   how many teachers of each kind are kept, and how much they take
clean  removes teachers; a run that needs them trains them again

  --unused-for DAYS  only those that no run has used for so long (default: 0, so all)
  --private          also those that were trained by DP-SGD. They are trained once: fresh noise on
                     the same records is a second charge. Without their teachers and without the
                     note that they were trained, no ledger can be trusted about such records any
                     more: for simulations only
  --json             print one JSON document

examples:
  fedpate store list
  fedpate store clean --unused-for 30
  fedpate store list kits/hospital-1 --json"""

DAY_S = 86400.0


def main(args: Sequence[str]) -> int:
    """List or clean one store.

    Raises:
      ConfigError: not a folder, or a wrong argument.
    """
    parser = Parser(add_help=False)
    parser.add_argument("action", metavar="list|clean", choices=("list", "clean"))
    parser.add_argument("folder", metavar="FOLDER", type=Path, nargs="?")
    parser.add_argument("--unused-for", type=float, default=0.0)
    parser.add_argument("--private", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.read(args)
    if not asked.unused_for >= 0:
        raise ConfigError(f"--unused-for must be >= 0 days, got {asked.unused_for:g}")
    folder = _teachers(asked.folder)
    if asked.action == "list":
        return _list(folder, asked.json)
    return _clean(folder, asked.unused_for * DAY_S, asked.private, asked.json)


def _teachers(folder: Path | None) -> Path:
    """Where the teachers are: in a store, in a hospital's kit, or in this very folder."""
    from fedpate.federation.cache_folder import default_store

    if folder is None:
        return default_store() / "teachers"
    if not folder.is_dir():
        raise ConfigError(f"FOLDER must be a store or a hospital's kit, got {str(folder)!r}")
    inside = (folder / "state" / "teachers", folder / "teachers", folder)
    return next(place for place in inside if place.is_dir())


def _list(folder: Path, as_json: bool) -> int:
    from fedpate.learning.store import TeacherStore
    from fedpate.learning.trained_once import kept_forever

    store, forever = TeacherStore(folder), kept_forever(folder)
    kept = store.list()
    entries = [
        {
            "key": entry.key,
            "kind": entry.kind,
            "bytes": entry.size,
            "last_used": dt.datetime.fromtimestamp(entry.last_used, dt.UTC).isoformat(),
            "trained_once": entry.key in forever,
        }
        for entry in kept
    ]
    found: dict[str, Any] = {
        "folder": str(folder),
        "teachers": len(entries),
        "bytes": sum(entry.size for entry in kept),
        "entries": entries,
    }
    if as_json:
        from fedpate.commands._output import print_json

        print_json(found)
        return 0
    _show(found)
    return 0


def _show(found: dict[str, Any]) -> None:
    from rich.table import Table

    from fedpate.commands._output import stdout

    kinds: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in found["entries"]:
        kinds["trained once" if entry["trained_once"] else entry["kind"]].append(entry)
    table = Table(title=f"{found['teachers']} teachers in {found['folder']}")
    table.add_column("kind")
    for name in ("teachers", "MB", "last used"):
        table.add_column(name, justify="right")
    for kind, entries in sorted(kinds.items()):
        size = sum(entry["bytes"] for entry in entries) / 1e6
        last = max(entry["last_used"] for entry in entries)[:10]
        table.add_row(kind, str(len(entries)), f"{size:.1f}", last)
    stdout().print(table)


def _clean(folder: Path, unused_for_s: float, private: bool, as_json: bool) -> int:
    from fedpate.commands._output import print_json, stdout
    from fedpate.learning.store import TeacherStore

    removed, size = TeacherStore(folder).clean(unused_for_s, private=private)
    if as_json:
        print_json({"folder": str(folder), "removed": removed, "bytes": size})
    else:
        stdout().print(f"removed {removed} teachers, {size / 1e6:.1f} MB, from {folder}")
    return 0

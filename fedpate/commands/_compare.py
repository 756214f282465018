"""What `fedpate compare` and the end of a sweep share: rows, a table, a CSV file, pictures."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from fedpate.commands import _output
from fedpate.commands._points import Points
from fedpate.report import sweep, sweep_plots, sweep_table
from fedpate.report.page import read_summary
from fedpate.report.sweep import Row

CSV = "sweep.csv"


def finish(points: Points, *, as_json: bool) -> None:
    """Compare everything in a sweep's directory; with `as_json` print its summaries instead."""
    found = rows([points.folder])
    pictures = write(found, points.folder, "hydra.sweep.dir")
    if as_json:
        folders = sweep.run_folders(points.folder)
        _output.print_json([read_summary(folder) for folder in folders])
        return
    show(found, points.folder, pictures)


def rows(places: Sequence[Path]) -> list[Row]:
    """A row per run in each folder, those that failed in a sweep included.

    Raises:
      ConfigError: a run that this version cannot read.
    """
    found = []
    for place in places:
        prefix = "" if len(places) == 1 else f"{place.name}/"
        for folder in sweep.run_folders(place):
            name = folder.relative_to(place).as_posix()
            found.append(sweep.read_row(folder, prefix + (place.name if name == "." else name)))
        for point in sorted(Points(place).ended().values(), key=lambda point: point.number):
            if point.error is not None:
                settings = sweep.typed(point.overrides)
                found.append(Row(f"{prefix}{point.folder}", settings, {}, point.error))
    return [_unique(found, place) for place in range(len(found))]


def write(found: Sequence[Row], folder: Path, setting: str) -> list[str]:
    """Write `sweep.csv` and the pictures; returns the pictures' names.

    Raises:
      ConfigError: the folder cannot be written.
    """
    _output.write_file(folder / CSV, setting, sweep.as_csv(found))
    pictures = sweep_plots.pictures(sweep.groups(found))
    for name, picture in pictures.items():
        _output.write_file(folder / name, setting, picture)
    return list(pictures)


def show(found: Sequence[Row], folder: Path, pictures: Sequence[str]) -> None:
    """The table, and where the files are."""
    groups = sweep.groups(found)
    failed = sum(row.error is not None for row in found)
    _output.stdout().print(sweep_table.table(groups, failed))
    place = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    told = f"\npictures  {', '.join(pictures)}" if pictures else ""
    _output.say(f"table     {place / CSV}{told}")


def _unique(found: Sequence[Row], place: int) -> Row:
    """The same row, its name told apart from the same name before it."""
    row = found[place]
    earlier = sum(other.name == row.name for other in found[:place])
    return dataclasses.replace(row, name=f"{row.name} ({earlier + 1})") if earlier else row

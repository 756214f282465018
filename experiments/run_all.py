"""Run every claim of `claims.yaml` again: one CSV file, figures, and which rows moved.

    python experiments/run_all.py                        all that need no data from elsewhere
    python experiments/run_all.py 'default_digits_*'     by name
    python experiments/run_all.py --seeds 0,1,2,3 --minutes 30 --data-root DIR --out reproduction

A claim is a sweep over its seeds in OUT/NAME, so the same command again goes on where it stopped.
OUT/claims.csv has a row for each recorded number; a number *moved* if its mean over the seeds lies
further from the recorded one than the recorded spread. Exit code: 0 all stand, 1 something moved or
failed, 2 bad input.
"""

import argparse
import csv
import fnmatch
import math
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from fedpate.errors import FedPateError
from fedpate.report import plots, sweep

CLAIMS = Path(__file__).with_name("claims.yaml")
COLUMNS = (
    *("claim", "status", "key", "recorded", "spread", "measured", "deviation", "seeds"),
    *("seconds", "what"),
)
Launch = Callable[[list[str]], int]  # arguments of fedpate -> exit code


@dataclass(frozen=True)
class Claim:
    """One entry of claims.yaml."""

    name: str
    claim: str
    overrides: tuple[str, ...]
    seeds: tuple[int, ...]
    minutes: float
    recorded: dict[str, tuple[float, float]]  # key of summary.json -> (mean, spread)
    needs: str | None = None


def read(path: Path) -> list[Claim]:
    """All claims, in their order."""
    claims = []
    for name, entry in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        recorded = {
            key: (float(mean), float(far)) for key, (mean, far) in entry["recorded"].items()
        }
        claims.append(
            Claim(
                name=name,
                claim=entry["claim"],
                overrides=tuple(shlex.split(entry["overrides"])),
                seeds=tuple(entry["seeds"]),
                minutes=float(entry["minutes"]),
                recorded=recorded,
                needs=entry.get("needs"),
            )
        )
    return claims


def run_claim(
    claim: Claim, seeds: Sequence[int], out: Path, data_root: Path | None, launch: Launch
) -> list[dict[str, object]]:
    """Run one claim over the seeds; a row for each recorded number."""
    folder, start = out / claim.name, time.monotonic()
    command = ["simulate", "-m", *claim.overrides, f"seed={','.join(map(str, seeds))}"]
    command += [f"hydra.sweep.dir={folder}"]
    command += [f"data.root={data_root}"] if claim.needs else []
    code = launch(command)
    seconds = round(time.monotonic() - start, 1)
    runs = [sweep.read_row(path, path.name) for path in sweep.run_folders(folder)]
    runs = [run for run in runs if int(run.values["seed"]) in seeds]
    rows = []
    for key, (mean, spread) in claim.recorded.items():
        values = [float(run.values[key]) for run in runs if run.values.get(key) is not None]
        measured = statistics.fmean(values) if values else math.nan
        missing = code != 0 or len(values) < len(seeds)
        status = "failed" if missing else "moved" if abs(measured - mean) > spread else "stands"
        row = {"claim": claim.name, "status": status, "key": key, "recorded": mean}
        row |= {"spread": spread, "measured": measured, "seeds": len(values)}
        row |= {"deviation": statistics.stdev(values) if len(values) > 1 else ""}
        rows.append(row | {"seconds": seconds, "what": claim.claim})
    return rows


def not_run(claim: Claim, why: str) -> list[dict[str, object]]:
    """The rows of a claim that was left out."""
    return [
        {"claim": claim.name, "status": why, "key": key, "recorded": mean, "spread": spread}
        | {"what": claim.claim}
        for key, (mean, spread) in claim.recorded.items()
    ]


def picture(rows: Sequence[dict[str, object]]) -> str:
    """How far each number lies from the recorded one, in spreads, as an SVG file."""
    from matplotlib.figure import Figure

    shown = [row for row in rows if row["status"] in ("stands", "moved")][::-1]
    with plots.plain():
        figure = Figure(figsize=(8.0, 1.0 + 0.22 * len(shown)), layout="constrained")
        axes = figure.add_subplot()
        axes.axvspan(-1, 1, color="0.9")
        for place, row in enumerate(shown):
            far = (float(row["measured"]) - float(row["recorded"])) / float(row["spread"])
            axes.plot(far, place, "o" if row["status"] == "stands" else "X", color="black")
        axes.set_yticks(range(len(shown)), [f"{row['claim']}: {row['key']}" for row in shown])
        axes.tick_params(axis="y", labelsize=7)
        axes.set_xlabel("measured - recorded, in recorded spreads; outside of the band: moved")
        return plots.standalone(figure)


def write(rows: Sequence[dict[str, object]], out: Path) -> None:
    """Write claims.csv and moved.svg."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "claims.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (out / "moved.svg").write_text(picture(rows), encoding="utf-8")


def run_all(options: argparse.Namespace, launch: Launch) -> list[dict[str, object]]:
    """Run the chosen claims within the budget; all rows."""
    start, rows = time.monotonic(), []
    for claim in read(options.claims):
        if not any(fnmatch.fnmatch(claim.name, pattern) for pattern in options.names or ["*"]):
            continue
        spent = (time.monotonic() - start) / 60
        if claim.needs and options.data_root is None:
            rows += not_run(claim, f"not run: needs {claim.needs}")
        elif options.minutes is not None and spent + claim.minutes > options.minutes:
            rows += not_run(claim, "not run: budget")
        else:
            print(f"{claim.name}: {claim.claim}", file=sys.stderr)
            seeds = options.seeds or claim.seeds
            rows += run_claim(claim, seeds, options.out, options.data_root, launch)
        write(rows, options.out)
    if list(options.out.glob("*/*/summary.json")):
        launch(["compare", str(options.out)])
    return rows


def fedpate(arguments: list[str]) -> int:
    """`fedpate ARGUMENTS` in a process of its own; its tables are not wanted here."""
    command = [sys.executable, "-m", "fedpate", *arguments]
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode


def main(argv: Sequence[str] | None = None, launch: Launch = fedpate) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="of claims, with * and ?; all without one")
    parser.add_argument("--seeds", type=lambda text: tuple(map(int, text.split(","))))
    parser.add_argument("--minutes", type=float, help="no claim begins that would not fit")
    parser.add_argument("--data-root", type=Path, help="data sets that are not shipped")
    parser.add_argument("--out", type=Path, default=Path("reproduction"))
    parser.add_argument("--claims", type=Path, default=CLAIMS)
    parser.add_argument("--list", action="store_true", help="name the claims and run nothing")
    options = parser.parse_args(argv)
    if options.list:
        for claim in read(options.claims):
            needs = f", needs {claim.needs}" if claim.needs else ""
            print(f"{claim.name}  ({claim.minutes:g} min{needs})  {claim.claim}")
        return 0
    try:
        rows = run_all(options, launch)
    except FedPateError as error:
        print(f"run_all: {error}", file=sys.stderr)
        return 2
    if not rows:
        print("run_all: no claim has such a name", file=sys.stderr)
        return 2
    for row in rows:
        if row["status"] != "stands":
            measured = f", measured {row['measured']:.4g}" if "measured" in row else ""
            told = f"{row['recorded']:g} +- {row['spread']:g}{measured}"
            print(f"{row['status']}: {row['claim']} {row['key']}: recorded {told}")
    stand = sum(row["status"] == "stands" for row in rows)
    print(f"{stand} of {len(rows)} numbers stand; {options.out / 'claims.csv'}")
    return int(any(row["status"] in ("moved", "failed") for row in rows))


if __name__ == "__main__":
    sys.exit(main())

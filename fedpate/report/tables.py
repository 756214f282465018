"""Tables for the terminal (rich), made from plain data: what is printed is what is recorded."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.text import Text

from fedpate.report import text, words
from fedpate.report.fitting import Table


def ledger_statement(ledger: Mapping[str, Any]) -> RenderableType:
    """A bank statement: one row per charge or void, the balance of both units after it."""
    units = sorted({unit for row in ledger["entries"] for unit in row["units"]}, reverse=True)
    table = Table(title=f"{ledger['federation']}", title_justify="left", caption_justify="left")
    for column in ("entry", "time", "purpose"):
        table.add_column(column)
    table.add_column("queries", justify="right")
    table.add_column("state")
    for unit in units:
        table.add_column(f"{unit} epsilon", justify="right")
        table.add_column("left", justify="right")
    for row in ledger["entries"]:
        table.add_row(*_statement_row(row, units))
    total = f"{ledger['relation']}, delta {ledger['delta']:g}; epsilon is the total after each row"
    return Group(table, Text(total), Text(f"head {ledger['head']}"))


def _statement_row(row: Mapping[str, Any], units: list[str]) -> list[str]:
    cells = [str(row["entry"]), row["time"][:19].replace("T", " "), row["purpose"]]
    if row["kind"] == "void":
        cells[-1] = f"void of {row['receipt']}: {row['reason']} ({row['who']})"
    cells += [str(row["queries"]), row["state"]]
    for unit in units:
        balance = row["units"].get(unit, {"epsilon": None, "left": None})
        cells += [text.epsilon(balance["epsilon"]), text.epsilon(balance["left"])]
    return cells


def run_summary(summary: Mapping[str, Any]) -> RenderableType:
    """What a run came to: accuracy against the baselines, and the price per privacy unit."""
    title = Text(words.title(summary), style="bold")
    parts: list[RenderableType] = [title, _accuracy(summary), _price(summary)]
    warning = words.warning(summary)
    if warning:
        parts.append(Text(warning, style="bold red"))
    return Group(*parts)


def _accuracy(summary: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("accuracy")
    table.add_column("", justify="right")
    table.add_column("")
    for row in words.accuracies(summary):
        style = "bold" if row.ours else ""
        table.add_row(row.name, text.percent(row.accuracy), row.note, style=style)
    return table


def _price(summary: Mapping[str, Any]) -> Table:
    privacy = summary["privacy"]
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("privacy unit")
    table.add_column("guaranteed epsilon", justify="right")
    table.add_column("bound")
    table.add_column("budget", justify="right")
    table.add_column("data-dependent\n(not releasable)", justify="right")
    for unit in ("patient", "hospital"):
        price = privacy[unit]
        bound = price.get("bound") or "-"
        rest = (text.epsilon(price[key]) for key in ("budget", "data_dependent"))
        table.add_row(unit, text.epsilon(price["guaranteed"]), bound, *rest)
    table.caption = words.relation(privacy)
    table.caption_justify = "left"
    return table

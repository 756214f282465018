"""Tables for the terminal (rich), made from plain data: what is printed is what is recorded."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import (
    Console,
    ConsoleOptions,
    Group,
    JustifyMethod,
    RenderableType,
    RenderResult,
)
from rich.text import Text

from fedpate.report import text, words
from fedpate.report.fitting import Table

UNITS = ("patient", "hospital")
PRICES: tuple[tuple[str, JustifyMethod], ...] = (
    ("privacy unit", "left"),
    ("guaranteed epsilon", "right"),
    ("bound", "left"),
    ("budget", "right"),
    ("data-dependent\n(not releasable)", "right"),
)
WIDE_STATEMENT = 110  # columns for a statement with one line per row
WIDE = 79  # columns that the table of prices takes with a row per unit


def ledger_statement(ledger: Mapping[str, Any]) -> RenderableType:
    """A bank statement: one row per charge or void, the balance of both units after it."""
    total = f"{ledger['relation']}, delta {ledger['delta']:g}; epsilon is the total after each row"
    head = Text(f"head {ledger['head']}")
    return Group(_Statement(ledger["federation"], ledger["entries"]), Text(total), head)


class _Statement:
    """The rows of a statement; in a narrow place each takes three lines."""

    def __init__(self, federation: str, entries: Sequence[Mapping[str, Any]]) -> None:
        self._federation, self._entries = federation, entries
        self._units = sorted({unit for row in entries for unit in row["units"]}, reverse=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._wide() if options.max_width >= WIDE_STATEMENT else self._narrow()

    def _wide(self) -> Table:
        table = Table(title=self._federation, title_justify="left")
        for column in ("entry", "time", "purpose"):
            table.add_column(column)
        table.add_column("queries", justify="right")
        table.add_column("state")
        for unit in self._units:
            table.add_column(f"{unit} epsilon", justify="right")
            table.add_column("left", justify="right")
        for row in self._entries:
            table.add_row(*_statement_row(row, self._units))
        return table

    def _narrow(self) -> Table:
        table = Table(title=self._federation, title_justify="left", show_lines=True)
        table.add_column("entry", justify="right")
        table.add_column("what")
        for unit in self._units:
            table.add_column(f"{unit}\nepsilon", justify="right")
        for row in self._entries:
            entry, time, purpose, queries, state, *balances = _statement_row(row, self._units)
            pairs = zip(balances[::2], balances[1::2], strict=True)
            after = [total if left == "-" else f"{total}\n{left} left" for total, left in pairs]
            table.add_row(entry, f"{purpose}\n{queries} queries, {state}\n{time}", *after)
        return table


def _statement_row(row: Mapping[str, Any], units: list[str]) -> list[str]:
    cells = [str(row["entry"]), row["time"][:19].replace("T", " "), row["purpose"]]
    if row["kind"] == "void":
        cells[-1] = f"void of {row['receipt']}: {row['reason']} ({row['who']})"
    cells += [str(row["queries"]), row["state"]]
    for unit in units:
        balance = row["units"].get(unit, {"epsilon": None, "left": None})
        cells += [text.epsilon(balance["epsilon"]), text.left(balance["left"])]
    return cells


def run_summary(summary: Mapping[str, Any]) -> RenderableType:
    """What a run came to: accuracy against the baselines, and the price per privacy unit."""
    title = Text(words.title(summary), style="bold")
    parts: list[RenderableType] = [title, _accuracy(summary), _Price(summary)]
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


class _Price:
    """The price per privacy unit: a row for each, or a column where rows are too wide."""

    def __init__(self, summary: Mapping[str, Any]) -> None:
        self._privacy = summary["privacy"]
        self._names = [name for name, _ in PRICES]
        if words.warning(summary):
            self._names[1] = "epsilon\n(no guarantee)"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table(box=box.SIMPLE_HEAD, caption_justify="left")
        caption = [words.relation(self._privacy), words.two_prices(self._privacy)]
        table.caption = "\n".join(filter(None, caption))
        cells = [self._cells(unit) for unit in UNITS]
        if options.max_width >= WIDE:
            for name, (_, justify) in zip(self._names, PRICES, strict=True):
                table.add_column(name, justify=justify)
            for row in cells:
                table.add_row(*row)
        else:
            table.add_column(self._names[0])
            for unit in UNITS:
                table.add_column(unit, justify="right")
            for place, name in enumerate(self._names[1:], 1):
                table.add_row(name, *(row[place] for row in cells))
        yield table

    def _cells(self, unit: str) -> list[str]:
        price = self._privacy[unit]
        numbers = [text.epsilon(price[key]) for key in ("guaranteed", "budget", "data_dependent")]
        return [unit, numbers[0], price.get("bound") or "-", *numbers[1:]]

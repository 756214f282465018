"""Tables for the terminal (rich), made from plain data: what is printed is what is recorded."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fedpate.report import text, words

MOST_LISTED = 12  # items of a list that a table shows


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
    federation, mechanism = summary["federation"], summary["mechanism"]
    title = (
        f"{summary['data']['name']}: {federation['hospitals']} hospitals x "
        f"{federation['teachers_per_hospital']} teachers, {words.mechanism(mechanism)}"
    )
    parts: list[RenderableType] = [Text(title, style="bold"), _accuracy(summary), _price(summary)]
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


def facts(title: str, values: Mapping[str, Any]) -> RenderableType:
    """A plain two-column table of named values; nested names are joined with dots."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_header=False)
    table.add_column("name")
    table.add_column("value")
    for name, value in _flat(values):
        table.add_row(name.replace("_", " "), value)
    return table


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            shown = ", ".join(_number(item) for item in value[:MOST_LISTED])
            more = len(value) - MOST_LISTED
            yield f"{prefix}{name}", shown + (f" and {more} more" if more > 0 else "") or "none"
        else:
            yield f"{prefix}{name}", _number(value)


def _number(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def audit_table(audit: Mapping[str, Any]) -> RenderableType:
    """Claimed epsilon beside the measured lower bound, at every delta that was tried."""
    table = Table(box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left")
    table.title = (
        f"{audit['mechanism']}: {audit['queries']} queries in an output, "
        f"{audit['trials']} outputs of each neighbour"
    )
    table.add_column("delta", justify="right")
    table.add_column("claimed epsilon per patient", justify="right")
    table.add_column("lower bound", justify="right")
    table.add_column("seen on")
    for found in audit["findings"]:
        claimed, low = text.epsilon(found["claimed"]), f"{found['lower_bound']:.2f}"
        table.add_row(f"{found['delta']:g}", claimed, low, found["pair"])
    fit = audit["chi_square"]
    law = "no exact law is known" if fit is None else f"chi-square p = {fit:.3g}"
    verdict = "nothing contradicts the claim" if audit["passed"] else "THE CLAIM IS REFUTED"
    table.caption = f"confidence {audit['confidence']:g}; labels: {law}; {verdict}"
    return table


def plan_tables(plan: Mapping[str, Any]) -> RenderableType:
    """The best choice, the frontier, and what to make of them."""
    title = (
        f"{plan['hospitals']} hospitals x {plan['teachers_per_hospital']} teachers, "
        f"{plan['classes']} classes, delta {plan['delta']:g}, {plan['relation']}"
    )
    parts: list[RenderableType] = [Text(title, style="bold")]
    columns = ("mechanism", "queries", "labels", "label accuracy")
    if plan["best"] is not None:
        best = Table(box=box.SIMPLE_HEAD, title="best", title_justify="left")
        _plan_columns(best, columns)
        best.add_row(*_plan_row(plan["best"]))
        parts.append(best)
    unit = plan["frontier"]["unit"]
    rows = Table(box=box.SIMPLE_HEAD, title_justify="left")
    rows.title = f"what other epsilons per {unit} would give"
    _plan_columns(rows, ("target", *columns))
    for row in plan["frontier"]["rows"]:
        rows.add_row(f"{row['target_epsilon']:g}", *_plan_row(row))
    parts.append(rows)
    parts += [Text(remark) for remark in plan["remarks"]]
    return Group(*parts)


def _plan_columns(table: Table, columns: Sequence[str]) -> None:
    for column in columns:
        table.add_column(column, justify="left" if column == "mechanism" else "right")
    for unit in ("patient", "hospital"):
        table.add_column(f"{unit} epsilon", justify="right")


def _plan_row(choice: Mapping[str, Any]) -> list[str]:
    mechanism = choice["mechanism"]
    name = f"{mechanism['name']}, noise {text.scale(mechanism['noise_scale'])}"
    if mechanism["threshold"] is not None:
        name += f", threshold {text.scale(mechanism['threshold'])}"
        name += f" with noise {text.scale(mechanism['threshold_noise_scale'])}"
    cells = [name, str(choice["queries"]), f"{choice['labels']:.0f}"]
    cells.append(text.percent(choice["label_accuracy"]))
    return cells + [text.epsilon(choice["epsilon"][unit]) for unit in ("patient", "hospital")]

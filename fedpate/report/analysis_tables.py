"""Tables of what the analysing verbs find: facts, audits, plans, accounts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.text import Text

from fedpate.report import text
from fedpate.report.fitting import Table

MOST_LISTED = 12  # items of a list that a table shows


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


def run_audit_table(audit: Mapping[str, Any]) -> RenderableType:
    """What an attacker made of a whole run, beside its claim."""
    canaries, membership = audit["canaries"], audit["membership"]
    guesses = f"{canaries['correct']} of {canaries['guesses']} guesses about canaries were right"
    told = {
        "claimed epsilon per patient": text.epsilon(audit["claimed"]),
        "lower bound": f"{canaries['lower_bound']:.2f} ({guesses})",
        "delta": f"{canaries['delta']:g}",
        "confidence": f"{canaries['confidence']:g}",
        "membership inference": "-",
        "verdict": "nothing contradicts the claim" if audit["passed"] else "THE CLAIM IS REFUTED",
    }
    if membership is not None:
        span = f"{membership['low']:.3f} to {membership['high']:.3f}"
        told["membership inference"] = f"AUC {membership['auc']:.3f} ({span}); 0.5 is chance"
    return facts("the whole run, attacked", told)


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


def account_table(account: Mapping[str, Any]) -> RenderableType:
    """Every price of one mechanism; what looks at the votes is marked."""
    units = {unit: block for unit, block in account["epsilon"].items() if block is not None}
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(f"epsilon at delta {account['delta']:g}, {account['relation']}")
    for unit in units:
        table.add_column(f"per {unit}", justify="right")
    table.add_column("")
    for name, keys, note in _ACCOUNT_ROWS:
        values = [_at(block, keys) for block in units.values()]
        if any(value is not None for value in values):
            style = "dim" if note == _PRIVATE else ""
            table.add_row(name, *map(text.epsilon, values), note, style=style)
    settings = (f"{k} {_number(v)}" for k, v in account["mechanism"].items() if k != "name")
    title = ", ".join([str(account["mechanism"]["name"]), *settings])
    said = (
        f"{account['queries']} queries, {account['teachers']} teachers, {account['classes']} "
        f"classes; {account['answered']['expected']:.2f} answers expected, "
        f"{account['answered']['realized']} in one draw ({_PRIVATE})"
    )
    bounds = ", ".join(f"{unit}: {block['guaranteed_bound']}" for unit, block in units.items())
    return Group(Text(title, style="bold"), Text(said), table, Text(f"bound per {bounds}"))


_PRIVATE = "NOT RELEASABLE"
_ACCOUNT_ROWS = (
    ("guaranteed", ("guaranteed",), "for the expected number of answers"),
    ("at most", ("at_most",), "if every query passes the threshold test"),
    ("guaranteed, Gaussian bound", ("gaussian",), ""),
    ("data-dependent, exact", ("data_dependent", "exact"), _PRIVATE),
    ("data-dependent, published analysis", ("data_dependent", "published"), _PRIVATE),
    ("the same, classic conversion", ("data_dependent", "published_classic"), _PRIVATE),
    ("sanitized, mean", ("sanitized", "corrected", "mean"), "one draw of it may be published"),
    ("sanitized, standard deviation", ("sanitized", "corrected", "std"), _PRIVATE),
    ("sanitized, mean in the paper", ("sanitized", "mean"), "its Theorem 23 is too small"),
)


def _at(block: Mapping[str, Any], keys: Sequence[str]) -> Any:
    value: Any = block
    for key in keys:
        value = None if value is None else value.get(key)
    return value

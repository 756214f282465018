"""What a hospital is told about itself on its own terminal: a check, its status, a run."""

from collections.abc import Mapping
from typing import Any

from fedpate.report import text
from fedpate.report.words import mechanism

Told = Mapping[str, Any]


def check(found: Told) -> str:
    """What a check found."""
    shape = "images" if found["columns"] is None else f"{found['columns']} columns"
    fewest = found["patients_per_teacher"]
    lines = [
        f"records      {found['records']} of {found['patients']} patients, {shape}",
        f"classes      {', '.join(found['classes'])}",
        f"teachers     up to {found['most_teachers']}, of {fewest} or more patients each",
        "policy       can be read, and fits the records",
    ]
    if not found["findings"]:
        lines.append(f"coordinator  {found['coordinator']} lets this hospital in")
    return "\n".join(lines + [f"warning      {finding}" for finding in found["findings"]])


def status(found: Told) -> str:
    """Asked, answered, refused and spent."""
    limits, queries, spent = found["limits"], found["queries"], found["epsilon"]
    running = "runs" if found["running"] else "does not run"
    lines = [f"{found['hospital']} in {found['federation']}: {running}", "", "decisions"]
    decisions = sorted(found["decisions"].items(), key=lambda item: -item[1])
    lines += [f"  {count:>6}  {why}" for why, count in decisions] or ["  none yet"]
    lines += ["", "queries answered"]
    lines.append(f"  today            {_of(queries['today'], limits['queries']['per_day'])}")
    lines.append(f"  in all           {_of(queries['total'], limits['queries']['total'])}")
    near = limits["queries"]["near_duplicates"]
    lines.append(f"  near duplicates  {_of(queries['near_duplicates'], near)}")
    lines += ["", f"epsilon spent, replace-one, at delta={limits['epsilon']['delta']:g}"]
    for unit in ("patient", "hospital"):
        most = limits["epsilon"][unit]
        limit = "no limit" if most is None else f"of {most:g}"
        lines.append(f"  per {unit:<12} {text.epsilon(spent[unit])} {limit}")
    lines += ["", "runs that asked"]
    for told in found["runs"]:
        waits = limits["approval"] == "manual" and not told["approved"]
        lines += [_indented(run(told)) + ("\n  waits for approval" if waits else "")]
    if not found["runs"]:
        lines.append("  none yet")
    heads = [("ledger", found["ledger_head"]), ("log", found["log_head"])]
    lines += [""] + [f"head of the {name}: {head}" for name, head in heads if head]
    return "\n".join(lines)


def run(told: Told) -> str:
    """What one run asks, and what that would cost."""
    if "submitter" not in told:
        return f"{told['run']}  states nothing, and is refused"
    price = told["epsilon"] or {}
    cost = ", ".join(f"epsilon {text.epsilon(price[unit])} per {unit}" for unit in price)
    words = [
        f"{told['run']}  from {told['submitter']}{', approved' if told['approved'] else ''}",
        f"  asks   {told['queries']} queries with {told['classes']} classes, of "
        f"{told['teachers']} teachers ({told['teacher']})",
        f"  noise  {mechanism(told['mechanism'])}, added by "
        + ("this hospital" if told["trust"] == "local" else "the coordinator"),
        f"  price  {cost or 'none: it has no noise'}, at delta={told['delta']:g}, by this "
        "hospital's own accountant",
    ]
    return "\n".join(words)


def _of(count: int, limit: int | None) -> str:
    return f"{count} of {'any number' if limit is None else limit}"


def _indented(block: str) -> str:
    return "\n".join(f"  {line}" for line in block.splitlines())

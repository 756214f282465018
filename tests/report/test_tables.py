import io

import pytest
from rich.console import Console

from fedpate.report import analysis_tables, tables
from summaries import summary


def shown(renderable, width=100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    return console.file.getvalue()


def test_the_closing_table_has_every_number_with_unit_delta_relation_and_bound():
    text = shown(tables.run_summary(summary()))
    for part in (
        "93.1 %",
        "97 of 100",
        "90.2 %",
        "balanced 89.7 %",
        "94.4 %",
        "97.5 %",
        "91.3 %",
        "95.8 %",
    ):
        assert part in text
    patient = next(line for line in text.splitlines() if line.strip().startswith("patient"))
    assert patient.split() == ["patient", "7.13", "argmax_only", "8.00", "3.90"]
    hospital = next(line for line in text.splitlines() if line.strip().startswith("hospital"))
    assert hospital.split() == ["hospital", "60.01", "argmax_only", "-", "-"]
    assert "not releasable" in text
    assert "delta 1e-05, replace-one" in text
    assert "no guarantee" not in text


def test_baselines_that_do_not_apply_are_left_out():
    text = shown(tables.run_summary(summary()))
    assert "pooled training" in text
    assert "federated averaging" not in text


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"guarantee": False, "noise": "seeded"}, "seeded noise: no guarantee"),
        ({"name": "none", "guarantee": False}, "no privacy, epsilon is infinite"),
    ],
)
def test_what_voids_the_guarantee_is_said(change, line):
    run = summary()
    run["mechanism"] |= change
    run["privacy"]["patient"]["guaranteed"] = float("inf")
    text = shown(tables.run_summary(run))
    assert line in text
    assert "infinite" in text
    assert "guaranteed" not in text
    assert "(no guarantee)" in text


@pytest.mark.parametrize("width", [60, 78])
def test_in_a_narrow_place_prices_stand_in_columns_and_nothing_is_cut(width):
    lines = shown(tables.run_summary(summary()), width).splitlines()
    assert all(len(line) <= width for line in lines)
    assert not any("…" in line for line in lines)
    rows = {line.split("  ")[1]: line.split()[-2:] for line in lines if line.startswith("  ")}
    assert rows["privacy unit"] == ["patient", "hospital"]
    assert rows["guaranteed epsilon"] == ["7.13", "60.01"]
    assert rows["bound"] == ["argmax_only", "argmax_only"]
    assert rows["budget"] == ["8.00", "-"]
    assert rows["data-dependent"] == ["3.90", "-"]


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_statement_shows_charge_void_and_balance(width):
    units = {"patient": {"epsilon": 1.768, "left": 3.2, "budget": 5.0}}
    units |= {"hospital": {"epsilon": 54.38, "left": None, "budget": None}}
    row = {"entry": 2, "time": "2026-01-31T12:00:00.5+00:00", "kind": "charge", "receipt": 2}
    row |= {"purpose": "a run", "queries": 10, "state": "voided", "units": units}
    void = {**row, "entry": 3, "kind": "void", "reason": "power cut", "who": "ann"}
    ledger = {"federation": "four hospitals", "head": "ab12", "delta": 1e-5}
    ledger |= {"relation": "replace_one", "entries": [row, void]}
    text = shown(tables.ledger_statement(ledger), width)
    assert "…" not in text
    assert all(len(line) <= width for line in text.splitlines())
    for part in ("four hospitals", "a run", "1.77", "3.20", "54.38", "ab12", "2026-01-31 12:00:00"):
        assert part in text
    for word in ("void of 2", "power", "cut", "(ann)"):  # a narrow cell may break between them
        assert word in text


def test_facts_name_nested_values_and_cut_long_lists():
    text = shown(
        analysis_tables.facts("title", {"a": {"b": 1.5}, "rows": list(range(20)), "none": None})
    )
    assert "a.b" in text
    assert "and 8 more" in text


def test_an_audit_that_fails_says_so_loudly():
    finding = {"delta": 1e-5, "claimed": 2.0, "lower_bound": 2.5, "pair": "a lead of 1"}
    audit = {"mechanism": "gnmax", "queries": 8, "trials": 99, "findings": [finding]}
    audit |= {"confidence": 0.95, "chi_square": 0.5}
    assert "THE CLAIM IS REFUTED" in shown(analysis_tables.audit_table({**audit, "passed": False}))
    assert "nothing contradicts" in shown(analysis_tables.audit_table({**audit, "passed": True}))

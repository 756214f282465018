"""On a narrow terminal numbers stay whole, and every cell keeps the name of its column."""

import io

import pytest
from rich import box
from rich.console import Console

from fedpate.report import analysis_tables, tables
from fedpate.report.fitting import Table
from summaries import summary

LEDGER = {
    "federation": "simulation of digits",
    "head": "ea99" * 16,
    "delta": 1e-5,
    "relation": "replace_one",
    "entries": [
        {
            "entry": 2,
            "time": "2026-11-22T20:28:07Z",
            "purpose": "100 labels of digits by gnmax",
            "queries": 100,
            "state": "released",
            "kind": "charge",
            "units": {
                "patient": {"epsilon": 5.476, "left": 2.524},
                "hospital": {"epsilon": 54.377, "left": None},
            },
        }
    ],
}


def printed(renderable, width):
    file = io.StringIO()
    Console(file=file, width=width).print(renderable)
    return file.getvalue()


def small_table():
    table = Table(box=box.SIMPLE_HEAD, title="best", caption="delta 1e-05")
    table.add_column("mechanism")
    table.add_column("guaranteed epsilon\nper patient", justify="right")
    table.add_row("gnmax", "12.34")
    table.add_row("laplace", "-")
    return table


def test_a_table_with_room_is_a_table():
    shown = printed(small_table(), 60)
    assert "─" in shown
    assert "guaranteed epsilon" in shown


def test_a_table_without_room_is_a_list_of_named_cells():
    told = """
        best
        mechanism: gnmax
        guaranteed epsilon per patient: 12.34

        mechanism: laplace
        guaranteed epsilon per patient: -

        delta 1e-05"""
    assert "".join(printed(small_table(), 20).split()) == "".join(told.split())


@pytest.mark.parametrize("width", [20, 40, 50, 60, 80, 120])
@pytest.mark.parametrize(
    ("renderable", "numbers"),
    [
        (tables.run_summary(summary()), ("7.13", "60.01", "93.1 %", "3.90")),
        (tables.ledger_statement(LEDGER), ("5.48", "2.52", "54.38", "100")),
        (analysis_tables.facts("votes", {"epsilon": {"patient": 12.3456}}), ("12.3456",)),
    ],
    ids=["run", "ledger", "facts"],
)
def test_no_number_is_cut_at_any_width(renderable, numbers, width):
    shown = printed(renderable, width)
    assert "…" not in shown
    together = "".join(shown.split())
    for number in numbers:
        assert "".join(number.split()) in together

"""How far a sweep is, on a terminal: a row for the points above those of the point that runs."""

import io
from pathlib import Path

from rich.console import Console

from fedpate.commands._points import Ended, Points
from fedpate.commands._sweep_display import Sweep, tell_point


def drawn(sweep: Sweep) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(sweep.render())
    return console.file.getvalue()


def test_points_are_counted_as_they_end_whoever_runs_them(tmp_path, capsys):
    sweep = Sweep(Console(file=io.StringIO(), force_terminal=True, width=100))
    assert drawn(sweep).strip() == ""
    points = Points(tmp_path)
    asked = points.plan("x", [(f"hash{n}", [f"seed={n}"]) for n in range(4)])
    sweep.begin(points, asked, asked[1:])
    assert "1 of 4 points" in capsys.readouterr().err
    assert "1/4" in drawn(sweep)
    points.record(Ended(2, "hash2", ("seed=2",), "2"))
    points.record(Ended(3, "hash3", ("seed=3",), "3", "refused", 2))
    assert "3/4" in drawn(sweep)
    assert "left" in drawn(sweep)

    progress = sweep.point(["seed=1"])
    progress.stage("teachers", 8)
    progress.advance("teachers", 3)
    told = drawn(sweep)
    assert "seed=1" in told
    assert "3/8" in told


def test_elsewhere_than_on_a_terminal_nothing_is_drawn():
    file = io.StringIO()
    sweep = Sweep(Console(file=file))
    with sweep.shown():
        sweep.point(["seed=1"]).stage("teachers", 8)
    assert file.getvalue() == ""


def test_points_in_other_processes_are_told_in_one_row():
    sweep = Sweep(Console(file=io.StringIO(), force_terminal=True, width=100))
    sweep.begin(Points(Path()), [], [])
    sweep.point(["seed=1"]).stage("teachers", 8)
    sweep.elsewhere(3)
    assert "3 points at a time, in other processes" in drawn(sweep)
    assert "seed=1" not in drawn(sweep)


def test_a_point_is_told_in_a_line_where_no_bar_tells_it(capsys):
    bar, none = (Sweep(Console(file=io.StringIO(), force_terminal=on)) for on in (True, False))
    with bar.shown():  # its file stands in for stderr, and is no terminal
        tell_point("not this", bar)
    tell_point("this", none)
    tell_point("and, of another process, this", None)
    assert capsys.readouterr().err == "this\nand, of another process, this\n"

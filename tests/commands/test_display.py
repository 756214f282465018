"""The rows of a run on a terminal: what they say at every width, with and without colour."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from fedpate.commands import _display
from fedpate.federation.progress import STAGES, LogProgress


def console(width, **options):
    return Console(file=io.StringIO(), width=width, force_terminal=True, **options)


def rows(screen, width, **options):
    target = console(width, **options)
    target.print(screen.render())
    return target.file.getvalue()


def plain(screen, width=80):
    return Text.from_ansi(rows(screen, width)).plain.splitlines()


def started(width=80):
    screen = _display.Screen(console(width))
    screen.stage("hospitals", 10)
    screen.advance("hospitals", 10)
    screen.done("hospitals")
    screen.stage("teachers", 50)
    screen.advance("teachers", 20)
    screen.spent("patient", 5.476, 8.0)
    screen.spent("hospital", 54.3766, None)
    return screen


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_row_fits_and_says_how_far_it_is(width):
    lines = plain(started(width), width)
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith("run ")
    assert "1/5" in lines[0]
    assert "10/10" in lines[1]
    assert "20/50" in lines[2]
    assert len(lines) == 1 + len(STAGES) + 2


def test_the_gauges_never_state_less_than_was_spent():
    patient, hospital = plain(started())[-2:]
    assert patient.startswith("epsilon per patient")
    assert patient.rstrip().endswith("5.48 of 8")
    assert hospital.split() == ["epsilon", "per", "hospital", "54.38,", "no", "budget"]


@pytest.mark.parametrize(("spent", "share"), [(0.0, 0.0), (4.0, 0.5), (8.0, 1.0)])
def test_a_gauge_is_as_long_as_its_share(spent, share):
    screen = _display.Screen(console(80, no_color=True))
    screen.spent("patient", spent, 8.0)
    drawn = rows(screen, 80, no_color=True).splitlines()[-1].count("━")
    assert drawn == pytest.approx(share * (80 - _display.NAMES - _display.FIGURES), abs=1)


def test_without_colour_there_is_none():
    text = rows(started(), 80, no_color=True)
    assert "\x1b[3" not in text.replace("\x1b[39m", "")
    assert "20/50" in text


def test_a_stage_that_comes_again_begins_again():
    screen = started()
    for done in (2, 3):
        screen.stage("student", 5)
        screen.advance("student", done)
        row = next(line for line in plain(screen) if "student" in line)
        assert f"{done}/5" in row
        screen.done("student")
    assert "2/5" in plain(screen)[0]


def test_a_stage_nobody_foresaw_gets_a_row():
    screen = started()
    screen.stage("polishing", 3)
    screen.done("polishing")
    lines = plain(screen)
    assert any("polishing" in line for line in lines)
    assert "2/6" in lines[0]


@pytest.mark.parametrize(
    ("seconds", "clock"), [(0, "0:00"), (61.9, "1:01"), (3599, "59:59"), (7322, "2:02:02")]
)
def test_clocks(seconds, clock):
    assert _display.clock(seconds) == clock


def test_elsewhere_than_on_a_terminal_there_are_log_lines():
    with _display.display() as progress:
        assert isinstance(progress, LogProgress)


def test_on_a_terminal_the_rows_go_when_the_run_ends(monkeypatch):
    target = console(80)
    monkeypatch.setattr(_display, "stderr", lambda: target)
    with _display.display() as progress:
        progress.stage("teachers", 4)
        progress.advance("teachers", 4)
        progress.done("teachers")
    written = target.file.getvalue()
    assert "teachers trained" in written
    assert written.endswith("\x1b[1A\x1b[2K")  # the last row, and with it all, is erased

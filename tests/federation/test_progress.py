import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpate.federation.progress import (
    STAGES,
    FileProgress,
    LogProgress,
    current,
    replay,
    showing,
    staged,
)


class Recorder:
    def __init__(self):
        self.events = []

    def stage(self, name, total):
        self.events.append(("stage", name, total))

    def advance(self, name, steps=1):
        self.events.append(("advance", name, steps))

    def done(self, name):
        self.events.append(("done", name))

    def spent(self, unit, epsilon, budget):
        self.events.append(("spent", unit, epsilon, budget))


events = st.lists(
    st.tuples(st.just("stage"), st.sampled_from(STAGES), st.integers(0, 100))
    | st.tuples(st.just("advance"), st.sampled_from(STAGES), st.integers(0, 100))
    | st.tuples(st.just("done"), st.sampled_from(STAGES))
    | st.tuples(
        st.just("spent"),
        st.sampled_from(["patient", "hospital"]),
        st.floats(0, allow_nan=False, allow_infinity=True),
        st.none() | st.floats(0, 100),
    )
)


@given(events, events)
def test_a_file_carries_every_event_once(tmp_path_factory, first, second):
    path = tmp_path_factory.mktemp("progress") / "events"
    written, shown, offset = FileProgress(path), Recorder(), 0
    for part in (first, second):
        for method, *arguments in part:
            getattr(written, method)(*arguments)
        offset = replay(path, offset, shown)
    assert shown.events == first + second


def test_a_line_that_is_being_written_waits(tmp_path):
    path, shown = tmp_path / "events", Recorder()
    FileProgress(path).stage("teachers", 3)
    with path.open("a") as file:
        file.write('["advance", "teac')
    offset = replay(path, 0, shown)
    with path.open("a") as file:
        file.write('hers", 2]\n')
    replay(path, offset, shown)
    assert shown.events == [("stage", "teachers", 3), ("advance", "teachers", 2)]


def test_no_file_is_no_event(tmp_path):
    assert replay(tmp_path / "nothing", 0, Recorder()) == 0


def test_the_log_has_one_line_per_stage(caplog):
    caplog.set_level(logging.INFO)
    display = LogProgress()
    display.stage("teachers", 50)
    display.advance("teachers", 20)
    display.advance("teachers")
    assert not caplog.messages
    display.done("teachers")
    assert [message[:18] for message in caplog.messages] == ["teachers: 21 of 50"]


def test_the_log_tells_what_was_spent_once_something_was(caplog):
    caplog.set_level(logging.INFO)
    LogProgress().spent("patient", 0.0, 8.0)
    assert not caplog.messages
    LogProgress().spent("patient", 5.476, 8.0)
    LogProgress().spent("hospital", 54.377, None)
    assert caplog.messages == [
        "guaranteed epsilon per patient in the ledger: 5.476, budget 8",
        "guaranteed epsilon per hospital in the ledger: 54.377, no budget",
    ]


def test_a_stage_ends_when_it_fails():
    display = Recorder()
    with pytest.raises(RuntimeError), staged(display, "student", 1):
        raise RuntimeError
    assert display.events == [("stage", "student", 1), ("done", "student")]


def test_the_display_is_the_threads_own():
    display = Recorder()
    with showing(display):
        assert current() is display
    assert isinstance(current(), LogProgress)

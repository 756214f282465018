import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpate.errors import ConfigError
from fedpate.learning.schedule import PADDING, WIDTH_STEP, make_schedule
from fedpate.rng import stream
from learning_cases import quick


@given(st.integers(1, 200), st.integers(1, 4), st.integers(1, 70), st.integers(0, 2**32))
def test_an_epoch_takes_every_record_once(n_records, epochs, batch_size, seed):
    training = quick(epochs, batch_size=batch_size)
    schedule = make_schedule(n_records, training, stream(seed), images=False)
    per_epoch = -(-n_records // batch_size)
    assert schedule.steps == epochs * per_epoch == training.steps(n_records)
    assert schedule.width == training.width(n_records) <= batch_size
    assert schedule.width == batch_size or schedule.width % WIDTH_STEP == 0
    for epoch in schedule.rows.reshape(epochs, -1):
        assert sorted(epoch[epoch != PADDING]) == list(range(n_records))


@given(st.integers(1, 500), st.integers(1, 50), st.integers(1, 50), st.integers(0, 50))
def test_the_number_of_steps_is_bounded_on_both_sides(n_records, epochs, min_steps, more):
    training = quick(epochs, min_steps=min_steps, max_steps=min_steps + more)
    schedule = make_schedule(n_records, training, stream(0), images=False)
    assert min_steps <= schedule.steps <= min_steps + more
    assert (schedule.rows != PADDING).any(axis=1).all()  # no batch is empty


def test_the_learning_rate_falls_along_half_a_cosine():
    training = quick(learning_rate=0.2)
    rates = [training.rate(step, 10) for step in range(10)]
    assert rates[0] == 0.2
    assert rates[5] == pytest.approx(0.1)
    assert np.all(np.diff(rates) < 0)
    assert rates[-1] > 0


def test_only_images_are_moved_and_only_if_asked():
    moving = quick(max_turn=10.0)
    assert make_schedule(9, moving, stream(0), images=True).motions.shape == (1, 16, 2, 3)
    assert make_schedule(9, moving, stream(0), images=False).motions is None
    assert make_schedule(9, quick(), stream(0), images=True).motions is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "teacher.epochs must be a whole number >= 1, got 0"),
        ({"batch_size": 2.5}, "teacher.batch_size must be a whole number >= 1, got 2.5"),
        ({"min_steps": 9, "max_steps": 3}, "teacher.max_steps must be a whole number >= 9, got 3"),
        ({"learning_rate": 0.0}, "teacher.learning_rate must be finite and > 0, got 0.0"),
        ({"weight_decay": -1.0}, "teacher.weight_decay must be finite and >= 0, got -1.0"),
        ({"max_zoom": float("nan")}, "teacher.max_zoom must be finite and >= 0, got nan"),
    ],
)
def test_impossible_settings_are_refused_by_name(changes, message):
    with pytest.raises(ConfigError) as error:
        quick(**changes).check("teacher")
    assert str(error.value) == message

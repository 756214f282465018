import json
from dataclasses import replace

import numpy as np
import pytest

from federated import small_run
from fedpate.federation import site
from fedpate.federation.hospital import training_id
from fedpate.federation.refusals import Code, Refusal
from fedpate.learning.store import TeacherStore
from fedpate.learning.teachers import teacher_seed, train_teachers
from fedpate.learning.voting import count_votes
from fedpate.privacy.mechanisms import MECHANISMS


@pytest.fixture
def side(tmp_path):
    return site.coordinator_side(small_run(tmp_path / "store"), tmp_path / "work")


def hospital(side, index=0, **changes):
    simulation = replace(side.settings.simulation, **changes)
    return site.simulated_hospital(index, side.settings, simulation)


def queries(side, n=10):
    return side.pool.take(slice(n))


def trained(side, index=0, **changes):
    found = hospital(side, index, **changes)
    assert found.train(side.settings, side.preprocessing) == 2
    return found, training_id(side.settings, side.preprocessing)


def test_votes_are_those_of_teachers_trained_on_the_hospitals_shards(side):
    found, training = trained(side, index=2)
    answer = found.answer(queries(side), side.settings, training)
    teachers = train_teachers(
        side.settings.teacher,
        side.truth.shards(2),
        side.preprocessing,
        [teacher_seed(0, "hospital-2", shard) for shard in range(2)],
    )
    expected = count_votes(teachers, queries(side).features, side.n_classes)
    np.testing.assert_array_equal(answer.votes, expected)
    assert answer.n_teachers == 2
    assert not answer.randomized


def test_an_untrained_hospital_refuses(side):
    training = training_id(side.settings, side.preprocessing)
    with pytest.raises(Refusal) as caught:
        hospital(side).answer(queries(side), side.settings, training)
    assert caught.value.code == Code.UNTRAINED


def test_a_hospital_whose_teachers_are_gone_refuses(side, tmp_path):
    found, training = trained(side)
    moved = replace(found, store=TeacherStore(tmp_path / "elsewhere"))
    with pytest.raises(Refusal) as caught:
        moved.answer(queries(side), side.settings, training)
    assert caught.value.code == Code.UNTRAINED


def test_training_again_trains_nothing(side, monkeypatch):
    first, training = trained(side)
    before = first.answer(queries(side), side.settings, training)

    def fit_all(self, shards, *_):
        assert not shards
        return []

    monkeypatch.setattr(type(side.settings.teacher), "fit_all", fit_all)
    again, _ = trained(side)
    after = again.answer(queries(side), side.settings, training)
    np.testing.assert_array_equal(after.votes, before.votes)


def test_a_repeated_query_is_answered_without_teachers(side, tmp_path):
    found, training = trained(side)
    before = found.answer(queries(side), side.settings, training)
    moved = replace(found, store=TeacherStore(tmp_path / "elsewhere"))
    again = moved.answer(queries(side), side.settings, training)
    np.testing.assert_array_equal(again.votes, before.votes)


def test_voting_needs_no_records(side):
    found, training = trained(side)

    def never():
        raise AssertionError("records were read")

    replace(found, shards=never).answer(queries(side), side.settings, training)


def test_trainings_of_other_settings_do_not_meet(side):
    found, training = trained(side)
    other = replace(side.settings, seed=1)
    assert training_id(other, side.preprocessing) != training
    with pytest.raises(Refusal):
        found.answer(queries(side), other, training_id(other, side.preprocessing))


def local(side, noise_seed=None):
    settings = replace(side.settings, mechanism=MECHANISMS["laplace"](noise_scale=5.0))
    found = hospital(side, noise_seed=noise_seed)
    found.train(settings, side.preprocessing)
    return found, settings, training_id(settings, side.preprocessing)


def test_randomized_answers_to_repeats_are_the_same(side):
    found, settings, training = local(side)
    first = found.answer(queries(side), settings, training)
    assert first.randomized
    shuffled = queries(side).take(np.array([7, 3, 3, 0])[[0, 1, 3]])
    again = found.answer(shuffled, settings, training)
    np.testing.assert_array_equal(again.votes, first.votes[[7, 3, 0]])


def test_randomized_answers_survive_a_restart(side):
    found, settings, training = local(side)
    first = found.answer(queries(side), settings, training)
    restarted, _, _ = local(side)
    np.testing.assert_array_equal(
        restarted.answer(queries(side), settings, training).votes, first.votes
    )


def test_os_noise_differs_between_runs_and_seeded_noise_does_not(side, tmp_path):
    def fresh(name, noise_seed):
        simulation = replace(side.settings.simulation, folder=str(tmp_path / name))
        found, settings, training = local(
            replace(side, settings=replace(side.settings, simulation=simulation)), noise_seed
        )
        return found.answer(queries(side), settings, training).votes

    assert (fresh("a", None) != fresh("b", None)).any()
    np.testing.assert_array_equal(fresh("c", 3), fresh("d", 3))
    assert (fresh("e", 3) != fresh("f", 4)).any()


def test_two_batches_do_not_share_seeded_noise(side):
    found, settings, training = local(side, noise_seed=3)
    plain = found.answer(queries(side, 20), replace(settings, mechanism=None), training).votes
    first = found.answer(queries(side, 20).take(slice(10)), settings, training).votes
    second = found.answer(queries(side, 20).take(slice(10, None)), settings, training).votes
    assert ((first - plain[:10]) != (second - plain[10:])).any()


def test_the_training_file_names_keys_and_nothing_else(side, tmp_path):
    _, training = trained(side)
    path = tmp_path / "work" / "hospitals" / "hospital-0" / "trainings" / f"{training}.json"
    keys = json.loads(path.read_text())
    assert len(keys) == 2
    assert all(set(key) <= set("0123456789abcdef") for key in keys)

"""Hospitals of one federation that train different things."""

import json

import numpy as np
import pytest

from federated import small_run
from fedpate import config
from fedpate.errors import ConfigError
from fedpate.federation import job, wire
from fedpate.federation.engines import simulate
from fedpate.federation.overrides import Override
from fedpate.federation.settings import Run
from fedpate.learning import store as store_module
from fedpate.learning.own_models import Models
from fedpate.learning.teachers import Lightgbm, Mlp, SklearnTeacher, Xgboost
from fedpate.privacy.mechanisms import MECHANISMS
from programs import linear_onnx, program

FIVE = {
    0: "xgboost",
    1: {"teacher": {"name": "sklearn", "model": "svc"}},
    "hospital-2": {"teacher": "command"},
    3: {"teacher": "onnx"},
}


@pytest.fixture
def five(tmp_path) -> Run:
    """Five hospitals, five kinds: XGBoost, scikit-learn, a program, an ONNX model, an mlp."""
    weights = np.zeros((30, 2))
    weights[20] = 1, -1  # the largest radius, in raw units, is large where it is malignant
    (tmp_path / "own.onnx").write_bytes(linear_onnx(weights))
    return small_run(
        tmp_path / "store",
        hospitals=5,
        teacher=Mlp(hidden=(4,), min_steps=20, max_steps=20),
        hospital_overrides=FIVE,
        models=Models(str(program(tmp_path / "nearest")), str(tmp_path / "own.onnx")),
        baselines=True,
    )


def test_five_kinds_in_one_federation(five, tmp_path, monkeypatch):
    told: dict[str, str] = {}
    read = wire.read_train_request

    def listen(content):
        text, arrays = read(content)
        told.setdefault(json.loads(text)["teacher"]["name"], text)
        return text, arrays

    monkeypatch.setattr(wire, "read_train_request", listen)
    simulate(five, tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["federation"]["teachers_present"] == 9  # one of them the ONNX model
    assert summary["federation"]["dropped"] == []
    assert summary["labels"]["accuracy"] > 0.6
    assert summary["baselines"]["mean_hospital"] > 0.6
    with np.load(tmp_path / "run" / "votes.npz") as votes:
        assert (votes["counts"].sum(axis=1) == 9).all()
    assert set(told) == {"xgboost", "sklearn", "command", "onnx", "mlp"}
    for text in told.values():  # each is told its own part and nobody else's
        assert sum(f'"name": "{name}"' in text for name in told) == 1
        assert "hospital_overrides" not in text

    def refuse(*_):
        raise AssertionError("trained again")

    for kind in (Xgboost, SklearnTeacher, Mlp):
        monkeypatch.setattr(kind, "fit_all", lambda _, shards, *__: shards and refuse())
    simulate(five, tmp_path / "again")
    again = json.loads((tmp_path / "again" / "summary.json").read_text())
    assert again["labels"] == summary["labels"]
    kinds = {entry.kind for entry in store_module.TeacherStore(tmp_path / "store/teachers").list()}
    assert kinds >= {"adapted", "pickle", "command", "onnx", "net"}


def test_another_program_is_asked_again(five, tmp_path):
    simulate(five, tmp_path / "one")
    program(tmp_path / "nearest", "np.save(folder / 'votes.npy', labels[:1].repeat(len(query)))\n")
    simulate(five, tmp_path / "two")
    counts = [np.load(tmp_path / name / "votes.npz")["counts"] for name in ("one", "two")]
    assert not np.array_equal(*counts)


def test_what_is_not_there_is_refused_before_anything_runs(five, tmp_path):
    for changes, message in [
        ({"hospital_overrides": {4: "onnx"}, "models": Models()}, "teacher=onnx needs models.onnx"),
        ({"hospital_overrides": {"hospital-9": "mlp"}}, "of this federation, got 'hospital-9'"),
    ]:
        with pytest.raises(ConfigError, match=message):
            simulate(small_run(tmp_path / "store", hospitals=5, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({4: "mlp"}, "hospital_overrides must name hospitals in [0, 4), got 4"),
        ({1: "mlp", "hospital-1": "mlp"}, "must name a hospital once, got hospital-1 twice"),
        ({1: 3}, "hospital_overrides.hospital-1 must be a kind of teacher, got 3"),
        ({1: "nothing"}, "teacher must be one of"),
        ({1: {"teacher": {"name": "mlp", "depth": 3}}}, "teacher.depth is not a setting"),
        ({1: {"models": {"command": 3}}}, "models.command must be of type str, got int"),
        ({1: {"device": "cuda"}}, "hospital_overrides.hospital-1.device is not a setting"),
        ("mlp", "hospital_overrides must be {HOSPITAL: TEACHER, ...}, got 'mlp'"),
    ],
)
def test_mistakes_are_refused_by_name(raw, message, tmp_path):
    with pytest.raises(ConfigError) as refused:
        small_run(tmp_path, hospital_overrides=raw)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_they_are_typed_and_travel_to_other_processes(tmp_path):
    config.register()
    typed = ["hospital_overrides={0: lightgbm, hospital-3: {teacher: {name: mlp, hidden: [3]}}}"]
    run = config.build(config.compose("config", typed), typed)
    assert run.hospital_overrides == {
        "hospital-0": Override(Lightgbm()),
        "hospital-3": Override(Mlp(hidden=(3,))),
    }
    assert Run.from_json(run.to_json()) == run
    moved = job.with_absolute_paths(small_run(tmp_path, models=Models(command="here")))
    assert moved.models.command.startswith("/")


def test_points_of_a_sweep_wait_for_the_same_teachers(tmp_path, monkeypatch):
    waited: list[str] = []
    alone = store_module.TeacherStore.alone

    def listen(store, work):
        waited.append(work)
        return alone(store, work)

    monkeypatch.setattr(store_module.TeacherStore, "alone", listen)
    for scale in (2.0, 3.0):
        run = small_run(tmp_path / "store", mechanism=MECHANISMS["gnmax"](noise_scale=scale))
        simulate(run, tmp_path / f"run-{scale}")
    assert len(waited) == 2
    assert len(set(waited)) == 1

"""What a run is compared with: how many, at which price, and by whose averaging."""

import importlib.util
import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from federated import small_run
from fedpate.data.preprocessing import Preprocessing
from fedpate.errors import ConfigError
from fedpate.federation import two_levels
from fedpate.federation.engines import simulate
from fedpate.federation.fedavg import Averaging
from fedpate.learning.nets import mlp
from fedpate.privacy.mechanisms import GaussianMax, NoNoise
from fedpate.records import LabelledData

STANDARD = {"majority_class", "mean_hospital", "best_hospital", "vote_without_noise", "pooled"}
ALL = {*STANDARD, "pooled_auc", "fedavg", "fedavg_dpsgd", "fedkt"}


def scores(run, out):
    """The baselines that a run has trained."""
    simulate(run, out)
    found = json.loads((out / "summary.json").read_text())["baselines"]
    assert all(0 < value <= 1 for value in found.values() if value is not None)
    return {key for key, value in found.items() if value is not None}


@pytest.fixture
def run(tmp_path):
    return small_run(tmp_path / "store")


def test_each_choice_trains_what_it_says(run, tmp_path):
    assert scores(run, tmp_path / "none") == set()
    local = scores(replace(run, baselines="local"), tmp_path / "local")
    assert local == STANDARD - {"pooled"}
    standard = scores(replace(run, baselines="standard"), tmp_path / "standard")
    assert standard == {*STANDARD, "pooled_auc"}


def test_all_of_them_pay_what_the_run_has_paid(run, tmp_path, monkeypatch):
    noises = []

    def release(self, votes, entropy):
        noises.append(self)
        return real(self, votes, entropy)

    real = GaussianMax.release
    run = replace(run, baselines="all", mechanism=GaussianMax(6.0))
    with monkeypatch.context() as patch:
        patch.setattr(two_levels.GaussianMax, "release", release)
        assert scores(run, tmp_path / "all") == ALL
    own, *in_hospitals = [mechanism.noise_scale for mechanism in noises]
    assert own == 6.0
    assert len(in_hospitals) == run.hospitals
    assert in_hospitals == pytest.approx([6.0] * run.hospitals, rel=1e-3)


def test_without_a_price_there_is_nothing_for_dpsgd_to_spend(run, tmp_path):
    run = replace(run, baselines="all", mechanism=NoNoise())
    assert scores(run, tmp_path / "run") == ALL - {"fedavg_dpsgd"}


def test_a_missing_library_is_one_line_before_anything_runs(run, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError) as refusal:
        replace(run, baselines="all")
    assert str(refusal.value) == (
        "baselines=all needs opacus, which is not installed: pip install 'fedpate[dpsgd]'"
    )


@pytest.mark.parametrize(("typed", "meant"), [(False, "none"), (True, "standard")])
def test_yes_and_no_are_understood(run, typed, meant):
    assert replace(run, baselines=typed).baselines == meant
    with pytest.raises(ConfigError, match="baselines must be one of"):
        replace(run, baselines="some")


@dataclass(frozen=True)
class Claims:
    """A hospital that sends its number of records as every weight."""

    def update(self, net, params, features, labels, seed):
        return {name: torch.full_like(value, len(labels)) for name, value in params.items()}


def test_flowers_average_is_weighted_by_records():
    rng = np.random.default_rng(0)
    shards = [
        LabelledData(rng.normal(size=(n, 3)).astype(np.float32), rng.integers(0, 2, n), 2)
        for n in (10, 30)
    ]
    rounds = []
    preprocessing = Preprocessing.fit(shards[0].features)
    averaging = Averaging(mlp((3,), (), 2), shards, preprocessing, 0, rounds.append)
    model = averaging.run(Claims(), "claims")
    assert set(torch.cat([p.flatten() for p in model.params.values()]).tolist()) == {25.0}
    assert sum(rounds) == 20

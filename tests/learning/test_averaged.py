"""A hospital's round of federated averaging, and what DP-SGD's noise has to be."""

import math

import numpy as np
import pytest
import torch
from opacus.accountants import RDPAccountant

from fedpate.learning import averaged
from fedpate.learning.averaged import PlainUpdates, PrivateUpdates
from fedpate.learning.nets import initial_params, mlp
from fedpate.learning.schedule import Training
from fedpate.privacy import dpsgd
from fedpate.rng import stream

NET = mlp((6,), (40,), 2)
START = initial_params(NET, stream(0, "start"))


def records(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    features = torch.from_numpy(stream(1).normal(size=(n, 6)).astype(np.float32))
    return features, (features[:, 0] > 0).long()


@pytest.mark.parametrize(("epsilon", "n"), [(1.0, 60), (8.0, 5000)])
def test_all_rounds_together_cost_the_epsilon_when_a_record_is_replaced(epsilon, n):
    delta = 1e-5
    noise = PrivateUpdates(epsilon, delta).noise(n)
    rate, steps = averaged.sampling_rate(n), averaged.ROUNDS * averaged.samples_per_round(n)
    assert dpsgd.delta(noise, rate, steps, epsilon) <= delta
    assert dpsgd.delta(0.99 * noise, rate, steps, epsilon) > delta
    # Opacus's accountant, for one record removed, twice: valid too, and a looser bound.
    half, half_delta = epsilon / 2, delta / (1 + math.exp(epsilon / 2))
    accountant = RDPAccountant()
    accountant.history = [(noise, rate, steps)]
    assert half < accountant.get_epsilon(half_delta) < 1.25 * half


def test_the_noise_that_is_added_is_the_noise_that_is_paid_for():
    n = 200
    private = PrivateUpdates(0.05, 1e-5)  # next to which every gradient is nothing
    moved = private.update(NET, START, *records(n), seed=3)
    change = torch.cat([(moved[name] - START[name]).flatten() for name in START])
    steps, expected = averaged.samples_per_round(n), n * averaged.sampling_rate(n)
    scale = averaged.PRIVATE_RATE * private.noise(n) * averaged.CLIP / expected * steps**0.5
    assert change.std().item() == pytest.approx(scale, rel=0.15)


def test_any_epsilon_has_a_noise():
    epsilons = (averaged.LEAST_EPSILON, 1.0, 1e6)
    noises = [PrivateUpdates(epsilon, 1e-5).noise(100) for epsilon in epsilons]
    assert noises == sorted(noises, reverse=True)
    assert noises[0] > 1000


def test_both_ways_learn_and_repeat_themselves():
    features, labels = records(400)
    for how in (
        PlainUpdates(Training(1, 1, 1000, 32, 0.01, 0.01)),
        PrivateUpdates(40.0, 1e-5),
    ):
        params = START
        for round_ in range(averaged.ROUNDS):
            params = how.update(NET, params, features, labels, seed=round_)
        module = NET.module()
        module.load_state_dict(params, assign=True)
        assert (module(features).argmax(1) == labels).float().mean() > 0.85
        again = how.update(NET, START, features, labels, seed=5)
        twice = how.update(NET, START, features, labels, seed=5)
        assert all(torch.equal(again[name], twice[name]) for name in again)

"""DP-SGD: what is clipped, what is drawn, what depends on the seed and what never may."""

import numpy as np
import opacus
import pytest
import torch
from scipy import stats

from fedpate.errors import ConfigError
from fedpate.learning import dpsgd_teachers
from fedpate.learning.fitted import TorchTeacher
from fedpate.learning.private_kinds import DpSgd
from fedpate.learning.teachers import train_teachers
from fedpate.privacy.entropy import OsEntropy, SeededEntropy
from fedpate.records import LabelledData
from learning_cases import DIGITS, digit_shards, digits

QUICK = DpSgd(target_epsilon=20.0, epochs=1, min_steps=5, max_steps=5, batch_size=20)


def weights(noise_seed, seed=1, shard=None, teacher=QUICK) -> np.ndarray:
    shard = shard or digit_shards([60])[0]
    (one,) = train_teachers(teacher, [shard], DIGITS, [seed], noise_seed=noise_seed)
    assert isinstance(one, TorchTeacher)
    return np.concatenate([p.numpy().ravel() for p in one.params.values()])


def test_the_noise_follows_the_operating_system_and_never_the_runs_seed():
    assert not np.array_equal(weights(None), weights(None))
    assert np.array_equal(weights(3), weights(3))
    assert not np.array_equal(weights(3), weights(4))
    assert not np.array_equal(weights(3, seed=1), weights(3, seed=2))


def test_the_numbers_drawn_are_standard_normal():
    drawn = dpsgd_teachers.gaussian(100_000, OsEntropy())
    assert stats.kstest(drawn, "norm").pvalue > 1e-9
    for factor in (0.95, 1.05):
        assert stats.kstest(drawn, "norm", (0, factor)).pvalue < 1e-9
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.03
    assert np.array_equal(*(dpsgd_teachers.gaussian(9, SeededEntropy(1)) for _ in range(2)))


def noisy_step(features: torch.Tensor, sigma: float, entropy) -> torch.Tensor:
    """The noisy sum of clipped gradients of one step, as the optimizer has it."""
    torch.manual_seed(0)
    module = torch.nn.Linear(4, 3)
    wrapped = opacus.GradSampleModule(module, loss_reduction="sum")
    optimizer = dpsgd_teachers._noisy(opacus)(
        torch.optim.SGD(module.parameters(), lr=0.0),
        noise_multiplier=sigma,
        max_grad_norm=0.5,
        expected_batch_size=1,
    )
    optimizer.entropy = entropy
    labels = torch.zeros(len(features), dtype=torch.int64)
    torch.nn.functional.cross_entropy(wrapped(features), labels, reduction="sum").backward()
    optimizer.step()
    return torch.cat([p.grad.flatten() for p in module.parameters()]).detach()


@pytest.mark.filterwarnings("ignore:Full backward hook:UserWarning")
def test_one_record_moves_the_sum_by_no_more_than_the_clipping_norm():
    records = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)) * 100
    whole = noisy_step(records, 0.0, OsEntropy())
    without = noisy_step(records[:-1], 0.0, OsEntropy())
    assert 0.49 < torch.linalg.norm(whole - without) <= 0.5 + 1e-5
    empty = noisy_step(records[:0], 0.0, OsEntropy())
    assert not empty.any()


@pytest.mark.filterwarnings("ignore:Full backward hook:UserWarning")
def test_the_noise_on_the_sum_is_the_multiplier_times_the_clipping_norm():
    records = torch.ones(1, 4)
    quiet = noisy_step(records, 0.0, OsEntropy())
    drawn = np.concatenate(
        [(noisy_step(records, 3.0, OsEntropy()) - quiet).numpy() for _ in range(400)]
    )
    assert stats.kstest(drawn, "norm", (0, 1.5)).pvalue > 1e-9
    for factor in (0.8, 1.25):
        assert stats.kstest(drawn, "norm", (0, 1.5 * factor)).pvalue < 1e-9


def test_a_shard_of_one_class_is_trained_like_any_other():
    (shard,) = digit_shards([40])
    same = LabelledData(shard.features, np.full(40, 7), 10)
    (one,) = train_teachers(QUICK, [same], DIGITS, [1])
    assert isinstance(one, TorchTeacher)  # a constant teacher would tell without noise


def test_it_learns_and_more_privacy_costs_accuracy():
    (shard,) = digit_shards([800])
    test = digits()
    right = {}
    for epsilon in (0.2, 50.0):
        teacher = DpSgd(target_epsilon=epsilon, epochs=8)
        (one,) = train_teachers(teacher, [shard], DIGITS, [1], noise_seed=1)
        right[epsilon] = (one.votes(test.features[800:]) == test.labels[800:]).mean()
    assert right[50.0] > 0.8
    assert right[0.2] < right[50.0] - 0.2


def test_batches_may_be_empty_and_images_convolved():
    (shard,) = digit_shards([30])
    teacher = DpSgd(batch_size=1, min_steps=12, max_steps=12, channels=(3,), hidden=(5,))
    (one,) = train_teachers(teacher, [shard], DIGITS, [1])
    assert one.net.blocks
    assert np.isfinite(one.probabilities(shard.features)).all()
    assert teacher.plan(30) == (1 / 30, 12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_epsilon": 0.0}, "teacher.target_epsilon must be finite and > 0, got 0.0"),
        ({"delta": 1.0}, "teacher.delta must be in (0, 1), got 1.0"),
        ({"max_grad_norm": 0.0}, "teacher.max_grad_norm must be finite and > 0, got 0.0"),
        ({"momentum": 1.0}, "teacher.momentum must be in [0, 1), got 1.0"),
        ({"batch_size": 0}, "teacher.batch_size must be a whole number >= 1, got 0"),
    ],
)
def test_impossible_settings_are_refused_by_name(changes, message):
    with pytest.raises(ConfigError) as error:
        DpSgd(**changes)
    assert str(error.value) == message

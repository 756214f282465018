"""Vectorized training against the plain loop, and against itself in other stacks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpate.learning import stacked
from fedpate.learning.ensemble import Member, train_stack
from fedpate.learning.loop import train_one
from fedpate.learning.nets import Net, cnn, initial_params, mlp
from fedpate.learning.schedule import Training, make_schedule
from fedpate.rng import stream
from learning_cases import digits, quick

MLP = mlp((1, 8, 8), (13,), 10)
CNN = cnn((1, 8, 8), (6, 7), (11,), 10)
LARGE_CNN = cnn((1, 17, 18), (4, 5), (), 10)
# What fills whole vector registers (`stacked.LANES`), as the default settings do.
WHOLE_CNN = cnn((1, 8, 8), (16, 32), (48,), 10)
WHOLE_LARGE_CNN = cnn((1, 17, 18), (16, 16), (), 10)
MOVES = {"max_shift": 0.1, "max_turn": 10.0, "max_zoom": 0.1, "max_shear": 0.1}


@pytest.fixture(autouse=True)
def one_core_per_operation():
    """As `parallel.run_all` has it: a kernel that splits its work may add in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def member(net: Net, n_records: int, training: Training, seed: int) -> Member:
    """A shard of digits, at the size that the net takes."""
    rng = stream(seed, "member")
    rows = rng.choice(len(digits()), n_records, replace=False)
    images = torch.from_numpy(digits().features[rows].astype(np.float32) / 16)
    images = torch.nn.functional.interpolate(images, net.image_shape[1:])
    return Member(
        initial_params(net, rng),
        images,
        torch.from_numpy(digits().labels[rows]),
        make_schedule(n_records, training, rng, images=bool(net.blocks)),
    )


def by_the_loop(net: Net, one: Member, training: Training) -> dict[str, torch.Tensor]:
    return train_one(net, one.weights, one.features, one.labels, one.schedule, training)


def furthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return max((one[name] - other[name]).abs().max().item() for name in one)


@pytest.mark.parametrize("net", [MLP, CNN, LARGE_CNN], ids=["mlp", "cnn", "large cnn"])
def test_uneven_shards_train_as_in_the_plain_loop(net):
    training = quick(2, **(MOVES if net.blocks else {}))
    members = [member(net, n, training, seed) for seed, n in enumerate((16, 33, 40, 17))]
    together = train_stack(net, members, training)
    for one, params in zip(members, together, strict=True):
        alone = by_the_loop(net, one, training)
        assert furthest(alone, one.weights) > 0.01  # there was something to learn
        assert furthest(alone, params) < 1e-4


@pytest.mark.parametrize("net", [MLP, CNN], ids=["mlp", "cnn"])
def test_the_votes_are_those_of_the_plain_loop(net):
    training = quick(60, batch_size=32, learning_rate=0.02)
    members = [member(net, n, training, seed) for seed, n in enumerate((60, 90))]
    together = train_stack(net, members, training)
    images = torch.from_numpy(digits().features[:600].astype(np.float32) / 16)
    stack = stacked.stack(net, together)
    answers = stacked.logits(net, stack, images[None]).argmax(2)
    for one, own in zip(members, answers, strict=True):
        module = net.module()
        module.load_state_dict(by_the_loop(net, one, training), assign=True)
        oracle = module(images).argmax(1)
        correct = oracle.numpy() == digits().labels[:600]
        assert correct.mean() > 0.6
        assert (oracle != own).sum() <= 1  # a tie in the last bit


@given(
    st.sampled_from([MLP, CNN, WHOLE_CNN, WHOLE_LARGE_CNN, mlp((1, 8, 8), (), 10)]),
    st.lists(st.integers(9, 16), min_size=2, max_size=5),
    st.lists(st.integers(17, 40), max_size=3),
    st.randoms(use_true_random=False),
)
@settings(max_examples=15)
def test_a_model_does_not_depend_on_its_stack(net, sizes, longer, random):
    training = quick(3, batch_size=16, **(MOVES if net.blocks else {}))
    members = [member(net, n, training, seed) for seed, n in enumerate(sizes + longer)]
    together = train_stack(net, members, training)
    chosen = random.sample(range(len(members)), random.randint(1, len(members)))
    apart = train_stack(net, [members[index] for index in chosen], training)
    for index, params in zip(chosen, apart, strict=True):
        if any(block.outputs % stacked.LANES for block in net.blocks):
            assert furthest(params, together[index]) < 1e-4  # where a channel stands may round
        else:
            assert all(torch.equal(params[name], together[index][name]) for name in params)


def test_training_draws_no_global_randomness_and_leaves_its_input_alone():
    training = quick(1, **MOVES)
    one = member(CNN, 20, training, 0)
    weights = {name: value.clone() for name, value in one.weights.items()}
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    train_stack(CNN, [one], training)
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert furthest(weights, one.weights) == 0


def test_a_training_can_be_stopped_between_two_steps():
    asked = iter([False, False, True])
    one = member(MLP, 20, quick(50), 0)
    two_steps = Training(**{**vars(quick(50)), "max_steps": 2})
    stopped = train_stack(MLP, [one], quick(50), stopped=lambda: next(asked))
    assert next(asked, None) is None
    assert furthest(stopped[0], one.weights) > 0
    assert furthest(stopped[0], by_the_loop(MLP, member(MLP, 20, two_steps, 0), two_steps)) > 0


@pytest.mark.parametrize("net", [MLP, CNN], ids=["mlp", "cnn"])
def test_mixed_precision_trains_in_both_ways_and_keeps_float32_parameters(net):
    exact, rough = (
        quick(90, learning_rate=0.02),
        quick(90, learning_rate=0.02, precision="bfloat16"),
    )
    one = member(net, 90, exact, 1)
    images, labels = one.features, one.labels
    right = {}
    for name, params in {
        "float32": train_stack(net, [one], exact)[0],
        "stacked": train_stack(net, [one], rough)[0],
        "loop": by_the_loop(net, one, rough),
    }.items():
        assert all(values.dtype == torch.float32 for values in params.values())
        module = net.module()
        module.load_state_dict(params, assign=True)
        right[name] = (module(images).argmax(1) == labels).float().mean().item()
        if name != "float32":
            assert furthest(params, train_stack(net, [one], exact)[0]) > 1e-4
    assert min(right.values()) > 0.9

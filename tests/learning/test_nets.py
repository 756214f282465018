import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedpate.errors import ConfigError
from fedpate.learning.nets import Net, cnn, initial_params, mlp
from fedpate.rng import stream

widths = st.lists(st.integers(1, 9), max_size=3).map(tuple)
channels = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)
image_shapes = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40)),
)
nets = st.one_of(
    st.builds(mlp, st.tuples(st.integers(1, 30)), widths, st.integers(2, 12)),
    st.builds(cnn, image_shapes, channels, widths, st.integers(2, 12)),
)


def filled(net: Net) -> torch.nn.Sequential:
    module = net.module()
    module.load_state_dict(initial_params(net, stream(0)), assign=True)
    return module


@given(nets)
def test_the_module_takes_a_record_and_gives_the_classes(net):
    answers = filled(net)(torch.zeros(3, *net.input_shape))
    assert answers.shape == (3, net.n_classes)


@given(nets)
def test_a_net_survives_its_dictionary(net):
    assert Net.from_dict(net.to_dict()) == net


@given(nets)
def test_parameters_and_activations_are_counted(net):
    module = filled(net)
    seen = [math.prod(net.record_shape)]
    for layer in module:
        if not isinstance(layer, torch.nn.ReLU):  # may reuse the memory of what it is given
            layer.register_forward_hook(lambda _, __, output: seen.append(output.numel()))
    module(torch.zeros(1, *net.input_shape))
    assert net.n_parameters == sum(p.numel() for p in module.parameters())
    assert sum(seen) <= net.activations <= 3 * sum(seen)


def test_the_size_is_taken_from_the_data():
    large = cnn((28, 28), (16, 32), (64,), 10)
    assert [(b.kernel, b.stride, b.padding) for b in large.blocks] == [(5, 2, 0), (3, 1, 1)]
    assert large.widths == (32 * 3 * 3, 64, 10)
    small = cnn((3, 8, 8), (16, 32), (), 10)
    assert [(b.inputs, b.kernel, b.stride, b.padding) for b in small.blocks] == [
        (3, 3, 1, 1),
        (16, 3, 1, 1),
    ]
    assert small.widths == (32 * 2 * 2, 10)
    assert cnn((4, 2), (8, 8, 8), (), 2).widths == (8 * 2 * 1, 2)  # one block, then no room


def test_a_cnn_on_a_table_is_refused():
    with pytest.raises(ConfigError, match=r"a cnn needs images .* got records of shape \(30,\)"):
        cnn((30,), (16,), (), 2)


def test_initial_weights_follow_he_and_touch_no_global_state():
    net = mlp((200,), (300,), 2)
    before = torch.random.get_rng_state()
    first, again = initial_params(net, stream(1)), initial_params(net, stream(1))
    other = initial_params(net, stream(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    weights = first["1.weight"]
    assert torch.equal(weights, again["1.weight"])
    assert not torch.equal(weights, other["1.weight"])
    assert weights.std().item() == pytest.approx(math.sqrt(2 / 200), rel=0.02)  # 60,000 draws
    assert not first["1.bias"].any()

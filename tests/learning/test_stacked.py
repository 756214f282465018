import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpate.learning import stacked
from fedpate.learning.nets import Net, cnn, initial_params, mlp
from fedpate.rng import stream

nets = st.one_of(
    st.builds(
        mlp,
        st.tuples(st.integers(1, 20)),
        st.lists(st.integers(1, 20), max_size=2).map(tuple),
        st.integers(2, 11),
    ),
    st.builds(
        cnn,
        st.one_of(
            st.tuples(st.integers(1, 20), st.integers(1, 20)),
            st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 20)),
        ),
        st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple),
        st.lists(st.integers(1, 9), max_size=1).map(tuple),
        st.integers(2, 11),
    ),
)


def models(net: Net, n: int) -> list[dict[str, torch.Tensor]]:
    drawn = [initial_params(net, stream(0, model)) for model in range(n)]
    for model, params in enumerate(drawn):  # biases start at zero; here they must matter
        for name, value in params.items():
            if name.endswith("bias"):
                value += torch.from_numpy(
                    stream(1, model, name).normal(size=value.shape).astype(np.float32)
                )
    return drawn


def module_logits(net: Net, params: dict[str, torch.Tensor], records: torch.Tensor) -> torch.Tensor:
    module = net.module()
    module.load_state_dict(params, assign=True)
    return module(records.reshape(-1, *net.input_shape))


@given(nets, st.integers(1, 4))
def test_what_is_stacked_comes_back(net, n):
    before = models(net, n)
    after = stacked.unstack(net, stacked.stack(net, before))
    for one, other in zip(before, after, strict=True):
        assert list(one) == list(other)
        assert all(torch.equal(one[name], other[name]) for name in one)
        assert all(value.is_contiguous() for value in other.values())


@given(nets, st.integers(1, 4), st.integers(1, 6))
@settings(max_examples=60)
def test_a_stack_answers_as_its_modules_do(net, n_models, n_records):
    stack = models(net, n_models)
    draw = stream(2).normal(size=(n_models, n_records, *net.record_shape)).astype(np.float32)
    own = torch.from_numpy(draw)
    oracle = [module_logits(net, p, own[i]) for i, p in enumerate(stack)]
    answers = stacked.logits(net, stacked.stack(net, stack), own)
    assert torch.allclose(answers, torch.stack(oracle), atol=1e-4, rtol=1e-4)
    shared = own[:1]
    oracle = [module_logits(net, p, shared[0]) for p in stack]
    answers = stacked.logits(net, stacked.stack(net, stack), shared)
    assert torch.allclose(answers, torch.stack(oracle), atol=1e-4, rtol=1e-4)


@given(nets, st.integers(3, 6))
@settings(max_examples=30)
def test_a_models_answers_do_not_depend_on_its_neighbours(net, n_models):
    stack = models(net, n_models)
    records = torch.from_numpy(
        stream(3).normal(size=(n_models, 8, *net.record_shape)).astype(np.float32)
    )
    together = stacked.logits(net, stacked.stack(net, stack), records)
    pair = stacked.logits(net, stacked.stack(net, stack[-2:]), records[-2:])
    assert torch.equal(together[-2:], pair)  # two, as in `ensemble.FEWEST_CONVOLVED`

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedpate.learning import parallel, torch_teachers
from fedpate.learning.nets import cnn, mlp
from learning_cases import UNTOUCHED, digit_shards, quick

NET = mlp((20,), (8,), 3)


@given(st.lists(st.integers(1, 90), max_size=60))
def test_stacks_hold_every_network_once_at_one_width(sizes):
    training = quick(2)
    stacks = torch_teachers.cut_into_stacks(NET, training, sizes, "cpu")
    assert sorted(index for stack in stacks for index in stack) == list(range(len(sizes)))
    for stack in stacks:
        assert len({training.width(sizes[index]) for index in stack}) == 1
        most = torch_teachers.models_at_once(NET, training, max(sizes[i] for i in stack), "cpu")
        assert 1 <= len(stack) <= most


def test_every_core_gets_a_stack(monkeypatch):
    monkeypatch.setattr(parallel, "cores", lambda: 4)
    stacks = torch_teachers.cut_into_stacks(NET, quick(), [30] * 10, "cpu")
    assert sorted(len(stack) for stack in stacks) == [2, 2, 3, 3]


def test_memory_bounds_a_stack(monkeypatch):
    monkeypatch.setattr(torch_teachers, "TRAINING_BYTES", 10 * 2**20)
    monkeypatch.setattr(parallel, "cores", lambda: 2)
    training, net = quick(), mlp((1000,), (100,), 10)
    each = torch_teachers.bytes_per_model(net, training, 50)
    for device in ("cpu", "cuda"):
        assert torch_teachers.models_at_once(net, training, 50, device) == 5 * 2**20 // each
    assert torch_teachers.models_at_once(net, training, 10**6, "cpu") == 1


MEASURE = """
import json, pathlib, sys
import torch
from fedpate.learning import torch_teachers
from fedpate.learning.nets import Net
from fedpate.learning.schedule import Training
from fedpate.records import LabelledData
from learning_cases import UNTOUCHED
import numpy as np

net, fields, n, models = json.loads(sys.argv[1])
net, training = Net.from_dict(net), Training(**fields)
def peak():  # of this process; resource.getrusage would count the parent's
    status = pathlib.Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) * 1024
shard = LabelledData(np.zeros((n, *net.record_shape), np.float32), np.arange(n) % 2, net.n_classes)
def train(count):
    torch_teachers.fit_all(lambda *_: net, training, [shard] * count, UNTOUCHED, range(count),
                           "cpu", lambda *_: None)
train(1)
before = peak()
train(models)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
@pytest.mark.parametrize(
    "net", [mlp((3000,), (100,), 10), cnn((1, 40, 40), (16, 16), (32,), 10)], ids=["mlp", "cnn"]
)
def test_the_memory_formula_bounds_what_is_measured(net, monkeypatch):
    training = quick(batch_size=32, max_shift=0.1)
    n_records, models = 300, 12
    arguments = json.dumps([net.to_dict(), vars(training), n_records, models])
    code = "from fedpate.learning import torch_teachers as t; t.CACHED_BYTES = 2**40\n" + MEASURE
    measured = int(
        subprocess.run(
            [sys.executable, "-c", code, arguments],
            check=True,
            capture_output=True,
            text=True,
            env={"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"},
        ).stdout
    )
    each = torch_teachers.bytes_per_model(net, training, n_records)
    assert (models - 1) * each * 0.25 < measured < models * each + 10 * 2**20


def test_teachers_come_out_the_same_on_one_core_and_on_three():
    shards, seeds = digit_shards([20, 21, 22, 40, 41]), [5, 6, 7, 8, 9]
    training = quick(3, max_turn=5.0)

    def train(cores):
        before, found = torch.get_num_threads(), {}
        torch.set_num_threads(cores)
        try:
            torch_teachers.fit_all(
                lambda shape, n: cnn(shape, (5,), (6,), n),
                training,
                shards,
                UNTOUCHED,
                seeds,
                "cpu",
                found.__setitem__,
            )
        finally:
            torch.set_num_threads(before)
        return found

    one, three = train(1), train(3)
    assert sorted(one) == sorted(three) == list(range(5))
    for index, teacher in one.items():
        for name, value in teacher.params.items():
            assert torch.equal(value, three[index].params[name])

import threading
import time

import pytest
import torch

from fedpate.learning import parallel


@pytest.fixture(params=[1, 3])
def cores(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_results_keep_the_order_of_the_jobs(cores):
    assert parallel.run_all(lambda job, _: job * job, range(7)) == [n * n for n in range(7)]
    assert parallel.run_all(lambda job, _: job, []) == []
    assert torch.get_num_threads() == cores


def test_operations_run_on_one_core_and_jobs_on_all(cores):
    seen = parallel.run_all(lambda _, __: (torch.get_num_threads(), threading.get_ident()), [0] * 9)
    assert {threads for threads, _ in seen} == {1}
    assert parallel.cores() == cores


def test_an_error_stops_the_other_jobs(cores):
    def work(job, stopped):
        if job == 0:
            raise KeyboardInterrupt
        until = time.monotonic() + 20
        while not stopped():
            assert time.monotonic() < until

    with pytest.raises(KeyboardInterrupt):
        parallel.run_all(work, range(20))
    assert torch.get_num_threads() == cores

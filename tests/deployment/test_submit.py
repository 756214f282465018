"""Following a run: whoever ends, the other one knows."""

import multiprocessing
import signal
import time

import pytest
from flwr.supercore.inflatable.inflatable_utils import ObjectPullError
from flwr.supercore.run import RunNotRunningException

from cli_runs import fedpate
from deployments import Federation
from fedpate.errors import EngineError
from fedpate.federation.deployment import submit
from fedpate.federation.deployment.supernode import failing_with_its_run
from fedpate.federation.following import COORDINATOR, FOLLOWER, followed, holding, is_held
from fedpate.federation.progress import FileProgress, LogProgress
from fedpate.federation.server_app import PROGRESS


def hold(path, held):
    with holding(path):
        held.set()
        time.sleep(60)


def test_a_lock_is_held_for_as_long_as_its_process_lives(tmp_path):
    path = tmp_path / "lock"
    assert not is_held(path)
    spawn = multiprocessing.get_context("spawn")
    held = spawn.Event()
    process = spawn.Process(target=hold, args=(path, held))
    process.start()
    assert held.wait(60)
    assert is_held(path)
    process.kill()
    process.join()
    assert not is_held(path)


def test_a_coordinator_that_was_never_seen_alive_is_known_by_what_it_told(tmp_path):
    told = FileProgress(tmp_path / PROGRESS)  # it was killed between two looks
    told.stage("student", 5)
    begun = time.monotonic()
    with pytest.raises(EngineError, match="ended without a word; the same command goes on"):
        submit._follow(tmp_path, LogProgress())
    assert time.monotonic() < begun + submit.START_S / 2


def test_a_coordinator_that_nobody_follows_is_told_to_end(tmp_path):
    told = []
    before = signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    try:
        with holding(tmp_path / FOLLOWER), followed(tmp_path):
            assert is_held(tmp_path / COORDINATOR)
            time.sleep(1.2)
        assert told == []
        with followed(tmp_path):
            deadline = time.monotonic() + 30
            while not told and time.monotonic() < deadline:
                time.sleep(0.05)
        assert told == [signal.SIGTERM]
        assert not is_held(tmp_path / COORDINATOR)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_fetching_for_a_run_that_has_ended_fails_as_flower_can_tidy_up():
    def ended(*_args, **_kwargs):
        raise RunNotRunningException

    with pytest.raises(ObjectPullError, match="the run has ended"):
        failing_with_its_run(ended)(["a"], pull_object_fn=None)
    assert failing_with_its_run(lambda ids: dict.fromkeys(ids, b"x"))(["a"]) == {"a": b"x"}


def test_what_stops_a_deploy_before_it_begins_is_told_in_one_line(tmp_path):
    federation = Federation(tmp_path, "north")
    home = federation.home.folder
    run = f"hydra.run.dir={tmp_path / 'run'}"
    for args, exit_code, words in (
        ((home, run), 1, "the coordinator of try-out is not running: `fedpate coordinator start"),
        ((home, run, "hospitals=3"), 2, "hospitals is a setting of simulations"),
        ((home, run, "partition.alpha=1"), 2, "partition"),
        ((home, run, "engine=pool"), 2, "engine is a setting of simulations"),
        ((home, run, "privacy.ledger=x"), 2, "privacy.ledger must not be set"),
        ((home, run, "min_hospitals=2"), 2, "min_hospitals must be <= hospitals=1, got 2"),
        ((home, run, "--as"), 2, "--as must be followed by a value"),
        ((federation.out / "north", run), 2, "kit of a coordinator, got one of 'hospital'"),
        ((run, home), 2, "KIT must come first"),
    ):
        shown = fedpate("deploy", *args)
        assert (shown.code, shown.err.count("\n")) == (exit_code, 1), shown.err
        assert words in shown.err
        assert not (tmp_path / "run").exists()
    federation.require_no_process()

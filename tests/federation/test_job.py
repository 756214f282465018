import stat
from dataclasses import replace
from pathlib import Path

import pytest

from federated import small_run
from fedpate.data.sources import SOURCES
from fedpate.errors import BudgetExceeded, ConfigError, EngineError, QuorumError
from fedpate.federation.job import Job, read_ending, reporting, with_absolute_paths
from fedpate.federation.settings import Privacy


@pytest.fixture
def job(tmp_path):
    return Job(small_run(tmp_path / "store"), tmp_path / "out", tmp_path / "work", followed=True)


def test_a_job_survives_its_file_which_is_private(job, tmp_path):
    path = tmp_path / "run.json"
    job.write(path)
    assert Job.read(path) == job
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"run": "{}", "output": "x", "folder": null}'])
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ConfigError):
        Job.read(tmp_path / "run.json")


def test_no_file_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match="run-file must name a run file"):
        Job.read(tmp_path / "nowhere")


def test_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    run = small_run(
        Path("store"),
        data=SOURCES["mnist"](root="~/data"),
        privacy=Privacy(ledger="account.sqlite"),
    )
    found = with_absolute_paths(run)
    assert found.data.root == "/home/somebody/data"
    assert found.store == str(tmp_path / "store")
    assert found.privacy.ledger == str(tmp_path / "account.sqlite")
    assert with_absolute_paths(found) == found
    assert with_absolute_paths(replace(run, store=None)).store is None


def test_a_work_folder_of_its_own_is_gone_afterwards(job, tmp_path):
    (tmp_path / "work").mkdir()
    with job.work_folder() as folder:
        assert folder == tmp_path / "work"
    assert folder.exists()
    with Job(job.run, job.output, None).work_folder() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()


@pytest.mark.parametrize(
    "error",
    [
        BudgetExceeded("patient", 3.2, 3.0, 1e-5),
        QuorumError(2, 3, "train.teachers"),
        ConfigError("queries must be at most 3, got 4"),
        EngineError("gone"),
    ],
)
def test_an_error_comes_back_as_itself(tmp_path, error):
    path = tmp_path / "ending.json"
    with pytest.raises(type(error)), reporting(path):
        raise error
    with pytest.raises(type(error)) as caught:
        read_ending(path)
    assert str(caught.value) == str(error)
    assert caught.value.exit_code == error.exit_code
    assert vars(caught.value) == vars(error)


def test_a_bug_comes_back_with_its_traceback(tmp_path):
    path = tmp_path / "ending.json"
    with pytest.raises(ZeroDivisionError), reporting(path):
        _ = 1 / 0
    with pytest.raises(EngineError, match="ZeroDivisionError") as caught:
        read_ending(path)
    assert caught.value.exit_code == 1


def test_a_good_end_is_known_and_no_end_too(tmp_path):
    path = tmp_path / "ending.json"
    assert not read_ending(path)
    with reporting(path):
        assert not read_ending(path)
    assert read_ending(path)

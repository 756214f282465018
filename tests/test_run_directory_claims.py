"""A run directory that is named after the time belongs to one run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fedpate.commands._run_directory import OwnDirectory, claim

ROOT = Path(__file__).resolve().parents[1]
CLAIM = """
import sys
from pathlib import Path
from fedpate.commands._run_directory import claim
sys.stdin.readline()
for _ in range(20):
    print(claim(Path("outputs/2026-01-01/12-00-00")))
"""


def hydra(run: str, sweep: str = "multirun/x"):
    parts = {"run": {"dir": run}, "sweep": {"dir": sweep}, "overrides": {"hydra": [], "task": []}}
    return OmegaConf.create({"hydra": parts})


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_processes_that_want_one_directory_at_once_get_one_each(workplace):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for _ in range(3)
    ]
    got = []
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        got += process.communicate(timeout=120)[0].split()
        assert process.returncode == 0
    names = ["12-00-00", *(f"12-00-00_{number}" for number in range(1, 60))]
    assert sorted(Path(folder).name for folder in got) == sorted(names)


def test_a_dated_directory_is_claimed_and_a_named_one_is_taken_as_it_is(workplace):
    dated = "outputs/${now:%Y}/it's"
    OmegaConf.register_new_resolver("now", lambda _: "2026", replace=True)
    first, second = hydra(dated, dated), hydra(dated)
    OwnDirectory().on_run_start(first)
    OwnDirectory().on_run_start(second)
    OwnDirectory().on_multirun_start(first)
    assert first.hydra.run.dir == "outputs/2026/it's"
    assert second.hydra.run.dir == "outputs/2026/it's_1"
    assert first.hydra.sweep.dir == "outputs/2026/it's_2"
    assert first.hydra.overrides.hydra[-1] == r"hydra.sweep.dir='outputs/2026/it\'s_2'"

    named = hydra("mine")
    OwnDirectory().on_run_start(named)
    assert named.hydra.run.dir == "mine"
    assert not Path("mine").exists()


def test_what_cannot_be_made_is_an_error_and_no_endless_search(workplace):
    Path("outputs").touch()
    with pytest.raises(OSError, match="outputs"):
        claim(Path("outputs/2026/1"))
    gone = workplace / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    with pytest.raises(FileNotFoundError):
        claim(Path("outputs/2026/1"))

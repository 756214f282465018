"""`fedpate simulate`: a whole run, its directory, and what is refused without leaving a trace."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cli_runs import fedpate
from fedpate.privacy.ledger import PrivacyLedger

pytestmark = pytest.mark.usefixtures("workplace")

ROOT = Path(__file__).resolve().parents[1]
SMALL = (
    *("hospitals=3", "teachers_per_hospital=2", "queries=20", "teacher.epochs=2"),
    *("teacher.min_steps=5", "student.epochs=2", "student.min_steps=5"),
)
CONTRACT = {
    "": "schema fedpate seed federation data mechanism labels privacy student baselines timings "
    "bytes",
    "federation": "engine hospitals teachers_per_hospital teachers_present dropped trust",
    "data": "name classes train_records pool test",
    "mechanism": "name noise_scale threshold noise guarantee",
    "labels": "asked answered from_cache accuracy",
    "privacy": "delta relation patient hospital",
    "student": "name accuracy balanced_accuracy auc",
    "baselines": "majority_class mean_hospital best_hospital vote_without_noise pooled fedavg",
    "timings": "teachers_s votes_s release_s student_s total_s",
    "bytes": "to_hospitals from_hospitals",
}


def table(path: Path, rows: int = 60, label: object = None, feature: object = None) -> Path:
    """A CSV with patients: two classes unless `label` is given."""
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["age", "outcome", "patient"])
        for row in range(rows):
            outcome = row % 2 if label is None else label
            age = rng.normal(50 + 10 * (row % 2)) if feature is None else feature
            writer.writerow([age, outcome, row // 2])
    return path


def only_run(folder: Path) -> Path:
    (summary,) = folder.glob("outputs/*/*/summary.json")
    return summary.parent


def test_a_run_writes_its_directory_and_prints_what_it_wrote(workplace):
    done = fedpate("simulate", *SMALL)
    assert done.code == 0
    run = only_run(workplace)
    summary = json.loads((run / "summary.json").read_text())
    for part, keys in CONTRACT.items():
        assert set(keys.split()) <= set(summary[part] if part else summary)
    for unit in ("patient", "hospital"):
        keys = {"guaranteed", "sanitized", "data_dependent", "budget"}
        assert keys <= set(summary["privacy"][unit])
    files = (
        *("report.html", "labels.csv", "student.pt", "student.onnx", "ledger.sqlite"),
        *("votes.npz", "fedpate.log"),
    )
    assert [name for name in (*files, ".hydra") if not (run / name).exists()] == []
    assert f"{100 * summary['student']['accuracy']:.1f} %" in done.out
    assert str(run.relative_to(workplace)) in done.out
    with PrivacyLedger.read(run / "ledger.sqlite") as ledger:
        assert ledger.epsilon("patient", 1e-5) == summary["privacy"]["patient"]["guaranteed"]
        assert f"--head {ledger.head}" in (run / "report.html").read_text()
    assert fedpate("ledger", "verify", run).code == 0
    assert fedpate("account", run / "votes.npz", "mechanism.noise_scale=10").code == 0


def test_json_is_the_summary_and_nothing_else():
    done = fedpate("simulate", *SMALL, "--json", "hydra.run.dir=here")
    assert json.loads(done.out) == json.loads(Path("here/summary.json").read_text())


def test_no_noise_has_an_infinite_epsilon_and_seeded_noise_no_guarantee():
    done = fedpate("simulate", *SMALL, "mechanism=none", "hydra.run.dir=none")
    assert "infinite" in done.out
    assert "no privacy" in done.out
    text = Path("none/summary.json").read_text()
    assert "Infinity" not in text
    assert json.loads(text)["privacy"]["patient"]["guaranteed"] == float("inf")
    done = fedpate("simulate", *SMALL, "noise_seed=1", "hydra.run.dir=seeded")
    assert "seeded noise: no guarantee" in done.out
    assert "seeded noise: no guarantee" in Path("seeded/report.html").read_text()


def test_a_sweep_goes_on_after_a_refused_point(workplace):
    done = fedpate("simulate", *SMALL, "-m", "queries=10,100000,11", "--json")
    assert done.code == 2
    assert [run["labels"]["asked"] for run in json.loads(done.out)] == [10, 11]
    told = [line for line in done.err.splitlines() if line.startswith("fedpate simulate: refused")]
    assert len(told) == 1
    assert "queries=100000" in told[0]
    assert len(list(workplace.glob("multirun/*/*/*/summary.json"))) == 2
    assert not list(workplace.glob("multirun/*/*/1"))


def test_a_budget_stops_before_anything_is_asked(workplace):
    stopped = fedpate("simulate", *SMALL, "privacy.budget.patient=0.01")
    assert stopped.code == 3
    assert "privacy.budget.patient=0.01" in stopped.err
    assert list(workplace.iterdir()) == []


REFUSED = {
    "unknown key": (["hospitls=3"], "hospitls is not a setting; did you mean hospitals"),
    "wrong type": (["hospitals=ten"], "hospitals must be a whole number, got 'ten'"),
    "unknown data set": (["data=digitz"], "data must be one of .*did you mean digits"),
    "missing file": (["data=csv", "data.path=no.csv", "data.label=x"], "data.path=.*no.csv must"),
    "no label column": (["data=csv", "data.path=t.csv", "data.label=x"], "data.label=x"),
    "NaN features": (["data=csv", "data.path=nan.csv", "data.label=outcome"], ""),
    "one class": (["data=csv", "data.path=one.csv", "data.label=outcome"], ""),
    "missing root": (["data=mnist", "data.root=nowhere"], "data.root=.*nowhere must hold"),
    "too few patients": (["teachers_per_hospital=1000"], "teachers_per_hospital must be at most"),
    "delta": (["privacy.delta=1.5"], r"privacy.delta must be in \(0, 1\), got 1.5"),
    "noise": (["mechanism.noise_scale=-1"], "mechanism.noise_scale must be finite and > 0"),
    "both": (
        ["mechanism.noise_scale=3", "privacy.target_epsilon=2"],
        "mechanism.noise_scale and privacy.target_epsilon must not both be given, got 3 and 2",
    ),
    "no queries": (["queries=0"], "queries must be a whole number >= 1, got 0"),
    "more queries than the pool": (["queries=1000"], "queries must be"),
    "no run directory": (["hydra.run.dir=file/run"], "hydra.run.dir must be"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_line_and_leaves_nothing(case, workplace):
    table(workplace / "t.csv")
    table(workplace / "one.csv", label=1)
    table(workplace / "nan.csv", feature="nan")
    (workplace / "file").touch()
    before = sorted(workplace.rglob("*"))
    overrides, line = REFUSED[case]
    refused = fedpate("simulate", *overrides)
    assert refused.code == 2
    assert refused.out == ""
    assert re.match(f"fedpate simulate: {line}", refused.err)
    assert refused.err.count("\n") == 1
    assert sorted(workplace.rglob("*")) == before


def test_a_refusal_leaves_what_was_in_the_directory_before(workplace):
    kept = workplace / "kept"
    kept.mkdir()
    (kept / "notes.txt").write_text("mine")
    assert fedpate("simulate", "queries=1000", "hydra.run.dir=kept").code == 2
    assert [path.name for path in kept.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_process_and_no_directory(workplace, number):
    command = [sys.executable, "-m", "fedpate", "simulate", "teacher.min_steps=3000", "queries=20"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    deadline = time.monotonic() + 120
    while not list(workplace.rglob("fedpate.log")):  # the hospitals have answered: training begins
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "fedpate simulate: interrupted"
    assert "Traceback" not in err
    assert list(workplace.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_finished_run_can_be_attacked_and_a_patient_left_out(workplace):
    done = fedpate("simulate", *SMALL, "audit.leave_one_out=true", "hydra.run.dir=here")
    assert re.search(r"one patient left out: [01] of 6 teachers changed", done.err)
    attacked = fedpate("audit", "here", "canaries=10", "--json")
    assert attacked.code == 0
    told = json.loads(attacked.out)
    assert told["canaries"]["lower_bound"] <= told["claimed"]
    recorded = json.loads(Path("here/audit.json").read_text())
    assert recorded == {"schema": 1, **told}
    guesses = f"{told['canaries']['correct']} of {told['canaries']['guesses']} guesses"
    assert guesses in Path("here/report.html").read_text()
    assert 0 <= told["membership"]["low"] <= told["membership"]["high"] <= 1
    assert "nothing contradicts the claim" in fedpate("audit", "here", "canaries=10").out
    refused = fedpate("audit", ".")
    assert refused.code == 2
    assert "RUN_DIR must be the directory of a simulation that finished" in refused.err

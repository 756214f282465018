"""`tracking=`: what trackers are told, and that a tracker costs a run nothing."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from cli_runs import SMALL, fedpate
from fedpate.commands._tracking import track
from fedpate.errors import ConfigError
from fedpate.learning import extras
from fedpate.tracking.record import Record
from fedpate.tracking.trackers import MlFlow, TensorBoard


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A finished run, tracked by TensorBoard."""
    place = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        low = ("mechanism.threshold=1", "mechanism.threshold_noise_scale=1")  # nearly all pass
        typed = ("mechanism=confident", *low, "tracking=tensorboard", "hydra.run.dir=run")
        done = fedpate("simulate", *SMALL, *typed)
    assert done.code == 0, done.err
    return place / "run"


def test_a_record_has_settings_numbers_and_epsilon_over_the_charges(run_folder):
    record = Record.read(run_folder)
    summary = json.loads((run_folder / "summary.json").read_text())
    assert record.parameters["queries"] == "10"
    assert record.parameters["mechanism.noise_scale"]
    for unit in ("patient", "hospital"):
        price = summary["privacy"][unit]["guaranteed"]
        assert record.metrics[f"privacy.{unit}.guaranteed"] == price
        steps = [spent.epsilon for spent in record.spent if spent.unit == unit]
        assert steps == sorted(steps)
        assert steps[-1] == price
    assert {file.name for file in record.files} >= {"summary.json", "report.html", "labels.csv"}


def test_a_tracker_is_told_nothing_that_looked_at_votes(run_folder):
    record = Record.read(run_folder)
    assert not [key for key in record.metrics if "data_dependent" in key]
    assert not {"votes.npz", "ledger.sqlite"} & {file.name for file in record.files}


def test_tensorboard_has_the_scalars(run_folder):
    pytest.importorskip("tensorboardX")
    (events,) = (run_folder / "tensorboard").iterdir()
    content = events.read_bytes()
    for tag in (b"student/accuracy", b"epsilon/patient", b"settings"):
        assert tag in content


@pytest.mark.filterwarnings("ignore")  # what MLflow imports
def test_mlflow_has_the_run(run_folder, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    tracker = MlFlow()
    record = Record.read(run_folder)
    tracker.track(record)
    tracker.track(record)  # the experiment is there already
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=tracker.uri)
    experiment = client.get_experiment_by_name("fedpate")
    (first, second) = client.search_runs([experiment.experiment_id])
    assert first.data.params["queries"] == "10"
    assert first.data.metrics["student.accuracy"] == record.metrics["student.accuracy"]
    history = client.get_metric_history(second.info.run_id, "epsilon.patient")
    assert len(history) == len([spent for spent in record.spent if spent.unit == "patient"])
    assert {file.path for file in client.list_artifacts(first.info.run_id)} == {
        file.name for file in record.files
    }


def test_a_missing_library_is_one_line_before_anything_runs(monkeypatch):
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda _: None)
    for tracker, extra in ((TensorBoard, "tensorboard"), (MlFlow, "mlflow")):
        with pytest.raises(ConfigError, match=rf"pip install 'fedpate\[{extra}\]'"):
            tracker()


def test_a_tracker_that_fails_costs_a_line_and_not_the_run(run_folder, caplog):
    class Broken:
        name = "broken"

        def track(self, record: Record) -> None:
            raise OSError("no such server\nwith details")

    run = SimpleNamespace(tracking=Broken(), privacy=SimpleNamespace(ledger=None))
    with caplog.at_level(logging.WARNING):
        track(run, run_folder)
    assert caplog.messages == ["tracking=broken failed: OSError no such server"]


def test_no_run_no_record(tmp_path):
    with pytest.raises(ConfigError, match="RUN_DIR must be"):
        Record.read(Path(tmp_path))

"""details.json: counts that agree with the run's other files, and nothing that is a record."""

import csv
import json
from importlib.metadata import version

import numpy as np
import pytest

from federated import small_run
from fedpate.federation.engines import simulate
from fedpate.privacy.events import Event, compose
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.privacy.mechanisms import MECHANISMS

HOSPITALS = [f"hospital-{index}" for index in range(4)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("details")
    simulate(small_run(place / "store", baselines=True), place / "run")
    return place / "run"


def read(folder, name="details.json"):
    return json.loads((folder / name).read_text())


def test_the_confusion_matrices_have_the_accuracies_of_the_summary(folder):
    details, summary = read(folder), read(folder, "summary.json")
    student, labels = (np.array(details[key]["confusion"]) for key in ("student", "labels"))
    assert student.sum() == summary["data"]["test"]
    assert student.trace() / student.sum() == pytest.approx(summary["student"]["accuracy"])
    assert labels.sum() == summary["labels"]["answered"]
    assert labels.trace() / labels.sum() == pytest.approx(summary["labels"]["accuracy"])
    with (folder / "labels.csv").open(newline="") as file:
        released = [row["label"] for row in csv.DictReader(file)]
    assert labels.sum(axis=0).tolist() == [released.count("0"), released.count("1")]
    assert details["class_names"] == ["malignant", "benign"]


def test_hospitals_hold_all_records_and_their_own_accuracy(folder):
    hospitals, summary = read(folder)["hospitals"], read(folder, "summary.json")
    assert [hospital["name"] for hospital in hospitals] == HOSPITALS
    records = np.array([hospital["classes"] for hospital in hospitals])
    assert records.sum() == summary["data"]["train_records"]
    alone = [hospital["accuracy_alone"] for hospital in hospitals]
    assert np.mean(alone) == pytest.approx(summary["baselines"]["mean_hospital"])
    assert max(alone) == summary["baselines"]["best_hospital"]
    assert {(hospital["teachers"], hospital["dropped"]) for hospital in hospitals} == {(2, False)}


def test_the_consensus_counts_every_query_once(folder):
    consensus = read(folder)["consensus"]
    with np.load(folder / "votes.npz") as votes:
        share = votes["counts"].max(axis=1) / 8
    assert sum(consensus) == 20
    assert consensus[-1] == (share >= 0.95).sum()
    assert sum(consensus[:10]) == (share < 0.5).sum() == 0  # two classes


def test_the_charges_are_the_ledgers(folder):
    recorded = read(folder)["ledger"]
    with PrivacyLedger.read(folder / "ledger.sqlite") as ledger:
        assert recorded["head"] == ledger.head
        for unit in ("patient", "hospital"):
            events = [
                Event.from_json(json.dumps(row["events"][unit])) for row in recorded["charges"]
            ]
            assert compose(events) == ledger.spent(unit)
    assert recorded["path"] is None
    assert [row["queries"] for row in recorded["charges"]] == [20]


def test_it_says_what_it_is_and_what_made_it(folder):
    details = read(folder)
    assert (details["schema"], details["releasable"]) == (1, False)
    assert details["versions"]["torch"] == version("torch")
    assert details["finished"].endswith("+00:00")


def test_unanswered_queries_are_counted_by_their_true_class(tmp_path):
    mechanism = MECHANISMS["confident"](noise_scale=0.5, threshold=7.5, threshold_noise_scale=0.01)
    simulate(small_run(tmp_path / "store", mechanism=mechanism, queries=60), tmp_path / "run")
    details, summary = read(tmp_path / "run"), read(tmp_path / "run", "summary.json")
    assert 0 < summary["labels"]["answered"] < 60
    assert sum(details["labels"]["unanswered"]) == 60 - summary["labels"]["answered"]
    kinds = [
        row["purpose"].split(" of ")[0].split(" ", 1)[1] for row in details["ledger"]["charges"]
    ]
    assert kinds == ["threshold tests", "labels"]


def test_with_local_trust_there_is_no_consensus(tmp_path):
    mechanism = MECHANISMS["laplace"](noise_scale=2.0)
    simulate(small_run(tmp_path / "store", mechanism=mechanism, trust="local"), tmp_path / "run")
    details = read(tmp_path / "run")
    assert details["consensus"] is None
    assert details["labels"] is not None
    assert [hospital["accuracy_alone"] for hospital in details["hospitals"]] == [None] * 4

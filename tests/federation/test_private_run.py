"""teacher=dpsgd through whole runs: two prices, one training, no noise needed on the vote."""

import json
import math

import numpy as np
import pytest

from federated import small_run
from fedpate.errors import NothingReleased
from fedpate.federation import site
from fedpate.federation.engines import simulate
from fedpate.federation.private_teachers import route_of, training_name
from fedpate.federation.settings import Budget, Privacy
from fedpate.learning.private_kinds import DpSgd
from fedpate.learning.store import TeacherStore
from fedpate.learning.trained_once import TrainedOnce
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.privacy.mechanisms import MECHANISMS

TEACHER = DpSgd(target_epsilon=8.0, min_steps=20, max_steps=20)


def private_run(tmp_path, **changes):
    ledger = str(tmp_path / "ledger.sqlite")
    settings = {
        "teacher": TEACHER,
        "hospitals": 2,
        "mechanism": MECHANISMS["none"](),
        "noise_seed": None,
        "privacy": Privacy(ledger=ledger),
    }
    return small_run(tmp_path / "store", **{**settings, **changes})


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def votes(folder):
    with np.load(folder / "votes.npz") as found:
        return found["counts"]


def test_votes_without_noise_cost_what_the_teachers_cost_once(tmp_path):
    run = private_run(tmp_path)
    simulate(run, tmp_path / "one")
    first = summary(tmp_path / "one")
    patient = first["privacy"]["patient"]
    assert (patient["guaranteed"], patient["bound"]) == (8.0, "dpsgd_teachers")
    assert patient["routes"] == {"votes": math.inf, "dpsgd_teachers": 8.0}
    assert first["privacy"]["hospital"]["guaranteed"] == math.inf
    assert first["mechanism"]["guarantee"] is True
    assert first["labels"]["accuracy"] > 0.6

    more = private_run(tmp_path, queries=40)  # the same teachers: nothing is charged again
    simulate(more, tmp_path / "two")
    second = summary(tmp_path / "two")
    assert second["privacy"]["patient"]["guaranteed"] == 8.0
    assert second["labels"]["from_cache"] == 20
    entries = {entry.key for entry in TeacherStore(tmp_path / "store" / "teachers").list()}
    assert len(entries) == 4
    with PrivacyLedger.read(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.epsilon("patient", 1e-5) == 8.0
        assert ledger.epsilon("hospital", 1e-5) == math.inf


def test_the_cheaper_of_both_prices_is_the_guarantee(tmp_path):
    gnmax = MECHANISMS["gnmax"](noise_scale=40.0)
    run = private_run(tmp_path, mechanism=gnmax, privacy=Privacy())
    simulate(run, tmp_path / "run")
    patient = summary(tmp_path / "run")["privacy"]["patient"]
    assert patient["bound"] == "argmax_only"
    assert patient["guaranteed"] == patient["routes"]["votes"] < 1
    assert patient["routes"]["dpsgd_teachers"] == 8.0
    assert patient["data_dependent"] is not None


def test_a_second_training_is_refused_and_another_seed_is_another_charge(tmp_path):
    run = private_run(tmp_path, min_hospitals=2)
    simulate(run, tmp_path / "one")
    store = TeacherStore(tmp_path / "store" / "teachers")
    assert store.clean() == (0, 0)  # they are kept
    entry = store.list()[0]
    entry.path.unlink()
    with pytest.raises(NothingReleased):
        simulate(private_run(tmp_path, min_hospitals=2, queries=30), tmp_path / "two")
    assert not (tmp_path / "two" / "summary.json").exists()

    privacy = Privacy(delta=3e-5, ledger=str(tmp_path / "ledger.sqlite"))
    simulate(private_run(tmp_path, seed=1, privacy=privacy), tmp_path / "three")
    assert summary(tmp_path / "three")["privacy"]["patient"]["guaranteed"] == 16.0


def test_a_budget_below_the_teachers_price_stops_the_run(tmp_path):
    budget = Privacy(budget=Budget(patient=7.9))
    with pytest.raises(NothingReleased):
        simulate(private_run(tmp_path, privacy=budget), tmp_path / "run")
    assert not (tmp_path / "store").exists()  # nobody was bothered


def test_seeded_noise_repeats_voids_the_guarantee_and_is_nobody_elses(tmp_path):
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder, seed in zip(folders, (1, 1, None), strict=True):
        run = private_run(folder, noise_seed=seed, privacy=Privacy())
        simulate(small_run_like(run, tmp_path / f"store-{folder.name}"), folder)
    assert np.array_equal(votes(folders[0]), votes(folders[1]))
    assert summary(folders[0])["mechanism"]["guarantee"] is False
    shared = tmp_path / "store-a"
    simulate(small_run_like(private_run(tmp_path, privacy=Privacy()), shared), tmp_path / "d")
    kept = TeacherStore(shared / "teachers").list()
    assert len({entry.key for entry in kept}) == 8  # four seeded ones, four with a guarantee


def small_run_like(run, store):
    from dataclasses import replace

    return replace(run, store=str(store))


def test_the_other_price_needs_private_teachers_everywhere(tmp_path):
    mixed = private_run(tmp_path, hospital_overrides={0: "mlp"})
    side = site.coordinator_side(mixed, tmp_path)
    assert route_of(mixed, side) is None
    every = private_run(tmp_path, hospital_overrides={0: {"teacher": {"name": "dpsgd"}}})
    side = site.coordinator_side(every, tmp_path)
    found = route_of(every, side)
    assert (found.epsilon, found.delta) == (8.0, 1e-5)  # the dearer of 8 and 4
    other = private_run(tmp_path, seed=5)
    assert route_of(other, site.coordinator_side(other, tmp_path)).training != found.training


def test_a_training_is_named_by_what_was_asked_and_by_no_folder(tmp_path):
    names = set()
    for folder in ("x", "y"):
        run = private_run(tmp_path)
        side = site.coordinator_side(run, tmp_path / folder)
        names.add(training_name(side.settings, side.preprocessing))
    assert len(names) == 1


def test_changed_records_are_no_second_training(tmp_path):
    once = TrainedOnce(tmp_path, "hospital-0 training")
    with once.alone():
        assert once.allows(["a", "b"], [False, False])
        once.record(["a", "b"])
    assert once.allows(["a", "b"], [True, True])
    assert not once.allows(["a", "b"], [True, False])  # one is gone
    assert not once.allows(["a", "c"], [True, False])  # a record has changed
    assert TrainedOnce(tmp_path, "another").allows(["a", "c"], [False, False])


def test_several_records_of_a_patient_are_one(tmp_path):
    from fedpate.data.federated import federate
    from fedpate.data.sources import SOURCES

    header = "age,label,who\n"
    rows = "".join(f"{i % 7},{i % 2},{i // 3}\n" for i in range(120))
    (tmp_path / "t.csv").write_text(header + rows)
    source = SOURCES["csv"](path=str(tmp_path / "t.csv"), label="label", patient="who")
    data = federate(source, small_run(tmp_path).partition, 2, 2, 0)
    for hospital in range(2):
        whole, single = data.shards(hospital), data.shards(hospital, one_per_patient=True)
        assert [len(shard) for shard in whole] == [3 * len(shard) for shard in single]

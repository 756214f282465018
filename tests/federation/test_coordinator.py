import csv
import json
import math
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import federation_worker
from federated import small_run
from fedpate.errors import BudgetExceeded, ConfigError, NothingReleased, QuorumError
from fedpate.federation import evaluation, site
from fedpate.federation.engines import simulate
from fedpate.federation.hospital import Hospital
from fedpate.federation.progress import LogProgress
from fedpate.federation.purchase import Purchase
from fedpate.federation.settings import Budget, Privacy
from fedpate.learning.fitted_student import load_student
from fedpate.learning.selection import SELECTORS
from fedpate.privacy.accounting import guarantee
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.privacy.mechanisms import MECHANISMS
from fedpate.records import Release


@pytest.fixture
def run(tmp_path):
    return small_run(tmp_path / "store")


def simulated(run, out):
    simulate(run, out)
    return json.loads((out / "summary.json").read_text())


def labels(out):
    with (out / "labels.csv").open(newline="") as file:
        return {int(row["query_id"]): row["label"] for row in csv.DictReader(file)}


def charges(path):
    with PrivacyLedger.read(path) as ledger:
        book = ledger.book()
        return [(charge.n_queries, book.state(id_)) for id_, (_, charge) in book.charges.items()]


CONTRACT = {
    "federation": "engine hospitals teachers_per_hospital teachers_present dropped trust",
    "data": "name classes train_records pool test",
    "mechanism": "name noise_scale threshold noise guarantee",
    "labels": "asked answered from_cache accuracy",
    "privacy": "delta relation patient hospital",
    "student": "name accuracy balanced_accuracy auc",
    "baselines": "majority_class mean_hospital best_hospital vote_without_noise pooled "
    "pooled_auc fedavg fedavg_dpsgd fedkt",
    "timings": "teachers_s votes_s release_s student_s total_s",
    "bytes": "to_hospitals from_hospitals",
}


def test_a_run_leaves_the_run_directory_of_the_contract(run, tmp_path):
    out = tmp_path / "run"
    summary = simulated(replace(run, baselines=True), out)
    assert sorted(path.name for path in out.iterdir()) == [
        "details.json",
        "labels.csv",
        "ledger.sqlite",
        "student.onnx",
        "student.pt",
        "summary.json",
        "votes.npz",
    ]
    assert set(summary) == {"schema", "fedpate", "seed", *CONTRACT}
    for group, keys in CONTRACT.items():
        assert set(keys.split()) <= set(summary[group])
    for unit in ("patient", "hospital"):
        keys = {"guaranteed", "sanitized", "data_dependent", "budget"}
        assert keys <= set(summary["privacy"][unit])
    assert summary["federation"]["teachers_present"] == 8
    assert summary["labels"]["asked"] == len(labels(out)) == 20
    only_all = {"fedavg", "fedavg_dpsgd", "fedkt"}
    baselines = {key: value for key, value in summary["baselines"].items() if key not in only_all}
    assert all(0.3 < value <= 1 for value in baselines.values())
    assert baselines["best_hospital"] >= baselines["mean_hospital"]
    assert {summary["baselines"][key] for key in only_all} == {None}
    with np.load(out / "votes.npz") as votes:
        assert (votes["counts"].sum(axis=1) == 8).all()
        assert votes["query_ids"].tolist() == list(labels(out))
    assert load_student(out / "student.pt").n_classes == 2
    assert charges(out / "ledger.sqlite") == [(20, "released")]


def test_the_hospital_unit_is_priced_with_its_teachers(run, tmp_path):
    price = simulated(run, tmp_path / "run")["privacy"]
    mechanism = run.mechanism
    from fedpate.privacy.accounting import guarantee

    for unit, moved in (("patient", 1), ("hospital", 2)):
        expected = guarantee(mechanism.event(20, moved, 2), 1e-5)
        assert price[unit]["guaranteed"] == expected.epsilon


def test_the_same_seeds_give_the_same_labels_and_others_do_not(run, tmp_path):
    simulate(run, tmp_path / "a")
    simulate(run, tmp_path / "b")
    simulate(replace(run, noise_seed=2, queries=100), tmp_path / "c")
    simulate(replace(run, queries=100), tmp_path / "d")
    assert labels(tmp_path / "a") == labels(tmp_path / "b")
    assert labels(tmp_path / "c") != labels(tmp_path / "d")


def test_fewer_queries_are_the_first_of_more(run, tmp_path):
    simulate(run, tmp_path / "a")
    simulate(replace(run, queries=30), tmp_path / "b")
    assert list(labels(tmp_path / "b"))[:20] == list(labels(tmp_path / "a"))


def test_without_a_noise_seed_the_noise_is_the_operating_systems(run, tmp_path):
    noisy = replace(run, noise_seed=None, mechanism=MECHANISMS["gnmax"](noise_scale=50.0))
    first, second = (simulated(noisy, tmp_path / name) for name in "ab")
    assert first["mechanism"] == second["mechanism"]
    assert (first["mechanism"]["noise"], first["mechanism"]["guarantee"]) == ("os-entropy", True)
    assert labels(tmp_path / "a") != labels(tmp_path / "b")  # equal with probability < 1e-5


def test_small_messages_give_the_same_labels(run, tmp_path):
    simulate(run, tmp_path / "one")
    simulate(replace(run, message_mb=0.0005), tmp_path / "many")
    assert labels(tmp_path / "one") == labels(tmp_path / "many")


def test_mechanism_none_is_infinitely_expensive(run, tmp_path):
    summary = simulated(replace(run, mechanism=MECHANISMS["none"]()), tmp_path / "run")
    assert summary["privacy"]["patient"]["guaranteed"] == math.inf
    assert not summary["mechanism"]["guarantee"]
    assert summary["labels"]["accuracy"] == summary["labels"]["accuracy_without_noise"]
    assert "1e999" in (tmp_path / "run" / "summary.json").read_text()


def test_a_target_epsilon_calibrates_the_noise(run, tmp_path):
    aimed = replace(
        run, mechanism=MECHANISMS["gnmax"](noise_scale=None), privacy=Privacy(target_epsilon=3.0)
    )
    summary = simulated(aimed, tmp_path / "run")
    assert 2.99 < summary["privacy"]["patient"]["guaranteed"] <= 3.0
    assert summary["mechanism"]["noise_scale"] > 1


def forbidden(*_, **__):
    raise AssertionError("a hospital was bothered")


def test_over_budget_nobody_is_bothered_and_nothing_is_left(run, tmp_path, monkeypatch):
    monkeypatch.setattr(Hospital, "train", forbidden)
    poor = replace(run, privacy=Privacy(budget=Budget(patient=1.0)))
    with pytest.raises(BudgetExceeded, match=r"over privacy\.budget\.patient=1"):
        simulate(poor, tmp_path / "deep" / "run")
    assert not (tmp_path / "deep").exists()


def test_a_budget_per_hospital_counts_all_its_teachers(run, tmp_path):
    price = simulated(run, tmp_path / "free")["privacy"]
    between = (price["patient"]["guaranteed"] + price["hospital"]["guaranteed"]) / 2
    for unit in ("patient", "hospital"):
        limited = replace(run, privacy=Privacy(budget=Budget(**{unit: between})))
        if unit == "patient":
            simulate(limited, tmp_path / unit)
        else:
            with pytest.raises(BudgetExceeded):
                simulate(limited, tmp_path / unit)


def test_truncate_answers_what_is_affordable(run, tmp_path):
    full = simulated(run, tmp_path / "full")["privacy"]["patient"]["guaranteed"]
    privacy = Privacy(budget=Budget(patient=full * 0.6), on_budget="truncate")
    summary = simulated(replace(run, privacy=privacy), tmp_path / "run")
    asked = summary["labels"]["asked"]
    assert 1 < asked < 20
    assert summary["labels"]["requested"] == 20
    assert summary["privacy"]["patient"]["guaranteed"] <= full * 0.6
    assert charges(tmp_path / "run" / "ledger.sqlite") == [(asked, "released")]
    assert list(labels(tmp_path / "run")) == list(labels(tmp_path / "full"))[:asked]


def test_truncate_to_nothing_releases_nothing(run, tmp_path):
    privacy = Privacy(budget=Budget(patient=0.01), on_budget="truncate")
    with pytest.raises(BudgetExceeded):
        simulate(replace(run, privacy=privacy), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_repeated_query_is_free_and_has_the_same_answer(run, tmp_path, monkeypatch):
    ledger = tmp_path / "account.sqlite"
    lasting = replace(run, privacy=Privacy(ledger=str(ledger)))
    simulate(lasting, tmp_path / "a")
    more = simulated(replace(lasting, queries=30, noise_seed=99), tmp_path / "b")
    assert charges(ledger) == [(20, "released"), (10, "released")]
    first, second = labels(tmp_path / "a"), labels(tmp_path / "b")
    assert {query: second[query] for query in first} == first
    assert (more["labels"]["asked"], more["labels"]["from_cache"]) == (30, 20)
    monkeypatch.setattr(Hospital, "train", forbidden)
    again = simulated(replace(lasting, noise_seed=7), tmp_path / "c")
    assert labels(tmp_path / "c") == first
    assert again["labels"]["from_cache"] == 20
    assert len(charges(ledger)) == 2


def test_a_lasting_budget_is_spent_by_all_runs_together(run, tmp_path):
    full = simulated(run, tmp_path / "free")["privacy"]["patient"]["guaranteed"]
    privacy = Privacy(ledger=str(tmp_path / "l.sqlite"), budget=Budget(patient=full * 1.2))
    simulate(replace(run, privacy=privacy), tmp_path / "a")
    with pytest.raises(BudgetExceeded):
        simulate(replace(run, privacy=privacy, queries=40), tmp_path / "b")
    assert charges(tmp_path / "l.sqlite") == [(20, "released")]


def failing(names, method):
    """Hospitals of these names fail."""
    works = getattr(Hospital, method)

    def maybe(self, *arguments):
        if self.name in names:
            raise RuntimeError("the disk is full")
        return works(self, *arguments)

    return maybe


@pytest.mark.parametrize("method", ["train", "answer"])
def test_without_a_quorum_nothing_is_charged_and_nothing_is_left(
    run, tmp_path, monkeypatch, method
):
    monkeypatch.setattr(Hospital, method, failing({"hospital-2"}, method))
    with pytest.raises(QuorumError, match="min_hospitals=4 hospitals are needed, 3 completed"):
        simulate(run, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("method", ["train", "answer"])
def test_with_a_quorum_the_others_vote(run, tmp_path, monkeypatch, method):
    monkeypatch.setattr(Hospital, method, failing({"hospital-2"}, method))
    summary = simulated(replace(run, min_hospitals=3), tmp_path / "run")
    assert summary["federation"]["dropped"] == ["hospital-2"]
    assert summary["federation"]["teachers_present"] == 6
    with np.load(tmp_path / "run" / "votes.npz") as votes:
        assert (votes["counts"].sum(axis=1) == 6).all()


def test_with_local_trust_the_votes_come_noisy_and_the_price_is_the_same(run, tmp_path):
    local = replace(run, trust="local", mechanism=MECHANISMS["laplace"](noise_scale=5.0))
    summary = simulated(local, tmp_path / "run")
    with np.load(tmp_path / "run" / "votes.npz") as votes:
        assert (votes["counts"].sum(axis=1) != 8).any()
    assert summary["federation"]["trust"] == "local"
    assert charges(tmp_path / "run" / "ledger.sqlite") == [(20, "released")]
    simulate(local, tmp_path / "again")
    assert labels(tmp_path / "run") == labels(tmp_path / "again")


def test_with_local_trust_randomized_response_works(run, tmp_path):
    local = replace(
        run, trust="local", mechanism=MECHANISMS["randomized_response"](flip_probability=0.5)
    )
    summary = simulated(local, tmp_path / "run")
    assert summary["labels"]["answered"] == 20
    assert summary["privacy"]["patient"]["guaranteed"] > 1


def test_with_local_trust_a_missing_quorum_keeps_the_charge(run, tmp_path, monkeypatch):
    monkeypatch.setattr(Hospital, "answer", failing({"hospital-2"}, "answer"))
    local = replace(run, trust="local", mechanism=MECHANISMS["laplace"](noise_scale=5.0))
    with pytest.raises(NothingReleased, match="the charge stays") as caught:
        simulate(local, tmp_path / "run")
    assert caught.value.exit_code == 3
    assert charges(tmp_path / "run" / "ledger.sqlite") == [(20, "open")]
    assert not (tmp_path / "run" / "summary.json").exists()


def test_confident_may_leave_queries_unanswered(run, tmp_path):
    confident = MECHANISMS["confident"](noise_scale=2.0, threshold=8.0, threshold_noise_scale=2.0)
    summary = simulated(replace(run, mechanism=confident, queries=60), tmp_path / "run")
    answered = [label for label in labels(tmp_path / "run").values() if label]
    assert 0 < len(answered) == summary["labels"]["answered"] < 60
    assert summary["mechanism"]["threshold"] == 8.0
    ledger = tmp_path / "run" / "ledger.sqlite"
    assert charges(ledger) == [(60, "released"), (len(answered), "released")]
    paid = confident.gate_event(60, 1, 2) + confident.answer_event(len(answered), 1, 2)
    patient = summary["privacy"]["patient"]
    assert patient["guaranteed"] == guarantee(paid, 1e-5).epsilon
    assert patient["guaranteed"] < guarantee(confident.event(60, 1, 2), 1e-5).epsilon
    assert patient["data_dependent"] < patient["guaranteed"]


def test_stop_refuses_what_confident_might_cost_and_truncate_what_it_does(run, tmp_path):
    confident = MECHANISMS["confident"](noise_scale=2.0, threshold=5.0, threshold_noise_scale=8.0)
    asking = replace(run, mechanism=confident)
    limit = guarantee(confident.gate_event(20, 1, 2) + confident.answer_event(5, 1, 2), 1e-5)
    budget = Budget(patient=limit.epsilon)
    with pytest.raises(BudgetExceeded):
        simulate(replace(asking, privacy=Privacy(budget=budget)), tmp_path / "stop")
    privacy = Privacy(budget=budget, on_budget="truncate")
    summary = simulated(replace(asking, privacy=privacy), tmp_path / "run")
    assert summary["labels"]["answered"] == 5
    assert summary["privacy"]["patient"]["guaranteed"] == limit.epsilon
    assert summary["privacy"]["patient"]["data_dependent"] is None  # cut short: no such law


def test_a_run_without_any_answer_has_no_student_and_is_charged(run, tmp_path):
    confident = MECHANISMS["confident"](noise_scale=2.0, threshold=1e6, threshold_noise_scale=2.0)
    summary = simulated(replace(run, mechanism=confident), tmp_path / "run")
    assert summary["labels"]["answered"] == 0
    assert summary["labels"]["accuracy"] is None
    assert summary["student"]["accuracy"] is None
    assert not (tmp_path / "run" / "student.pt").exists()
    assert charges(tmp_path / "run" / "ledger.sqlite") == [(20, "released")]


def test_interactive_runs_in_rounds(run, tmp_path):
    interactive = MECHANISMS["interactive"](
        noise_scale=2.0, threshold=2.0, threshold_noise_scale=2.0, confidence=0.9
    )
    summary = simulated(replace(run, mechanism=interactive, queries=60), tmp_path / "run")
    assert 0 < summary["labels"]["answered"] <= 60
    paid = charges(tmp_path / "run" / "ledger.sqlite")
    assert [n for n, _ in paid[::2]] == [15] * 4  # a gate per round, then that round's answers
    assert {state for _, state in paid} == {"released"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"queries": 115}, r"queries must be at most the pool's 114, got 115"),
        ({"teachers_per_hospital": 200}, r"teachers_per_hospital must be at most"),
        ({"device": "cuda:99"}, r"device must exist on this machine, got 'cuda:99'"),
    ],
)
def test_bad_settings_leave_nothing(run, tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        simulate(replace(run, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_directory_that_cannot_be_written_is_named(run, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"hydra\.run\.dir must be a folder"):
        simulate(run, tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("moment", "state"),
    [("voting", None), ("charged", "open"), ("drawn", "open"), ("released", "released")],
)
def test_kill_9_never_loses_a_charge_and_the_next_run_goes_on(run, tmp_path, moment, state):
    out, ledger = tmp_path / "run", tmp_path / "account.sqlite"
    lasting = replace(run, privacy=Privacy(ledger=str(ledger)))
    worker = federation_worker.start(lasting, out, moment)
    worker.kill()
    worker.communicate()
    assert charges(ledger) == ([] if state is None else [(20, state)])
    assert not (out / "summary.json").exists()
    assert not (out / "labels.csv").exists()
    summary = simulated(lasting, out)
    assert charges(ledger) == [(20, "released")]  # what was paid for is not paid for again
    assert summary["labels"]["answered"] == 20


def test_kill_9_between_gate_and_answers_pays_for_no_gate_twice(run, tmp_path):
    ledger = tmp_path / "account.sqlite"
    confident = MECHANISMS["confident"](noise_scale=2.0, threshold=5.0, threshold_noise_scale=2.0)
    lasting = replace(run, mechanism=confident, privacy=Privacy(ledger=str(ledger)))
    worker = federation_worker.start(lasting, tmp_path / "run", "gated")
    worker.kill()
    worker.communicate()
    assert charges(ledger) == [(20, "open")]
    summary = simulated(lasting, tmp_path / "run")
    answered = summary["labels"]["answered"]
    assert charges(ledger) == [(20, "released"), (answered, "released")]


def test_an_open_charge_is_resumed_although_the_budget_is_spent(run, tmp_path):
    full = simulated(run, tmp_path / "free")["privacy"]["patient"]["guaranteed"]
    privacy = Privacy(ledger=str(tmp_path / "l.sqlite"), budget=Budget(patient=full * 1.1))
    worker = federation_worker.start(replace(run, privacy=privacy), tmp_path / "run", "charged")
    worker.kill()
    worker.communicate()
    simulate(replace(run, privacy=privacy), tmp_path / "run")
    assert charges(tmp_path / "l.sqlite") == [(20, "released")]


def test_with_local_trust_an_open_charge_is_not_resumed(run, tmp_path):
    ledger = tmp_path / "l.sqlite"
    local = replace(
        run,
        trust="local",
        mechanism=MECHANISMS["laplace"](noise_scale=5.0),
        privacy=Privacy(ledger=str(ledger)),
    )
    worker = federation_worker.start(local, tmp_path / "run", "voting")
    worker.kill()
    worker.communicate()
    simulate(local, tmp_path / "run")
    assert charges(ledger) == [(20, "open"), (20, "released")]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("engine", "moment"), [("inprocess", "training"), ("pool", "greeted")])
def test_an_interrupted_run_leaves_nothing(run, tmp_path, engine, moment, sign):
    out = tmp_path / "run"
    worker = federation_worker.start(replace(run, engine=engine), out, moment)
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    worker.send_signal(sign)
    _, errors = worker.communicate(timeout=60)
    assert b"KeyboardInterrupt" in errors
    assert not out.exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("fedpate-")]
    deadline = time.monotonic() + 10  # the pool's resource tracker ends a moment later
    while left := [child for child in children if Path(f"/proc/{child}").exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


@pytest.mark.parametrize("name", ["entropy", "margin", "kcenter"])
def test_a_choice_that_learns_is_charged_round_by_round(run, tmp_path, name):
    options = {"by": "student"} if name == "kcenter" else {}
    chosen = replace(run, queries_by=SELECTORS[name](**options), queries=30, rounds=3)
    summary = simulated(chosen, tmp_path / "run")
    assert summary["labels"]["asked"] == summary["labels"]["answered"] == 30
    assert charges(tmp_path / "run" / "ledger.sqlite") == [(10, "released")] * 3
    at_once = simulated(replace(run, queries=30), tmp_path / "once")
    for unit in ("patient", "hospital"):  # the price is that of as many asked at once
        price = summary["privacy"][unit]["guaranteed"]
        assert price == at_once["privacy"][unit]["guaranteed"]
    assert summary["privacy"]["patient"]["data_dependent"] is not None
    with np.load(tmp_path / "run" / "votes.npz") as votes:
        assert set(votes["query_ids"]) == set(labels(tmp_path / "run"))


def test_a_run_that_dies_between_rounds_goes_on_where_it_was(run, tmp_path, monkeypatch):
    chosen = replace(run, queries_by=SELECTORS["margin"](), queries=30, rounds=3)
    whole = simulated(chosen, tmp_path / "whole")
    buy, calls = Purchase.labels, []

    def dies(self, asked, *rest):
        calls.append(len(asked))
        if len(calls) == 2:
            raise RuntimeError("the power went")
        return buy(self, asked, *rest)

    monkeypatch.setattr(Purchase, "labels", dies)
    with pytest.raises(RuntimeError, match="power"):
        simulated(chosen, tmp_path / "run")
    assert charges(tmp_path / "run" / "ledger.sqlite") == [(10, "released")]
    resumed = simulated(chosen, tmp_path / "run")
    assert calls == [10, 10, 10, 10]
    assert charges(tmp_path / "run" / "ledger.sqlite") == [(10, "released")] * 3
    assert resumed["labels"]["from_cache"] == 10
    assert labels(tmp_path / "run") == labels(tmp_path / "whole")  # the noise is seeded
    assert resumed["privacy"]["patient"]["guaranteed"] == whole["privacy"]["patient"]["guaranteed"]


def test_rounds_stop_before_the_first_if_the_last_is_not_affordable(run, tmp_path):
    event = run.mechanism.event(25, 1, 2)
    budget = Budget(patient=guarantee(event, run.privacy.delta).epsilon)
    chosen = replace(run, queries_by=SELECTORS["margin"](), queries=30, rounds=3)
    with pytest.raises(BudgetExceeded):
        simulated(replace(chosen, privacy=Privacy(budget=budget)), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    truncated = Privacy(budget=budget, on_budget="truncate")
    summary = simulated(replace(chosen, privacy=truncated), tmp_path / "run")
    assert summary["labels"]["answered"] == 25
    assert charges(tmp_path / "run" / "ledger.sqlite") == [
        *((10, "released"), (10, "released"), (5, "released"))
    ]


def test_interactive_learns_from_chosen_queries(run, tmp_path):
    interactive = MECHANISMS["interactive"](
        noise_scale=2.0, threshold=2.0, threshold_noise_scale=2.0, confidence=0.9
    )
    chosen = replace(run, mechanism=interactive, queries_by=SELECTORS["entropy"](), queries=60)
    summary = simulated(chosen, tmp_path / "run")
    assert 0 < summary["labels"]["answered"] <= 60
    paid = charges(tmp_path / "run" / "ledger.sqlite")
    assert [n for n, _ in paid].count(15) >= 4  # a gate per round, then that round's answers
    assert sum(n for n, _ in paid) <= 120


def test_a_student_is_trained_without_test_set_and_truth(run, tmp_path):
    side = site.coordinator_side(run, tmp_path)
    bare = replace(side, test=None, truth=None)
    release = Release(side.pool.query_ids[:20], np.arange(20) % 2)
    asked = side.pool.features[20:]
    first, second = (
        evaluation.train_student(run, one, release, LogProgress()).predict(asked)
        for one in (side, bare)
    )
    assert np.array_equal(first, second)

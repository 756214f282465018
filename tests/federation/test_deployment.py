"""A coordinator and real hospitals, without the network: parity, quorum, refusals, resume."""

import csv
import dataclasses
import json

import pytest

from fedpate.errors import BudgetExceeded, QuorumError
from fedpate.federation import engines, wire
from fedpate.federation.progress import LogProgress
from fedpate.federation.refusals import Code
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.privacy.ledger_check import verify
from fedpate.privacy.mechanisms import MECHANISMS
from real_sites import RealSites, SitesGrid


@pytest.fixture
def sites(tmp_path):
    return RealSites(tmp_path)


def labels(folder):
    with (folder / "labels.csv").open() as file:
        return list(csv.reader(file))


def charges(path):
    with PrivacyLedger.read(path) as ledger:
        return [charge for _, charge in ledger.book().charges.values()]


def hospital_charges(sites, name):
    path = sites.state(name) / "ledger.sqlite"
    return charges(path) if path.exists() else []


def test_real_hospitals_give_the_labels_and_the_price_of_the_simulation(sites, tmp_path):
    engines.simulate(sites.run, tmp_path / "simulated", LogProgress())
    summary = sites.deploy("deployed")
    assert labels(tmp_path / "deployed") == labels(tmp_path / "simulated")
    simulated = json.loads((tmp_path / "simulated" / "summary.json").read_text())
    for unit in ("patient", "hospital"):
        assert summary["privacy"][unit]["guaranteed"] == simulated["privacy"][unit]["guaranteed"]
    assert summary["student"] == simulated["student"]
    assert summary["federation"]["engine"] == "deployment"
    # What looks at votes or private records is not there.
    assert not (tmp_path / "deployed" / "votes.npz").exists()
    assert set(summary["baselines"].values()) == {None}
    assert summary["labels"]["accuracy"] is None
    assert summary["data"]["train_records"] is None
    for unit in ("patient", "hospital"):
        assert summary["privacy"][unit]["data_dependent"] is None
        assert summary["privacy"][unit]["sanitized"] is None
    # The federation's ledger outlives the run, which has a sound copy.
    assert verify(tmp_path / "deployed" / "ledger.sqlite").ok
    assert charges(tmp_path / "deployed" / "ledger.sqlite") == charges(
        tmp_path / "kits" / "federation.sqlite"
    )


def test_every_hospital_charges_itself_what_the_coordinator_states(sites):
    sites.deploy("out")
    (paid,) = charges(sites.folder / "kits" / "federation.sqlite")
    for name in sites.names:
        (own,) = hospital_charges(sites, name)
        assert own.n_queries == paid.n_queries == 20
        assert own.events == paid.events


def test_the_same_command_again_charges_nobody_and_asks_nobody(sites):
    first = sites.deploy("one")
    grid = SitesGrid(sites)
    again = sites.deploy("two", grid=grid)
    assert labels(sites.folder / "one") == labels(sites.folder / "two")
    assert again["labels"]["from_cache"] == first["labels"]["answered"] == 20
    assert grid.sent == []
    assert len(charges(sites.folder / "kits" / "federation.sqlite")) == 1


def test_an_interrupted_run_goes_on_and_nothing_is_charged_twice(sites, monkeypatch):
    for place in ("charge", "release"):
        with monkeypatch.context() as patch:
            patch.setattr(f"fedpate.privacy.ledger.PrivacyLedger.{place}", Cut(place))
            with pytest.raises(KeyboardInterrupt):
                sites.deploy("out")
    grid = SitesGrid(sites)
    sites.deploy("out", grid=grid)
    assert len(charges(sites.folder / "kits" / "federation.sqlite")) == 1
    for name in sites.names:
        assert len(hospital_charges(sites, name)) == 1


class Cut:
    """Cuts the coordinator off before a step of its ledger; hospitals' own ledgers go on."""

    def __init__(self, place):
        self.real = getattr(PrivacyLedger, place)

    def __get__(self, ledger, _):
        def step(*args, **kwargs):
            if ledger.federation == "try-out":
                raise KeyboardInterrupt
            return self.real(ledger, *args, **kwargs)

        return step


def test_below_the_quorum_nothing_is_charged_and_the_missing_are_named(sites):
    run = dataclasses.replace(sites.run, join_s=0.01, min_hospitals=4)
    with pytest.raises(QuorumError, match="missing: hospital-3: did not join") as stopped:
        sites.deploy("out", run, SitesGrid(sites, sites.names[:3]))
    assert stopped.value.exit_code == 3
    assert not (sites.folder / "out").exists()
    assert charges(sites.folder / "kits" / "federation.sqlite") == []
    for name in sites.names:
        assert hospital_charges(sites, name) == []


def test_above_the_quorum_the_price_is_that_of_those_present(sites):
    run = dataclasses.replace(sites.run, join_s=0.01, min_hospitals=3)
    sites.policy("hospital-1", trust=["local"])
    sites.policy("hospital-2", queries={"total": 19})
    with pytest.raises(QuorumError, match=f"hospital-1: code {int(Code.POLICY_TRUST)}: .*trust"):
        sites.deploy("out", run)
    sites.policy("hospital-1", trust=["coordinator"])
    summary = sites.deploy("out", run)
    assert summary["federation"]["dropped"] == ["hospital-2"]
    assert summary["federation"]["dropped_because"] == {
        "hospital-2": f"code {int(Code.POLICY_QUERIES)}: the hospital's policy: queries.total"
    }
    assert summary["federation"]["teachers_present"] == 6


def test_a_hospital_that_takes_anothers_name_is_left_out(sites):
    run = dataclasses.replace(sites.run, join_s=0.01, min_hospitals=3)
    grid = SitesGrid(sites, sites.names[:3])
    node = next(iter(grid.names))
    grid.names[node] = "hospital-3"  # by its key; it says hospital-0
    with pytest.raises(QuorumError, match="hospital-3: the hospital's name must be that of its"):
        sites.deploy("out", run, grid)


def test_the_budget_of_a_federation_spans_its_runs(sites):
    budget = dataclasses.replace(sites.run.privacy.budget, patient=15.0)
    privacy = dataclasses.replace(sites.run.privacy, budget=budget)
    run = dataclasses.replace(sites.run, privacy=privacy)
    sites.deploy("one", run)
    grid = SitesGrid(sites)
    with pytest.raises(BudgetExceeded):
        sites.deploy("two", dataclasses.replace(run, queries=100), grid)
    assert grid.sent == []


def test_with_trust_local_the_hospitals_add_the_noise_and_charge_it(sites):
    run = dataclasses.replace(
        sites.run, trust="local", mechanism=MECHANISMS["laplace"](noise_scale=2.0)
    )
    sites.deploy("out", run)
    (paid,) = charges(sites.folder / "kits" / "federation.sqlite")
    for name in sites.names:
        (own,) = hospital_charges(sites, name)
        assert own.events == paid.events
        assert (sites.state(name) / "randomized.sqlite").exists()


def test_hello_tells_a_name_and_limits_and_no_facts_about_data(sites):
    reply = sites.send("hospital-1", wire.HELLO, wire.hello_request())
    assert wire.read_hello_reply(reply.content) == "hospital-1"
    told = json.loads(dict(reply.content["fields"])["policy"])
    assert "patients" not in json.dumps(told["teachers"])

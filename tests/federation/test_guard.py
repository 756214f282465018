"""A hospital's own rules and its own account hold whatever the coordinator says or does."""

import dataclasses
import datetime as dt
import sqlite3

import numpy as np
import pytest

from fedpate.federation import guard, wire
from fedpate.federation.hospital import training_id
from fedpate.federation.hospital_log import run_id
from fedpate.federation.refusals import REASONS, Code
from fedpate.federation.settings import Simulation, Stated
from fedpate.learning.teachers import TEACHERS
from fedpate.privacy.accounting import guarantee
from fedpate.privacy.events import Event
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.privacy.ledger_check import verify
from fedpate.privacy.mechanisms import MECHANISMS
from fedpate.records import QueryBatch
from real_sites import RealSites

NAME = "hospital-1"
GNMAX = MECHANISMS["gnmax"](noise_scale=5.0)
LAPLACE = MECHANISMS["laplace"](noise_scale=5.0)


@pytest.fixture
def sites(tmp_path):
    return RealSites(tmp_path)


class Asking:
    """A coordinator that asks one hospital by hand."""

    def __init__(self, sites, name=NAME, **changes):
        self.sites, self.name, self.side = sites, name, sites.side()
        local = changes.get("trust") == "local"
        stated = {"submitter": "alice", "trust": "coordinator", "mechanism": GNMAX}
        stated |= {"queries": 40, "delta": 1e-5, **({"mechanism": LAPLACE} if local else {})}
        told = {key: changes.pop(key) for key in list(changes) if key in stated}
        self.settings = dataclasses.replace(
            self.side.settings, stated=Stated(**{**stated, **told}), **changes
        )
        if local:
            mechanism = self.settings.stated.mechanism
            self.settings = dataclasses.replace(self.settings, mechanism=mechanism)

    @property
    def run(self):
        return run_id(self.settings.to_json())

    def train(self):
        arrays = self.side.preprocessing.to_arrays()
        return self._send(wire.TRAIN, wire.train_request(self.settings.to_json(), arrays))

    def predict(self, rows=slice(0, 10), batch=None):
        batch = self.side.pool.take(rows) if batch is None else batch
        training = training_id(self.settings, self.side.preprocessing)
        request = wire.predict_request(self.settings.to_json(), training, batch)
        return self._send(wire.PREDICT, request)

    def _send(self, action, content):
        return self.sites.send(self.name, action, content)


def code(reply):
    return Code(reply.error.code) if reply.has_error() else None


def votes(reply):
    return wire.fields(reply.content)["n_teachers"], reply.content["arrays"]["votes"].numpy()


def ledger(sites, name=NAME):
    with PrivacyLedger.read(sites.state(name) / "ledger.sqlite") as opened:
        book = opened.book()
        return [charge for _, charge in book.charges.values()], opened.spent("patient")


def spent(sites):
    return ledger(sites)[1]


@pytest.mark.parametrize(
    ("rules", "asks", "refused"),
    [
        ({"submitters": ["bob"]}, {}, Code.POLICY_SUBMITTER),
        ({"task": {"classes": 3}}, {}, Code.POLICY_CLASSES),
        ({"task": {"features": ["age"]}}, {}, Code.POLICY_FEATURES),
        ({"trust": ["local"]}, {}, Code.POLICY_TRUST),
        ({"trust": ["coordinator"]}, {"trust": "local"}, Code.POLICY_TRUST),
        ({"teachers": {"kinds": ["mlp"]}}, {}, Code.POLICY_TEACHER_KIND),
        ({"teachers": {"at_most": 1}}, {}, Code.POLICY_TEACHERS),
        ({"teachers": {"patients_per_teacher": 60}}, {}, Code.POLICY_PATIENTS),
        ({"queries": {"per_day": 39}}, {}, Code.POLICY_QUERIES_PER_DAY),
        ({"queries": {"total": 39}}, {}, Code.POLICY_QUERIES),
        ({"epsilon": {"patient": 3.0}}, {}, Code.POLICY_EPSILON_PATIENT),
        ({"epsilon": {"hospital": 8.0}}, {}, Code.POLICY_EPSILON_HOSPITAL),
        ({"epsilon": {"query": 0.5}}, {}, Code.POLICY_EPSILON_QUERY),
        ({"epsilon": {"patient": 50.0}}, {"mechanism": MECHANISMS["none"]()},
         Code.POLICY_EPSILON_PATIENT),
        ({"approval": "manual"}, {}, Code.POLICY_APPROVAL),
    ],
)  # fmt: skip
def test_a_run_that_would_break_a_rule_is_refused_before_anything_is_trained(
    sites, rules, asks, refused
):
    sites.policy(NAME, **rules)
    reply = Asking(sites, **asks).train()
    assert code(reply) == refused
    assert reply.error.reason == REASONS[refused]
    assert not (sites.state(NAME) / "teachers").exists()
    assert ledger(sites) == ([], Event())


def test_what_a_policy_allows_is_answered_and_a_limit_that_is_reached_is_not_passed(sites):
    most = guarantee(GNMAX.event(40, 1, 2), 1e-5).epsilon
    sites.policy(NAME, queries={"total": 40}, epsilon={"patient": most + 1e-9})
    asking = Asking(sites)
    assert code(asking.train()) is None
    for start in range(0, 40, 10):
        assert code(asking.predict(slice(start, start + 10))) is None
    assert spent(sites) == GNMAX.event(40, 1, 2)
    other = Asking(sites, queries=1, delta=1e-6)  # another run, one more question
    assert code(other.predict(slice(40, 41))) == Code.POLICY_QUERIES
    sites.policy(NAME, queries={"total": 41})
    assert code(other.predict(slice(40, 41))) == Code.POLICY_EPSILON_PATIENT
    assert spent(sites) == GNMAX.event(40, 1, 2)


def test_more_than_a_run_stated_is_refused(sites):
    asking = Asking(sites, queries=15)
    asking.train()
    assert code(asking.predict(slice(0, 10))) is None
    assert code(asking.predict(slice(10, 16))) == Code.POLICY_STATED
    assert code(asking.predict(slice(10, 15))) is None


def test_a_repeat_is_free_and_has_the_same_answer(sites):
    asking = Asking(sites)
    asking.train()
    first = votes(asking.predict())
    before = ledger(sites)
    again = votes(asking.predict())
    assert first[0] == again[0]
    assert (first[1] == again[1]).all()
    renumbered = QueryBatch(np.arange(100, 105), asking.side.pool.features[:5])
    assert (votes(asking.predict(batch=renumbered))[1] == first[1][:5]).all()
    doubled = QueryBatch(np.arange(6), np.repeat(asking.side.pool.features[10:13], 2, axis=0))
    assert ledger(sites) == before
    asking.predict(batch=doubled)
    assert spent(sites) == GNMAX.event(13, 1, 2)  # each of the three is paid for once


def test_other_teachers_or_another_mechanism_make_a_new_question(sites):
    asking = Asking(sites)
    asking.train()
    asking.predict()
    for changes in ({"seed": 1}, {"mechanism": MECHANISMS["gnmax"](noise_scale=6.0)}):
        other = Asking(sites, **changes)
        other.train()
        assert code(other.predict()) is None
    charges, _ = ledger(sites)
    assert [charge.n_queries for charge in charges] == [10, 10, 10]


def test_with_trust_local_the_noise_is_this_hospitals_own_and_a_repeat_averages_nothing(sites):
    asking = Asking(sites, trust="local")
    asking.train()
    first = votes(asking.predict())[1]
    plain = Asking(sites)
    plain.train()
    assert (first != votes(plain.predict())[1]).any()
    assert (votes(asking.predict())[1] == first).all()
    stronger = Asking(sites, trust="local", queries=39)  # another run, the same mechanism
    stronger.train()
    assert (votes(stronger.predict())[1] == first).all()
    charges, _ = ledger(sites)
    assert len(charges) == 2


def test_the_charge_is_on_the_disk_before_a_teacher_is_asked(sites, monkeypatch):
    asking = Asking(sites)
    asking.train()
    seen = []

    def count(*_args, **_kwargs):
        seen.append(spent(sites))
        raise OSError("the machine dies here")

    with monkeypatch.context() as patch:
        patch.setattr("fedpate.federation.hospital.count_votes", count)
        assert code(asking.predict()) == Code.FAILED
    assert seen == [GNMAX.event(10, 1, 2)]
    assert code(asking.predict()) is None  # and it is not charged again
    assert spent(sites) == GNMAX.event(10, 1, 2)


def test_a_hospital_killed_between_charge_and_answer_does_not_pay_twice(sites, monkeypatch):
    asking = Asking(sites)
    asking.train()
    with monkeypatch.context() as patch:
        patch.setattr("fedpate.privacy.ledger.PrivacyLedger.release", lambda *_: 1 / 0)
        assert code(asking.predict()) == Code.FAILED
    assert spent(sites) == GNMAX.event(10, 1, 2)
    assert code(asking.predict()) is None
    assert spent(sites) == GNMAX.event(10, 1, 2)
    assert verify(sites.state(NAME) / "ledger.sqlite").ok


def test_a_ledger_that_was_changed_answers_nothing(sites):
    asking = Asking(sites)
    asking.train()
    asking.predict()
    with sqlite3.connect(sites.state(NAME) / "ledger.sqlite") as db:
        db.execute("DROP TRIGGER entries_delete")
        db.execute("DELETE FROM entries WHERE kind = 'charge'")
    db.close()
    assert code(asking.predict(slice(10, 12))) == Code.FAILED


def test_a_day_ends_at_midnight_utc(sites, monkeypatch):
    sites.policy(NAME, queries={"per_day": 40})
    asking, other = Asking(sites), Asking(sites, queries=39)
    asking.train()
    asking.predict(slice(0, 40))
    assert code(other.train()) == Code.POLICY_QUERIES_PER_DAY
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    monkeypatch.setattr(guard, "utc_now", lambda: tomorrow)
    assert code(other.train()) is None


def test_near_duplicates_are_counted_and_stopped_and_equal_ones_are_not(sites):
    sites.policy(NAME, queries={"near_duplicates": 3})
    asking = Asking(sites)
    asking.train()
    asking.predict(slice(0, 10))
    near = asking.side.pool.features[:4] * np.float32(1.001)
    assert code(asking.predict(batch=QueryBatch(np.arange(4), near))) == Code.POLICY_NEAR_DUPLICATES
    assert code(asking.predict(batch=QueryBatch(np.arange(3), near[:3]))) is None
    again = QueryBatch(np.arange(1), near[:1] * np.float32(1.001))
    assert code(asking.predict(batch=again)) == Code.POLICY_NEAR_DUPLICATES
    other = Asking(sites, mechanism=MECHANISMS["gnmax"](noise_scale=6.0))
    other.train()
    assert code(other.predict(slice(0, 10))) is None  # the same questions, another mechanism


@pytest.mark.parametrize(
    "change",
    [
        {"stated": None},
        {"n_classes": 3},
        {"mechanism": LAPLACE},
        {"simulation": Simulation(None, None, 4, "/tmp", "/tmp")},
    ],
)
def test_settings_that_do_not_fit_are_refused(sites, change):
    asking = Asking(sites)
    asking.settings = dataclasses.replace(asking.settings, **change)
    assert code(asking.train()) == Code.SETTINGS


def test_trust_local_without_the_stated_mechanism_is_refused(sites):
    asking = Asking(sites, trust="local")
    weaker = MECHANISMS["laplace"](noise_scale=0.1)
    asking.settings = dataclasses.replace(asking.settings, mechanism=weaker)
    assert code(asking.train()) == Code.SETTINGS


def test_answers_need_teachers_and_teachers_need_a_request(sites):
    assert code(Asking(sites).predict()) == Code.UNTRAINED


def test_a_policy_is_read_anew_for_every_request(sites):
    asking = Asking(sites)
    assert code(asking.train()) is None
    sites.policy(NAME, submitters=["bob"])
    assert code(asking.predict()) == Code.POLICY_SUBMITTER
    sites.policy(NAME, submitters=None)
    assert code(asking.predict()) is None
    (sites.kit(NAME).policy).write_text("nothing: here\n")
    assert code(asking.predict(slice(10, 12))) == Code.FAILED


def test_a_person_approves_a_run_as_it_was_stated_and_no_other(sites):
    sites.policy(NAME, approval="manual")
    asking = Asking(sites)
    assert code(asking.train()) == Code.POLICY_APPROVAL
    log = sites.log(NAME)
    log.approve(asking.run, "dpo")
    assert code(asking.train()) is None
    assert code(asking.predict()) is None
    for changes in ({"queries": 41}, {"mechanism": LAPLACE}, {"seed": 5}):
        assert code(Asking(sites, **changes).train()) == Code.POLICY_APPROVAL


def test_other_teachers_of_the_same_kind_are_trained_on_shards_by_this_hospitals_name(sites):
    asking = Asking(sites, teacher=TEACHERS["sklearn"](model="logistic_regression"))
    assert wire.read_train_reply(asking.train().content, 2) == 2
    assert code(asking.predict()) is None

"""Pay, draw, make public: in that order, at each step."""

from dataclasses import replace

import numpy as np
import pytest

from federated import small_run
from fedpate.errors import BudgetExceeded
from fedpate.federation.progress import LogProgress
from fedpate.federation.releasing import Learning, Till, coordinator_entropy, release
from fedpate.federation.settings import Budget, Privacy
from fedpate.learning.selection import SELECTORS
from fedpate.privacy.accounting import guarantee
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.privacy.mechanisms import MECHANISMS, ConfidentMax, GaussianMax, InteractiveMax
from fedpate.records import NO_ANSWER, QueryBatch, Votes

N = 10
QUERIES = QueryBatch(np.arange(N, dtype=np.int64), np.arange(N, dtype=np.float32)[:, None])
KEYS = QUERIES.row_hashes()
VOTES = Votes(QUERIES.query_ids, np.tile([9, 1], (N, 1)), 10)
SPLIT = Votes(QUERIES.query_ids, np.array([[10, 0]] * 6 + [[5, 5]] * 4), 10)
SURE = ConfidentMax(0.01, 8.0, 0.01)  # passes ten of ten, not five of ten
TIMID = InteractiveMax(0.01, 1.0, 0.01, 0.8)  # passes what the student does not know


class Spending(LogProgress):
    """Remembers what it was told about the ledger."""

    def __init__(self):
        super().__init__()
        self.told = []

    def spent(self, unit, epsilon, budget):
        self.told.append((unit, epsilon, budget))


@pytest.fixture
def till(tmp_path):
    run = small_run(tmp_path / "store", rounds=3)
    with PrivacyLedger.open(tmp_path / "ledger.sqlite", "test") as ledger:
        yield Till(
            run, ledger, "numbers", "a mechanism", n_classes=2, largest_k=2, progress=Spending()
        )


NOBODY = Learning(lambda _: None)


def paid(till):
    book = till.ledger.book()
    return [(c.purpose.split(" of ")[0], book.state(i)) for i, (_, c) in book.charges.items()]


def with_budget(till, epsilon, on_budget):
    privacy = Privacy(budget=Budget(patient=epsilon), on_budget=on_budget)
    return replace(till, run=replace(till.run, privacy=privacy))


def test_one_step_pays_once_and_publishes_every_query(till):
    public = release(till, GaussianMax(0.01), VOTES, QUERIES, NOBODY)
    assert public == dict.fromkeys(KEYS, 0)
    assert paid(till) == [("10 labels", "released")]
    assert till.ledger.cached(KEYS) == public
    assert till.progress.told == [
        (unit, till.ledger.epsilon(unit, 1e-5), None) for unit in ("patient", "hospital")
    ]


def test_two_steps_pay_for_every_gate_and_for_the_answers_that_passed(till):
    public = release(till, SURE, SPLIT, QUERIES, NOBODY)
    assert [public[key] for key in KEYS] == [0] * 6 + [NO_ANSWER] * 4
    assert paid(till) == [("10 threshold tests", "released"), ("6 labels", "released")]
    for unit, moved in (("patient", 1), ("hospital", 2)):
        expected = SURE.gate_event(10, moved, 2) + SURE.answer_event(6, moved, 2)
        assert till.ledger.spent(unit).pieces == expected.pieces


def test_no_noise_is_drawn_before_its_step_is_paid_for(till, monkeypatch):
    seen = []

    def watched(name):
        real = getattr(ConfidentMax, name)

        def step(self, votes, *rest):
            drawn = name == "gate" or rest[0].any()
            seen.append((name, [what for what, _ in paid(till)]) if drawn else ("nothing", []))
            return real(self, votes, *rest)

        monkeypatch.setattr(ConfidentMax, name, step)

    watched("gate")
    watched("answer")
    release(till, SURE, SPLIT, QUERIES, NOBODY)
    assert seen == [
        ("gate", ["10 threshold tests"]),
        ("nothing", []),
        ("answer", ["10 threshold tests", "6 labels"]),
    ]


def test_truncate_answers_what_passed_as_far_as_the_budget_goes(till):
    limit = SURE.gate_event(10, 1, 2) + SURE.answer_event(4, 1, 2)
    poor = with_budget(till, guarantee(limit, 1e-5).epsilon, "truncate")
    public = release(poor, SURE, SPLIT, QUERIES, NOBODY)
    assert [public.get(key) for key in KEYS] == [0] * 4 + [None] * 2 + [NO_ANSWER] * 4
    assert paid(till)[-1] == ("4 labels", "released")


def test_stop_keeps_the_answers_back_if_the_budget_went_elsewhere(till):
    poor = with_budget(till, guarantee(SURE.gate_event(10, 1, 2), 1e-5).epsilon, "stop")
    with pytest.raises(BudgetExceeded):
        release(poor, SURE, SPLIT, QUERIES, NOBODY)
    assert paid(till) == [("10 threshold tests", "released")]
    assert till.ledger.cached(KEYS) == dict.fromkeys(KEYS[6:], NO_ANSWER)


def test_interactive_asks_in_rounds_and_learns_in_between(till):
    seen = []

    def student_of(so_far):
        seen.append(so_far.query_ids.tolist())
        return lambda batch: np.tile([0.9, 0.1], (len(batch), 1))

    public = release(till, TIMID, VOTES, QUERIES, Learning(student_of))
    assert seen == [[0, 1, 2, 3], [0, 1, 2, 3, 4, 5, 6]]
    assert public == dict.fromkeys(KEYS, 0)  # four answers, then what the student knows by itself
    assert paid(till) == [
        ("4 threshold tests", "released"),
        ("4 labels", "released"),
        ("3 threshold tests", "released"),
        ("3 threshold tests", "released"),
    ]


def test_answers_leave_the_money_for_the_gates_that_are_to_come(till):
    limit = TIMID.gate_event(10, 1, 2) + TIMID.answer_event(3, 1, 2)
    poor = with_budget(till, guarantee(limit, 1e-5).epsilon, "truncate")
    public = release(poor, TIMID, VOTES, QUERIES, NOBODY)
    assert sum(public.get(key) == 0 for key in KEYS) == 3
    assert [what for what, _ in paid(till)] == [
        *("4 threshold tests", "3 labels", "3 threshold tests", "3 threshold tests")
    ]


def test_a_student_of_earlier_rounds_is_asked_first(till):
    sure = Learning(lambda _: None, lambda batch: np.tile([0.1, 0.9], (len(batch), 1)), later=5)
    outvoted = InteractiveMax(0.01, 20.0, 0.01, 0.8)
    till = replace(till, run=replace(till.run, queries_by=SELECTORS["margin"]()))
    assert release(till, outvoted, VOTES, QUERIES, sure) == dict.fromkeys(KEYS, 1)
    assert paid(till) == [("10 threshold tests", "released")]  # rounds are the caller's here


def test_without_an_answer_there_is_no_student(till):
    silent = InteractiveMax(0.01, 100.0, 0.01, 0.8)
    seen = []
    public = release(
        till,
        silent,
        VOTES,
        QUERIES,
        Learning(lambda so_far: seen.append(so_far.answered.any())),
    )
    assert set(public.values()) == {NO_ANSWER}
    assert seen == [False, False]


def test_no_more_rounds_than_queries(till):
    one = slice(1)
    release(till, TIMID, VOTES.take(one), QUERIES.take(one), NOBODY)
    assert paid(till) == [("1 threshold tests", "released"), ("1 labels", "released")]


@pytest.mark.parametrize("name", ["gnmax", "confident"])
def test_what_an_interrupted_run_paid_for_is_not_paid_again(till, name):
    mechanism = {"gnmax": GaussianMax(0.01), "confident": SURE}[name]
    price = mechanism.event if name == "gnmax" else mechanism.answer_event
    till.pay("labels", price, QUERIES)  # and then the process went away
    assert release(till, mechanism, VOTES, QUERIES, NOBODY) == dict.fromkeys(KEYS, 0)
    assert paid(till) == [("10 labels", "released")]


@pytest.mark.parametrize(("noise_seed", "name"), [(None, "os-entropy"), (3, "seeded")])
def test_the_noise_comes_from_the_operating_system_unless_seeded(tmp_path, noise_seed, name):
    assert coordinator_entropy(small_run(tmp_path, noise_seed=noise_seed)).name == name


def test_every_gated_mechanism_names_its_steps(till):
    gated = {name for name, cls in MECHANISMS.items() if hasattr(cls, "gate")}
    assert gated == {"confident", "interactive"}

"""A plan keeps its price, finds the best there is, and says so when that is nothing."""

import json
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpate.errors import ConfigError
from fedpate.privacy.accounting import guarantee
from fedpate.privacy.entropy import SeededEntropy
from fedpate.privacy.mechanisms import ConfidentMax, GaussianMax, InteractiveMax
from fedpate.privacy.plan import EPSILONS, TOLERANCE, Question, evaluate, plan
from fedpate.privacy.plan_search import MECHANISM_NAMES, Bench, ways
from fedpate.privacy.vote_model import Pilot, VoteModel
from fedpate.records import Votes

NEARLY_UNANIMOUS = VoteModel(0.999, 0.0)


def bench_of(question: Question) -> Bench:
    sample = question.votes.sample(question.n_teachers, question.classes)
    moved = {"patient": 1, "hospital": question.teachers_each}
    return Bench(sample, moved, question.classes, question.delta)


# What is known of these federations.


def test_ten_hospitals_with_one_teacher_each_get_no_useful_guarantee():
    found = plan(
        Question(10, 1, classes=2, labels=100, label_accuracy=0.95, votes=NEARLY_UNANIMOUS)
    )
    assert 12 < found.best.epsilon["patient"] < 25
    assert not found.useful
    words = " ".join(found.remarks)
    assert (
        "Nothing useful exists: 100 labels of which 95.0% are right cost a patient epsilon" in words
    )
    assert "teachers per hospital instead of 1" in words


def test_ten_hospitals_with_25_teachers_each_do():
    for classes in (2, 10):
        found = plan(
            Question(
                10, 25, classes=classes, labels=100, label_accuracy=0.95, votes=NEARLY_UNANIMOUS
            )
        )
        assert 0.2 < found.best.epsilon["patient"] < 0.8
        assert found.useful
        assert "protects patients, not hospitals" in " ".join(found.remarks)


@pytest.mark.data
def test_the_published_votes_answer_as_many_queries_as_published(pate_votes):
    counts = np.load(pate_votes).astype(np.int64)[:640]
    question = Question(10, 25, votes=Pilot(counts))
    mechanism = ConfidentMax(40.0, 200.0, 150.0)
    choice = evaluate(question, mechanism, 640)
    assert choice.labels == pytest.approx(282.72, abs=0.01)
    assert choice.epsilon["hospital"] == guarantee(mechanism.event(640, 25, 10), 1e-5).epsilon


# Price and optimality.

questions = st.builds(
    Question,
    hospitals=st.integers(2, 30),
    teachers_per_hospital=st.integers(1, 20),
    classes=st.sampled_from([2, 10]),
    labels=st.integers(1, 500),
    target_epsilon=st.floats(0.2, 20),
    hospital_epsilon=st.one_of(st.none(), st.floats(0.5, 40)),
    votes=st.builds(VoteModel, st.floats(0.5, 0.95), st.floats(0, 0.4), st.floats(0, 1)),
    mechanisms=st.sampled_from([("gnmax",), ("gnmax", "confident")]),
)


@settings(max_examples=8)
@given(questions)
def test_the_price_is_kept_for_every_unit_and_spent(question):
    found = plan(question).best
    shares = []
    for unit, goal in question.targets.items():
        moved = {"patient": 1, "hospital": question.teachers_each}[unit]
        event = found.mechanism.event(found.queries, moved, question.classes)
        epsilon = guarantee(event, question.delta).epsilon
        assert found.epsilon[unit] == epsilon <= goal
        shares.append(epsilon / goal)
    assert max(shares) > 0.999
    assert found.labels >= question.labels - 1e-3


@pytest.mark.parametrize("mechanism", MECHANISM_NAMES)
def test_every_mechanism_keeps_its_price(mechanism):
    question = Question(10, 5, labels=50, target_epsilon=4.0, mechanisms=(mechanism,))
    found = plan(question).best
    assert found.mechanism.name == mechanism
    event = found.mechanism.event(found.queries, 1, 10)
    assert 0.99 * 4 < guarantee(event, 1e-5).epsilon <= 4.0


@pytest.mark.parametrize(
    "question",
    [
        Question(10, 5, labels=100, target_epsilon=8.0),
        Question(10, 25, labels=100, target_epsilon=1.0, votes=VoteModel(0.6, 0.3)),
        Question(10, 10, classes=2, labels=2, target_epsilon=0.5),
    ],
)
def test_no_setting_of_any_mechanism_is_more_accurate_at_the_price(question):
    best = plan(question).best
    bench = bench_of(question)
    for name in MECHANISM_NAMES:
        for way in ways(name):
            asked = way.asked(question.labels)
            for scale in np.geomspace(0.2, 2000, 40):
                if bench.epsilon(way, scale, asked, "patient") <= question.target_epsilon:
                    assert bench.accuracy(way, scale) <= best.accuracy + 2 * TOLERANCE


def test_the_most_labels_are_the_most():
    question = Question(10, 25, target_epsilon=2.0, label_accuracy=0.9, mechanisms=("gnmax",))
    best = plan(question).best
    assert best.accuracy == pytest.approx(0.9, abs=1e-3)
    assert best.epsilon["patient"] <= 2.0
    one_more = best.mechanism.event(best.queries + 1, 1, 10)
    assert guarantee(one_more, 1e-5).epsilon > 2.0
    limited = plan(Question(10, 25, target_epsilon=2.0, label_accuracy=0.9, pool=37)).best
    assert limited.queries == 37


def test_both_directions_agree():
    priced = plan(Question(10, 25, labels=100, target_epsilon=1.5, mechanisms=("gnmax",))).best
    again = Question(10, 25, labels=100, label_accuracy=priced.accuracy, mechanisms=("gnmax",))
    back = plan(again).best
    assert back.epsilon["patient"] == pytest.approx(1.5, rel=1e-2)
    assert back.mechanism.noise_scale == pytest.approx(priced.mechanism.noise_scale, rel=1e-2)
    third = evaluate(again, back.mechanism, 100)
    assert third == back


def test_a_tighter_unit_binds():
    patient = plan(Question(10, 5, labels=100, target_epsilon=5.0)).best
    both = plan(Question(10, 5, labels=100, target_epsilon=5.0, hospital_epsilon=10.0)).best
    assert both.epsilon["hospital"] == pytest.approx(10, rel=1e-3)
    assert both.epsilon["patient"] < 5
    assert both.accuracy < patient.accuracy


def test_the_frontier_rises_with_epsilon_and_keeps_it():
    found = plan(Question(10, 25, labels=100, target_epsilon=1.0))
    assert [epsilon for epsilon, _ in found.frontier] == list(EPSILONS)
    for epsilon, choice in found.frontier:
        event = choice.mechanism.event(choice.queries, 1, 10)
        assert guarantee(event, 1e-5).epsilon <= epsilon
        assert choice.labels >= 100 - 1e-3
    accuracies = [choice.accuracy for _, choice in found.frontier]
    assert (np.diff(accuracies) >= -TOLERANCE).all()
    assert accuracies[3] == pytest.approx(found.best.accuracy, abs=2 * TOLERANCE)


# The accuracy that is promised is the accuracy that comes.


@pytest.mark.parametrize(
    ("question", "mechanism"),
    [
        (Question(10, 5, votes=VoteModel(0.7, 0.2)), GaussianMax(10.0)),
        (Question(10, 5, votes=VoteModel(0.7, 0.2)), ConfidentMax(6.0, 30.0, 12.0)),
    ],
)
def test_real_labels_are_as_accurate_and_as_many_as_planned(question, mechanism):
    rng, n, teachers = np.random.default_rng(1), 20_000, question.n_teachers
    size = 1 / 0.2 - 1
    difficulty = rng.beta(0.7 * size, 0.3 * size, n)
    right = rng.binomial(teachers, difficulty)
    rival = rng.binomial(teachers - right, 0.5)
    rest = rng.multinomial(teachers - right - rival, [1 / 8] * 8)
    counts = np.column_stack([right, rival, rest])
    votes = Votes(np.arange(n), counts, teachers)
    labels = mechanism.release(votes, SeededEntropy(2, mechanism.name)).labels
    planned = evaluate(question, mechanism, n)
    answered = (labels >= 0).sum()
    accuracy = (labels[labels >= 0] == 0).mean()
    sigma = math.sqrt(planned.accuracy * (1 - planned.accuracy) / answered)
    assert abs(accuracy - planned.accuracy) < 5 * sigma + TOLERANCE
    assert abs(answered - planned.labels) < (5 * math.sqrt(0.25 / n) + TOLERANCE) * n


def test_an_accuracy_below_chance_costs_nothing():
    found = plan(Question(10, 5, classes=2, labels=100, label_accuracy=0.3)).best
    assert found.epsilon["hospital"] < 1e-6


# Words and plain data.


def test_a_hopeless_target_says_what_would_change_it():
    found = plan(Question(10, 1, labels=100, target_epsilon=1.0))
    assert not found.useful
    words = " ".join(found.remarks)
    assert "Nothing useful exists: at patient epsilon 1, 100 labels would be right in" in words
    assert "These teachers give no labels so accurate at patient epsilon 1." in words
    more = int(words.split("takes about ")[1].split(" ")[0])
    assert plan(Question(10, more, labels=100, target_epsilon=1.0)).useful
    assert not plan(Question(10, more * 3 // 4, labels=100, target_epsilon=1.0)).useful
    needed = float(words.split("take patient epsilon ")[1].rstrip("."))
    assert plan(Question(10, 1, labels=100, target_epsilon=needed * 1.01)).useful


def test_a_hospital_target_asks_for_more_hospitals():
    found = plan(Question(10, 5, labels=100, hospital_epsilon=1.0))
    words = " ".join(found.remarks)
    assert found.frontier_unit == "hospital"
    assert "hospitals instead of 10" in words
    assert "teachers per hospital instead of" not in words


def test_an_accuracy_beyond_the_vote_is_said_to_be():
    found = plan(Question(10, 5, labels=100, label_accuracy=0.999, mechanisms=("gnmax",)))
    assert found.best is None
    assert not found.useful
    assert "More accurate teachers" in found.remarks[-1]
    assert found.to_dict()["best"] is None


def test_patients_set_the_teachers_where_they_are_not_stated():
    question = Question(10, patients=3000, labels=10)
    assert question.teachers_each == 15
    found = plan(Question(10, 25, patients=1000, labels=10))
    assert "1000 patients make 4 per teacher" in found.remarks[-1]


def test_a_plan_from_a_pilot_says_that_it_is_private():
    counts = np.array([[8, 2], [9, 1], [5, 5]])
    found = plan(Question(10, 1, classes=2, labels=5, votes=Pilot(counts)))
    assert "They are private" in found.remarks[0]


def test_a_plan_is_plain_data():
    found = plan(Question(10, 25, labels=100, target_epsilon=2.0))
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert read["best"]["mechanism"]["name"] == found.best.mechanism.name
    assert read["best"]["epsilon"]["patient"] <= 2.0
    assert [row["target_epsilon"] for row in read["frontier"]["rows"]] == list(EPSILONS)
    assert read["relation"] == "replace_one"


def test_a_plan_takes_less_than_five_seconds():
    start = time.process_time()
    plan(Question(10, 25, labels=100, classes=100))
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hospitals": 0}, "hospitals must be a whole number >= 1"),
        ({"classes": 1}, "classes must be a whole number >= 2"),
        ({"delta": 0.0}, r"privacy\.delta must be in \(0, 1\)"),
        ({"target_epsilon": -1.0}, "patient_epsilon must be finite and > 0"),
        ({"label_accuracy": 1.0}, "label_accuracy must be in"),
        ({"labels": 50, "pool": 40}, "labels must be <= pool=40, got 50"),
        ({"patients": 49}, "patients must be >= 50, one per teacher, got 49"),
        ({"mechanisms": ("magic",)}, "mechanism must be one of"),
        ({"mechanisms": ()}, "must name at least one"),
        ({"teachers_per_hospital": None}, "teachers_per_hospital must be set"),
    ],
)
def test_impossible_questions_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        plan(Question(**({"teachers_per_hospital": 5} | change)))


def test_a_pool_too_small_for_a_threshold_is_refused():
    question = Question(10, 5, labels=40, pool=40, target_epsilon=1.0, mechanisms=("confident",))
    with pytest.raises(ConfigError, match="pool must hold more queries for 40 labels, got 40"):
        plan(question)


def test_only_complete_mechanisms_are_evaluated():
    question = Question(10, 5)
    with pytest.raises(ConfigError, match="mechanism must be one of"):
        evaluate(question, InteractiveMax(4.0, 10.0, 8.0, 0.9), 10)
    with pytest.raises(ConfigError, match=r"mechanism\.noise_scale must be set"):
        evaluate(question, GaussianMax(), 10)

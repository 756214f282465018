"""votes=probabilities through a whole run, and on the wire."""

import io
import json

import numpy as np
import pytest
from flwr.app import ArrayRecord

from federated import small_run
from fedpate.errors import ConfigError, PredictionError
from fedpate.federation import wire
from fedpate.federation.engines import simulate
from fedpate.learning.teachers import SklearnTeacher
from fedpate.privacy.mechanisms import ConfidentMax, GaussianMax, LaplaceMax
from fedpate.records import VOTE_PARTS, PredictionVectors, Votes

IDS = np.arange(3)
PARTS = np.array([[1024, 1024], [1, 2047], [0, 2048]])
ANSWER = PredictionVectors(IDS, PARTS, 2, parts=VOTE_PARTS)


def read(content):
    return wire.read_predict_reply(content, IDS, 2, 2, randomized=False, soft=True)


def test_soft_votes_cross_the_wire_as_float32_and_lose_nothing():
    content = wire.predict_reply(ANSWER)
    votes = np.load(io.BytesIO(content["arrays"]["votes"].data))
    assert votes.dtype == np.float32
    assert votes.sum(axis=1).tolist() == [2, 2, 2]
    again = read(content)
    assert np.array_equal(again.votes, PARTS)
    assert again.parts == VOTE_PARTS


@pytest.mark.parametrize(
    ("votes", "message"),
    [
        (np.array([[1.0, 1.0], [0.5, 1.5], [np.nan, 2.0]], np.float32), "must be in"),
        (np.array([[1.0, 1.0], [0.5, 1.5], [-0.5, 2.5]], np.float32), "must be in"),
        (np.array([[1.0, 1.0], [0.3, 1.7], [0.0, 2.0]], np.float32), "whole parts"),
        (np.array([[1.0, 1.0], [0.5, 1.0], [0.0, 2.0]], np.float32), "sum to n_teachers=2"),
        (np.array([[1, 1], [1, 1], [0, 2]], np.uint16), "votes must be float32"),
    ],
)
def test_what_is_not_a_sum_of_two_soft_votes_is_refused(votes, message):
    content = wire.predict_reply(ANSWER)
    arrays = {"query_ids": IDS, "votes": votes}
    content["arrays"] = ArrayRecord({name: wire.Array(a) for name, a in arrays.items()})
    with pytest.raises(PredictionError, match=message):
        read(content)


def test_whole_and_soft_votes_are_never_added():
    whole = PredictionVectors(IDS, np.array([[1, 1], [0, 2], [2, 0]]), 2)
    with pytest.raises(PredictionError, match="all answers must be whole votes, or all soft"):
        Votes.tally([whole, ANSWER])
    assert Votes.tally([ANSWER, ANSWER]).parts == VOTE_PARTS
    assert Votes.tally([ANSWER]).take(slice(1)).parts == VOTE_PARTS
    with pytest.raises(PredictionError, match="votes must be whole, or in 1024 parts"):
        PredictionVectors(IDS, PARTS, 2, parts=7)


def test_a_run_on_probabilities(tmp_path):
    run = small_run(
        tmp_path / "store",
        votes="probabilities",
        teacher=SklearnTeacher("logistic_regression"),
        mechanism=GaussianMax(2.0),
        baselines=True,
    )
    simulate(run, tmp_path / "soft")
    summary = json.loads((tmp_path / "soft" / "summary.json").read_text())
    assert summary["privacy"]["patient"]["bound"] == "gaussian"
    assert summary["privacy"]["patient"]["data_dependent"] is None
    assert summary["labels"]["accuracy"] > 0.6
    assert summary["baselines"]["vote_without_noise"] > 0.8
    with np.load(tmp_path / "soft" / "votes.npz") as votes:
        counts = votes["counts"]
    assert (counts.sum(axis=1) == 8).all()
    assert (counts != np.rint(counts)).any()
    hard = small_run(tmp_path / "store", teacher=run.teacher, mechanism=run.mechanism)
    simulate(hard, tmp_path / "hard")  # the same store and answer cache, other votes
    with np.load(tmp_path / "hard" / "votes.npz") as votes:
        assert (votes["counts"] == np.rint(votes["counts"])).all()
        assert np.abs(votes["counts"] - counts).max() < 8
    cheaper = json.loads((tmp_path / "hard" / "summary.json").read_text())["privacy"]["patient"]
    assert cheaper["guaranteed"] < summary["privacy"]["patient"]["guaranteed"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mechanism": ConfidentMax(4.0, 9.0, 6.0)}, "got mechanism=confident"),
        ({"mechanism": LaplaceMax(4.0), "trust": "local"}, "votes=probabilities needs trust="),
        ({"votes": "logits"}, "votes must be one of labels, probabilities, got 'logits'"),
    ],
)
def test_what_soft_votes_do_not_go_with_is_refused(changes, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        small_run(tmp_path, **{"votes": "probabilities", **changes})

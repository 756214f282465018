"""What a real hospital brings itself, and its own account of private teachers."""

import math
from dataclasses import replace

import numpy as np
import pytest
import yaml

from fedpate.errors import ConfigError
from fedpate.federation import wire
from fedpate.federation.hospital import training_id
from fedpate.federation.own_site import SITE, Site
from fedpate.federation.refusals import Code
from fedpate.federation.settings import Stated
from fedpate.learning.private_kinds import DpSgd
from fedpate.learning.store import TeacherStore
from fedpate.learning.teachers import Command, Onnx
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.privacy.mechanisms import MECHANISMS
from programs import linear_onnx, program
from real_sites import RealSites

NAME = "hospital-1"


@pytest.fixture
def sites(tmp_path):
    return RealSites(tmp_path)


def asked(sites, teacher, mechanism=None, queries=10, seed=0):
    """The replies to a training and to a question."""
    side = sites.side()
    stated = Stated("alice", "coordinator", mechanism or sites.run.mechanism, 40, 1e-5)
    settings = replace(side.settings, teacher=teacher, stated=stated, seed=seed)
    arrays = side.preprocessing.to_arrays()
    trained = sites.send(NAME, wire.TRAIN, wire.train_request(settings.to_json(), arrays))
    training = training_id(settings, side.preprocessing)
    question = wire.predict_request(settings.to_json(), training, side.pool.take(slice(queries)))
    return trained, sites.send(NAME, wire.PREDICT, question)


def code(reply):
    return Code(reply.error.code) if reply.has_error() else None


def own_models(sites, **models):
    path = sites.state(NAME) / SITE
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"models": models}))


def test_its_site_file_says_which_program_and_model_vote(sites):
    assert code(asked(sites, Command())[0]) == Code.FAILED  # none is named: its log says so
    program(sites.kit(NAME).folder / "nearest")
    weights = np.zeros((30, 2))
    weights[20] = 1, -1
    (sites.kit(NAME).folder / "own.onnx").write_bytes(linear_onnx(weights))
    own_models(sites, command="nearest", onnx="own.onnx")
    for teacher, n_teachers in [(Command(), 2), (Onnx(), 1)]:
        trained, answer = asked(sites, teacher)
        assert wire.fields(trained.content)["n_teachers"] == n_teachers
        assert (answer.content["arrays"]["votes"].numpy().sum(axis=1) == n_teachers).all()


def test_a_mistake_in_it_is_told_by_name(sites):
    own_models(sites, comand="nearest")
    with pytest.raises(ConfigError, match=r"site.yaml: models.comand is not a setting"):
        Site.read(sites.state(NAME) / SITE)


def spent(sites):
    with PrivacyLedger.read(sites.state(NAME) / "ledger.sqlite") as ledger:
        return ledger.epsilon("patient", 1e-5), ledger.epsilon("hospital", 1e-5)


def test_private_teachers_are_charged_once_by_the_hospital_itself(sites):
    teacher = DpSgd(target_epsilon=6.0, min_steps=5, max_steps=5)
    sites.policy(NAME, epsilon={"patient": 7.0})
    none = MECHANISMS["none"]()
    for queries in (10, 25):  # the same teachers: no new charge
        trained, answer = asked(sites, teacher, none, queries)
        assert (code(trained), code(answer)) == (None, None)
        assert spent(sites) == (6.0, math.inf)
    trained, answer = asked(sites, teacher, none, seed=1)  # other teachers: over the budget
    assert code(trained) == Code.POLICY_EPSILON_PATIENT
    store = TeacherStore(sites.state(NAME) / "teachers")
    store.list()[0].path.unlink()
    trained, answer = asked(sites, teacher, none)
    assert code(trained) == Code.TRAINED_ONCE
    assert spent(sites) == (6.0, math.inf)


def test_a_price_by_the_votes_alone_needs_no_private_teachers(sites):
    sites.policy(NAME, epsilon={"patient": 7.0})
    trained, _ = asked(sites, sites.run.teacher, MECHANISMS["none"]())
    assert code(trained) == Code.POLICY_EPSILON_PATIENT


def test_an_override_of_a_hospital_that_is_not_in_the_federation_is_refused(sites):
    stranger = replace(sites.run, hospital_overrides={"north": "mlp"})
    with pytest.raises(ConfigError, match="must name hospitals of this federation, got 'north'"):
        sites.side(stranger)
    one = replace(sites.run, hospital_overrides={NAME: {"teacher": "dpsgd"}})
    summary = sites.deploy("run", one)
    assert summary["federation"]["dropped"] == []
    assert summary["privacy"]["patient"]["routes"] is None  # the others are not private

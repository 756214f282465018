import io
import json
import logging
import os
import subprocess
import sys

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict

from federated import small_run
from fedpate.federation import client_app, site, wire
from fedpate.federation.engines.identity import acting_as_coordinator
from fedpate.federation.engines.local_grid import number
from fedpate.federation.hospital import Hospital, training_id
from fedpate.federation.refusals import REASONS, Code

CANARY = "patient 4711 is HIV positive"


def send(action, content, **node_config):
    """The reply of a node; `partition-id` 0 of 4 unless said otherwise."""
    config = node_config or {"partition-id": 0, "num-partitions": 4}
    context = Context(1, 7, config, RecordDict(), {})
    with acting_as_coordinator(1):
        message = Message(content, 7, action)
        number(message)
        return client_app.app(message, context)


@pytest.fixture
def side(tmp_path):
    return site.coordinator_side(small_run(tmp_path / "store"), tmp_path / "work")


@pytest.fixture
def coordinators_log():
    """What a process that plays all parts shows; caplog also hears loggers that show nothing."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)


def train_request(side):
    return wire.train_request(side.settings.to_json(), side.preprocessing.to_arrays())


def predict_request(side):
    training = training_id(side.settings, side.preprocessing)
    return wire.predict_request(side.settings.to_json(), training, side.pool.take(slice(5)))


def test_hello_says_a_name_and_versions_and_nothing_about_data():
    reply = send(wire.HELLO, wire.hello_request())
    assert wire.read_hello_reply(reply.content) == "hospital-0"
    fields = dict(reply.content["fields"])
    assert set(fields) == {"schema", "fedpate", "flwr", "hospital", "policy"}
    assert json.loads(fields["policy"]) == {}


def test_training_replies_with_the_number_of_teachers_and_nothing_else(side):
    reply = send(wire.TRAIN, train_request(side))
    assert set(reply.content) == {"fields"}
    assert dict(reply.content["fields"]) == {"schema": 1, "n_teachers": 2}


def test_predict_replies_with_votes_and_nothing_else(side):
    send(wire.TRAIN, train_request(side))
    reply = send(wire.PREDICT, predict_request(side))
    assert dict(reply.content["fields"]) == {"schema": 1, "n_teachers": 2}
    assert set(reply.content["arrays"]) == {"query_ids", "votes"}


@pytest.mark.parametrize(
    ("action", "method", "make"),
    [(wire.TRAIN, "train", train_request), (wire.PREDICT, "answer", predict_request)],
)
def test_an_exception_stays_in_the_hospital(
    side, monkeypatch, coordinators_log, capfd, action, method, make
):
    def fail(*_):
        raise RuntimeError(CANARY)

    monkeypatch.setattr(Hospital, method, fail)
    reply = send(action, make(side))
    assert reply.error.code == Code.FAILED
    assert reply.error.reason == REASONS[Code.FAILED]
    assert CANARY not in repr(reply)
    assert CANARY not in coordinators_log.getvalue() + "".join(capfd.readouterr())


def test_a_simulated_hospital_shows_its_log_when_asked(side, monkeypatch, coordinators_log):
    def fail(*_):
        raise RuntimeError(CANARY)

    monkeypatch.setattr(Hospital, "train", fail)
    monkeypatch.setenv(site.VERBOSE, "1")
    send(wire.TRAIN, train_request(side))
    assert CANARY in coordinators_log.getvalue()


def test_a_real_hospitals_log_has_the_text():
    assert site.hospital_log(Context(1, 7, {}, RecordDict(), {})).propagate


@pytest.mark.parametrize("action", [wire.HELLO, wire.TRAIN, wire.PREDICT])
def test_another_schema_gets_its_code(action):
    content = RecordDict({"fields": ConfigRecord({"schema": 99})})
    assert send(action, content).error.code == Code.SCHEMA


def test_a_malformed_request_gets_its_code(side):
    content = train_request(side)
    del content["arrays"]["mean"]
    assert send(wire.TRAIN, content).error.code == Code.MALFORMED
    assert send(wire.PREDICT, wire.hello_request()).error.code == Code.MALFORMED


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("teacher", "name"), "os.system"),
        (("teacher", "_target_"), "os.system"),
        (("simulation", "data", "name"), "builtins.open"),
        (("seed",), "0"),
        (("simulation",), None),
    ],
)
def test_settings_that_a_hospital_does_not_know_get_their_code(side, path, value):
    raw = json.loads(side.settings.to_json())
    inner = raw
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    content = wire.train_request(json.dumps(raw), side.preprocessing.to_arrays())
    assert send(wire.TRAIN, content).error.code == Code.SETTINGS


def test_a_partition_that_the_settings_do_not_have_gets_a_code(side):
    reply = send(wire.TRAIN, train_request(side), **{"partition-id": 4})
    assert reply.error.code == Code.SETTINGS


def test_predict_before_train_gets_its_code(side):
    assert send(wire.PREDICT, predict_request(side)).error.code == Code.UNTRAINED


def test_a_node_that_is_no_hospital_says_so():
    assert send(wire.HELLO, wire.hello_request(), other=1).error.code == Code.NO_SITE


def test_importing_the_app_reads_no_data():
    code = (
        "import sys\n"
        "def hook(event, args):\n"
        "    if event == 'open' and str(args[0]).endswith(('.csv', '.csv.gz', '.npz', '-ubyte')):\n"
        "        raise SystemExit(f'opened {args[0]}')\n"
        "sys.addaudithook(hook)\n"
        "import fedpate.federation.client_app, fedpate.federation.server_app\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

"""Every request and decision is on the hospital's disk, chained; a person reads and approves."""

import json
import sqlite3
import stat

import pytest
from flwr.app import ConfigRecord, RecordDict

from cli_runs import fedpate
from fedpate.federation import wire
from fedpate.federation.hospital_log import FILE, LONGEST, run_id
from fedpate.federation.refusals import REASONS, Code
from real_sites import RealSites

NAME = "hospital-1"


@pytest.fixture
def sites(tmp_path):
    return RealSites(tmp_path)


def written(sites, name=NAME):
    return [(entry.kind, entry.fields) for entry in sites.log(name).entries()]


def test_a_whole_run_is_in_the_log_of_each_hospital(sites):
    sites.deploy("out")
    for name in sites.names:
        kinds = [(kind, fields["action"]) for kind, fields in written(sites, name)[1:]]
        assert kinds == [
            (kind, action)
            for action in (wire.HELLO, wire.TRAIN, wire.PREDICT)
            for kind in ("request", "decision")
        ]
        assert {fields["code"] for kind, fields in written(sites, name) if kind == "decision"} == {
            0
        }
        assert stat.S_IMODE((sites.state(name) / FILE).stat().st_mode) == 0o600


def test_refused_and_malformed_requests_are_in_it_too(sites):
    sites.policy(NAME, submitters=["bob"])
    sites.send(NAME, wire.TRAIN, wire.hello_request())
    newer = RecordDict({"fields": ConfigRecord({"schema": 2, "long": "x" * (LONGEST + 5)})})
    reply = sites.send(NAME, wire.HELLO, newer)
    assert reply.error.code == Code.SCHEMA
    (_, first), (_, malformed), (_, request), (_, decision) = written(sites)[1:]
    assert first["fields"] == {"schema": 1}
    assert malformed["why"] == REASONS[Code.MALFORMED]
    assert request["fields"]["long"].endswith(f"... ({LONGEST + 5} characters)")
    assert (decision["code"], len(decision["policy"])) == (Code.SCHEMA, 64)


def test_nothing_is_answered_that_cannot_be_written_down(sites):
    sites.send(NAME, wire.HELLO, wire.hello_request())
    (sites.state(NAME) / FILE).write_bytes(b"not a log")
    assert sites.send(NAME, wire.HELLO, wire.hello_request()).error.code == Code.FAILED


def test_verify_tells_a_changed_log(sites):
    for _ in range(2):
        sites.send(NAME, wire.HELLO, wire.hello_request())
    path = sites.state(NAME) / FILE
    shown = fedpate("ledger", "verify", path, "--json")
    assert shown.code == 0, shown.err
    assert json.loads(shown.out)["entries"] == 5
    with sqlite3.connect(path) as db:
        db.execute("DROP TRIGGER entries_update")
        db.execute("UPDATE entries SET body = replace(body, '\"code\": 0', '\"code\": 120')")
    db.close()
    shown = fedpate("ledger", "verify", path)
    assert shown.code == 2
    assert "is not what it was" in shown.err


def test_status_tells_what_was_asked_answered_refused_and_spent(sites):
    empty = fedpate("hospital", "status", sites.kit(NAME).folder)
    assert empty.code == 0, empty.err
    assert "none yet" in empty.out
    sites.deploy("out")
    sites.send(NAME, wire.TRAIN, wire.hello_request())
    kit = sites.kit(NAME).folder
    found = json.loads(fedpate("hospital", "status", kit, "--json").out)
    assert found["decisions"] == {"answered": 3, REASONS[Code.MALFORMED]: 1}
    assert found["queries"] == {"today": 20, "total": 20, "near_duplicates": 0}
    assert (found["running"], len(found["runs"])) == (False, 1)
    assert found["runs"][0]["queries"] == 20
    assert found["epsilon"]["patient"] == found["runs"][0]["epsilon"]["patient"] > 1
    words = fedpate("hospital", "status", kit).out
    assert "gnmax at noise scale 2, added by the coordinator" in words
    assert "20 of any number" in words
    assert found["log_head"] in words


def test_a_run_waits_for_a_person_who_sees_what_it_asks(sites):
    for name in sites.names:
        sites.policy(name, approval="manual")
    with pytest.raises(Exception, match="a person there has to approve the run"):
        sites.deploy("out")
    for name in sites.names:
        kit = sites.kit(name).folder
        assert "waits for approval" in fedpate("hospital", "status", kit).out
        (run,) = sites.log(name).runs()
        refused = fedpate("hospital", "approve", kit, "0" * 16, "--yes")
        assert refused.code == 2
        assert f"there are: {run}" in refused.err
        shown = fedpate("hospital", "approve", kit, run, "--yes")
        assert shown.code == 0, shown.err
        assert "asks   20 queries with 2 classes, of 2 teachers (sklearn)" in shown.out
        assert "epsilon" in shown.out
        assert "approved" in fedpate("hospital", "status", kit).out
    assert sites.deploy("out")["labels"]["answered"] == 20


def test_an_approval_is_for_all_that_was_stated(sites):
    settings = sites.side().settings.to_json()
    assert run_id(settings) != run_id(settings.replace('"seed": 0', '"seed": 1'))
    assert len(run_id(settings)) == 16


def test_run_is_for_approve_alone(sites):
    kit = sites.kit(NAME).folder
    for args in (("approve", kit), ("status", kit, "abc")):
        refused = fedpate("hospital", *args)
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert "RUN must be given to approve" in refused.err


def test_check_does_all_but_join(sites):
    kit, data = sites.kit(NAME).folder, sites.files[NAME]
    checked = fedpate("hospital", "check", kit, "--data", data)
    assert checked.code == 0, checked.err
    assert "of 85 patients, 30 columns" in checked.out
    assert "teachers     up to 85, of 1 or more patients each" in checked.out
    assert "cannot be reached" in checked.out  # no coordinator runs
    found = json.loads(fedpate("hospital", "check", kit, "--data", data, "--json").out)
    assert (found["patients"], found["columns"], found["most_teachers"]) == (85, 30, 85)
    assert "cannot be reached" in found["findings"][0]
    for rules, words in (
        ({"teachers": {"patients_per_teacher": 86}}, "--data must hold at least 86 patients"),
        ({"task": {"classes": 3}}, "task.classes must be 2, the classes of --data, got 3"),
        ({"task": {"classes": None, "features": ["age"]}}, "task.features must be the columns"),
    ):
        sites.policy(NAME, **rules)
        refused = fedpate("hospital", "check", kit, "--data", data)
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert words in refused.err
        sites.policy(NAME, teachers={"patients_per_teacher": 1})
    missing = fedpate("hospital", "check", kit, "--data", sites.folder / "none.csv")
    assert (missing.code, "--data must be a file or a folder" in missing.err) == (2, True)

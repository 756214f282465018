import json

import numpy as np
import pytest

from fedpate.errors import ConfigError, LedgerError
from fedpate.federation.run_directory import RunDirectory, unpaid_leaves_nothing
from fedpate.privacy.events import NoisyArgmax, repeated
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.records import NO_ANSWER, Release, Votes

RELEASE = Release(np.array([5, 3, 9]), np.array([1, NO_ANSWER, 0]))
VOTES = Votes(RELEASE.query_ids, np.array([[0, 2], [1, 1], [2, 0]]), 2)


def charge(ledger):
    event = repeated(NoisyArgmax(10.0, 1), 3)
    events = {"patient": event, "hospital": event}
    return ledger.charge("test", "hash", 3, events, 1e-5, {})


def publish(directory, **changes):
    arguments = {
        "release": RELEASE,
        "save_student": lambda folder: (folder / "student.pt").write_text("student"),
        "votes": VOTES,
        "summary": {"schema": 1, "epsilon": float("inf")},
        "details": {"schema": 1, "releasable": False},
    }
    directory.publish(**{**arguments, **changes})


def names(path):
    return sorted(file.name for file in path.iterdir())


def test_everything_is_published(tmp_path):
    with RunDirectory(tmp_path / "run", None, "test") as directory:
        publish(directory)
    assert names(tmp_path / "run") == [
        "details.json",
        "labels.csv",
        "ledger.sqlite",
        "student.pt",
        "summary.json",
        "votes.npz",
    ]
    assert (tmp_path / "run" / "labels.csv").read_text() == "query_id,label\n5,1\n3,\n9,0\n"
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["epsilon"] == float("inf")
    assert json.loads((tmp_path / "run" / "details.json").read_text())["releasable"] is False
    with np.load(tmp_path / "run" / "votes.npz") as votes:
        np.testing.assert_array_equal(votes["counts"], VOTES.counts)
        np.testing.assert_array_equal(votes["query_ids"], VOTES.query_ids)


def test_what_there_is_not_is_not_written(tmp_path):
    with RunDirectory(tmp_path / "run", None, "test") as directory:
        publish(directory, save_student=None, votes=None)
    assert names(tmp_path / "run") == [
        "details.json",
        "labels.csv",
        "ledger.sqlite",
        "summary.json",
    ]


def test_a_failure_while_writing_publishes_nothing(tmp_path):
    def fail(folder):
        (folder / "student.pt").write_text("half")
        raise OSError(28, "No space left on device")

    with (
        RunDirectory(tmp_path / "run", None, "test") as directory,
        pytest.raises(ConfigError, match=r"hydra\.run\.dir must .* No space .* in the ledger"),
    ):
        publish(directory, save_student=fail)
    assert names(tmp_path / "run") == ["ledger.sqlite"]


def test_a_later_run_replaces_the_files(tmp_path):
    for epsilon in (1.0, 2.0):
        with RunDirectory(tmp_path / "run", None, "test") as directory:
            publish(directory, summary={"epsilon": epsilon})
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == {"epsilon": 2.0}


def interrupted(path, work):
    with unpaid_leaves_nothing(path), RunDirectory(path, None, "test") as directory:
        work(directory)
        raise KeyboardInterrupt


def stop_in(path, work):
    with pytest.raises(KeyboardInterrupt):
        interrupted(path, work)


def test_before_a_charge_nothing_is_left(tmp_path):
    stop_in(tmp_path / "deep" / "run", lambda directory: None)
    assert names(tmp_path) == []


def test_what_was_there_before_stays(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").touch()
    stop_in(tmp_path / "run", lambda directory: None)
    assert names(tmp_path / "run") == ["notes.txt"]


def test_after_a_charge_the_ledger_stays(tmp_path):
    stop_in(tmp_path / "run", lambda directory: charge(directory.ledger))
    with PrivacyLedger.read(tmp_path / "run" / "ledger.sqlite") as ledger:
        assert len(ledger.book().charges) == 1


def test_an_earlier_ledger_stays_although_nothing_is_charged(tmp_path):
    with RunDirectory(tmp_path / "run", None, "test"):
        pass
    stop_in(tmp_path / "run", lambda directory: None)
    assert names(tmp_path / "run") == ["ledger.sqlite"]


def test_a_ledger_that_cannot_be_read_stays(tmp_path):
    (tmp_path / "run").mkdir()

    def spoil(directory):
        directory.ledger.close()
        (tmp_path / "run" / "ledger.sqlite").write_bytes(b"spoiled")

    stop_in(tmp_path / "run", spoil)
    assert "ledger.sqlite" in names(tmp_path / "run")


def test_drafts_are_removed(tmp_path):
    def draft(directory):
        (directory.path / ".draft-x").mkdir()
        (directory.path / ".draft-x" / "labels.csv").touch()

    stop_in(tmp_path / "run", draft)
    assert names(tmp_path) == []


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(ConfigError, match=r"hydra\.run\.dir must be a folder that can be written"):
        RunDirectory(tmp_path / "run", None, "test").__enter__()


def test_anothers_ledger_is_refused(tmp_path):
    with RunDirectory(tmp_path / "run", None, "one federation"):
        pass
    with pytest.raises(LedgerError):
        RunDirectory(tmp_path / "run", None, "another").__enter__()

"""`fedpate store`: what is kept, and what goes."""

import json
import os
import time

import pytest

from cli_runs import fedpate
from fedpate.learning.fitted import ConstantTeacher
from fedpate.learning.store import TeacherStore
from fedpate.learning.trained_once import TrainedOnce

KEYS = [letter * 64 for letter in "abc"]


@pytest.fixture
def folder(tmp_path):
    """A store of three teachers: one private, one not used for ten days, one fresh."""
    store = TeacherStore(tmp_path / "teachers")
    for key in KEYS:
        store.put(key, ConstantTeacher(1, 2))
    once = TrainedOnce(store.folder, "hospital-0 a")
    with once.alone():
        once.record(KEYS[:1])
    ten_days_ago = time.time() - 10 * 86400
    for entry in store.list():
        if entry.key in KEYS[:2]:
            os.utime(entry.path, (ten_days_ago, ten_days_ago))
    return tmp_path


def left(folder):
    return sorted(entry.key[0] for entry in TeacherStore(folder / "teachers").list())


def test_a_store_is_listed(folder):
    told = json.loads(fedpate("store", "list", folder, "--json").out)
    assert told["teachers"] == 3
    assert told["bytes"] == sum(entry["bytes"] for entry in told["entries"]) > 0
    assert [entry["key"] for entry in told["entries"] if entry["trained_once"]] == KEYS[:1]
    assert told == json.loads(fedpate("store", "list", folder / "teachers", "--json").out)
    shown = fedpate("store", "list", folder).out
    assert "3 teachers" in shown
    assert "trained once" in shown


def test_a_store_is_cleaned_of_what_no_run_has_used(folder):
    told = json.loads(fedpate("store", "clean", folder, "--unused-for", "5", "--json").out)
    assert told["removed"] == 1
    assert told["bytes"] > 0
    assert left(folder) == ["a", "c"]
    assert "removed 1 teachers" in fedpate("store", "clean", folder).out
    assert left(folder) == ["a"]  # trained once: kept
    assert fedpate("store", "clean", folder, "--private").code == 0
    assert left(folder) == []
    assert TrainedOnce(folder / "teachers", "hospital-0 a").allows(KEYS[:1], [False])


def test_a_hospitals_kit_is_looked_into(folder, tmp_path):
    kit = tmp_path / "kit"
    (kit / "state").mkdir(parents=True)
    (folder / "teachers").rename(kit / "state" / "teachers")
    assert json.loads(fedpate("store", "list", kit, "--json").out)["teachers"] == 3


def test_nothing_is_kept_yet(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    told = json.loads(fedpate("store", "list", "--json").out)
    assert (told["teachers"], told["bytes"]) == (0, 0)
    assert "0 teachers" in fedpate("store", "list").out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["lst"], "list|clean must be one of list, clean, got 'lst'; did you mean list?"),
        (["list", "no/such"], "FOLDER must be a store or a hospital's kit, got 'no/such'"),
        (["clean", "--unused-for", "-1"], "--unused-for must be >= 0 days, got -1"),
        ([], "list|clean must be given; see --help"),
    ],
)
def test_mistakes_are_told_in_one_line(args, message):
    refused = fedpate("store", *args)
    assert refused.code == 2
    assert message in refused.err
    assert refused.err.count("\n") == 1

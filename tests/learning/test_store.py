import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpate.data.preprocessing import Preprocessing
from fedpate.learning import extras
from fedpate.learning import store as store_module
from fedpate.learning import teachers as teachers_module
from fedpate.learning.fitted import ConstantTeacher
from fedpate.learning.store import TeacherStore
from fedpate.learning.teachers import Cnn, Mlp, SklearnTeacher, train_teachers
from fedpate.records import LabelledData
from learning_cases import DIGITS, UNTOUCHED, digit_shards, digits, table

QUICK = {"epochs": 1, "min_steps": 1, "max_steps": 5}
MLP = Mlp(hidden=(4,), **QUICK)
KINDS = [MLP, Cnn(channels=(3,), hidden=(), **QUICK), SklearnTeacher("gaussian_nb")]
each_kind = pytest.mark.parametrize("teacher", KINDS, ids=lambda kind: kind.name)


@pytest.fixture
def store(tmp_path) -> TeacherStore:
    return TeacherStore(tmp_path / "teachers")


def shards() -> list[LabelledData]:
    first, second = digit_shards([40, 50])
    return [first, second, LabelledData(first.features[:5], np.full(5, 2), 10)]


def forbid_training(monkeypatch) -> None:
    def fail(*_):
        raise AssertionError("trained again")

    for kind in KINDS:
        monkeypatch.setattr(type(kind), "fit_all", lambda _, shards, *__: shards and fail())


@each_kind
def test_nothing_is_trained_twice(teacher, store, monkeypatch):
    first = train_teachers(teacher, shards(), DIGITS, [1, 2, 3], store=store)
    forbid_training(monkeypatch)
    counted: list[int] = []
    again = train_teachers(
        teacher, shards(), DIGITS, [1, 2, 3], store=store, progress=counted.append
    )
    assert sum(counted) == 3
    for one, other in zip(first, again, strict=True):
        assert type(one) is type(other)
        assert np.array_equal(
            one.probabilities(digits().features), other.probabilities(digits().features)
        )
    assert isinstance(again[2], ConstantTeacher)


@each_kind
def test_an_entry_answers_without_data_or_preprocessing_at_hand(teacher, store):
    (shard, *_) = shards()
    (trained,) = train_teachers(teacher, [shard], DIGITS, [1], store=store)
    stored = TeacherStore(store.folder).get(store.key(teacher, shard, DIGITS, 1))
    assert np.array_equal(stored.votes(digits().features), trained.votes(digits().features))


def test_another_setting_record_label_preprocessing_or_seed_is_another_key(store):
    shard = table(30)
    keys = {store.key(MLP, shard, UNTOUCHED, 1)}
    keys.add(store.key(MLP, shard, UNTOUCHED, 2))
    keys.add(store.key(Mlp(hidden=(5,), **QUICK), shard, UNTOUCHED, 1))
    keys.add(store.key(SklearnTeacher(), shard, UNTOUCHED, 1))
    scale = np.array(2, np.float32)
    keys.add(store.key(MLP, shard, Preprocessing(None, UNTOUCHED.mean, scale), 1))
    keys.add(store.key(MLP, LabelledData(shard.features, shard.labels, 4), UNTOUCHED, 1))
    for part in ("features", "labels"):
        parts = {"features": shard.features.copy(), "labels": shard.labels.copy()}
        parts[part][7] += 1
        keys.add(store.key(MLP, LabelledData(**parts, n_classes=3), UNTOUCHED, 1))
    assert len(keys) == 8
    assert store.key(MLP, table(30), UNTOUCHED, 1) in keys  # content, not identity
    assert store.get(next(iter(keys))) is None


def test_another_version_of_the_library_is_another_key(store, monkeypatch):
    before = store.key(MLP, table(30), UNTOUCHED, 1)
    monkeypatch.setattr(extras, "version", lambda _: "0.0")
    assert store.key(MLP, table(30), UNTOUCHED, 1) != before


def test_the_same_work_is_done_by_one_at_a_time(store):
    order = []

    def second():
        with store.alone("ab12"):
            order.append("second")

    with store.alone("ab12"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(timeout=0.3)
        assert order == []
        with store.alone("cd34"):  # other work does not wait
            order.append("first")
    thread.join(timeout=60)
    assert order == ["first", "second"]


def entry_file(store: TeacherStore) -> Path:
    (entry,) = store.list()
    return entry.path


@each_kind
@given(data=st.data())
@settings(max_examples=20)
def test_a_damaged_entry_is_trained_again_and_never_used(teacher, data, tmp_path_factory):
    store = TeacherStore(tmp_path_factory.mktemp("store"))
    (shard, *_) = shards()
    (trained,) = train_teachers(teacher, [shard], DIGITS, [1], store=store)
    path = entry_file(store)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    path.write_bytes(content)
    assert store.get(store.key(teacher, shard, DIGITS, 1)) is None
    assert not path.exists()
    (again,) = train_teachers(teacher, [shard], DIGITS, [1], store=store)
    assert np.array_equal(again.votes(digits().features), trained.votes(digits().features))
    assert entry_file(store).name.rpartition("-")[0] == store.key(teacher, shard, DIGITS, 1)


def test_the_folder_is_private(store):
    train_teachers(MLP, shards(), DIGITS, [1, 2, 3], store=store)
    places = [store.folder, *store.folder.rglob("*")]
    assert len(places) >= 5
    for place in places:
        assert place.stat().st_mode & 0o077 == 0


def test_a_pickle_that_others_may_write_is_not_read(store):
    (shard, *_) = shards()
    train_teachers(KINDS[2], [shard], DIGITS, [1], store=store)
    key = store.key(KINDS[2], shard, DIGITS, 1)
    assert store.get(key) is not None
    for place in (entry_file(store), entry_file(store).parent, store.folder):
        mode = place.stat().st_mode
        place.chmod(mode | 0o020)
        assert store.get(key) is None
        place.chmod(mode)
    assert store.get(key) is not None


def test_what_is_cut_short_is_not_kept(store, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(store_module.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_teachers(MLP, shards(), DIGITS, [1, 2, 3], store=store)
    assert not [path for path in store.folder.rglob("*") if path.is_file()]


KILLED = """
import json, sys
from pathlib import Path
from fedpate.learning.store import TeacherStore
from learning_cases import DIGITS, digit_shards
from fedpate.learning.teachers import Mlp, train_teachers
teacher = Mlp(**json.loads(sys.argv[2]))
print("ready", flush=True)
for seed in range(10**6):
    store = TeacherStore(Path(sys.argv[1]))
    train_teachers(teacher, digit_shards([40]), DIGITS, [seed], store=store)
"""


def test_a_killed_process_leaves_whole_entries_only(store):
    environment = {"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"}
    arguments = [str(store.folder), json.dumps({"hidden": [4], **QUICK})]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *arguments], env=environment, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    while len(store.list()) < 20 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    entries = store.list()
    assert len(entries) >= 20
    assert all(store.get(entry.key) is not None for entry in entries)


def write(folder: Path, turns: int) -> None:
    store = TeacherStore(folder)
    for turn in range(turns):
        store.put("ab" * 32, ConstantTeacher(turn, turns))
        assert store.get("ab" * 32) is not None


def test_processes_that_write_one_key_leave_a_whole_entry(store):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write, args=(store.folder, 30)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert isinstance(store.get("ab" * 32), ConstantTeacher)
    assert not list(store.folder.rglob(f"{store_module.TEMPORARY}*"))


def fill(store: TeacherStore, n: int, age_s: float) -> list[str]:
    """Entries of the given age, the first the oldest."""
    keys = [f"{index:064x}" for index in range(n)]
    for index, key in enumerate(keys):
        store.put(key, ConstantTeacher(index, n))
    for index, entry in enumerate(sorted(store.list(), key=lambda entry: entry.key)):
        at = time.time() - age_s + index
        os.utime(entry.path, (at, at))
    return keys


def test_the_least_recently_used_are_evicted_above_the_limit(tmp_path):
    unlimited = TeacherStore(tmp_path)
    keys = fill(unlimited, 10, age_s=1e5)
    size = unlimited.list()[0].size
    assert unlimited.get(keys[0]) is not None  # and so it is the most recently used
    limited = TeacherStore(tmp_path, limit_bytes=8 * size)
    limited.put("f" * 64, ConstantTeacher(0, 10))
    kept = {entry.key for entry in limited.list()}
    assert sum(entry.size for entry in limited.list()) <= 0.9 * limited.limit_bytes
    assert kept == {keys[0], *keys[5:], "f" * 64}


def test_what_a_run_may_still_need_is_not_evicted(tmp_path):
    tight = TeacherStore(tmp_path, limit_bytes=1)
    keys = fill(tight, 4, age_s=60.0)
    tight.put("f" * 64, ConstantTeacher(0, 4))
    assert all(tight.get(key) is not None for key in [*keys, "f" * 64])


def test_the_limit_holds_while_entries_are_added(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "IN_USE_S", -1.0)
    sample = TeacherStore(tmp_path / "sample")
    sample.put("0" * 64, ConstantTeacher(0, 99))
    limited = TeacherStore(tmp_path / "limited", limit_bytes=5 * sample.list()[0].size)
    for index in range(30):
        limited.put(f"{index:064x}", ConstantTeacher(index, 99))
        assert sum(entry.size for entry in limited.list()) <= limited.limit_bytes


def test_listing_and_cleaning(store):
    assert store.list() == []
    assert store.clean() == (0, 0)
    keys = fill(store, 6, age_s=1000.0)
    (shard, *_) = shards()
    train_teachers(KINDS[2], [shard], DIGITS, [1], store=store)
    left = store.folder / "aa" / f"{store_module.TEMPORARY}left"
    left.parent.mkdir()
    left.touch()
    os.utime(left, (0, 0))
    entries = store.list()
    assert [entry.key for entry in entries[:6]] == keys
    assert [entry.kind for entry in entries] == ["net"] * 6 + ["pickle"]
    size = sum(entry.size for entry in entries[:6])
    assert store.clean(unused_for_s=500) == (6, size)
    assert not left.exists()
    assert [entry.kind for entry in store.list()] == ["pickle"]
    assert store.clean()[0] == 1
    assert store.list() == []


def test_the_store_is_optional():
    assert teachers_module.train_teachers(MLP, shards()[:1], DIGITS, [1])

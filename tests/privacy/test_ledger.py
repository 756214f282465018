"""The ledger: what is charged stays charged, what is released stays the same, nothing is hidden."""

import hashlib
import json
import math
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpate.errors import BudgetExceeded, ConfigError, LedgerError
from fedpate.privacy import label_cache, ledger_check
from fedpate.privacy.chain import Head, first_broken_link, link
from fedpate.privacy.events import Event, NonPrivate, PureDp, compose, repeated
from fedpate.privacy.ledger import PrivacyLedger

DELTA = 1e-5
NO_LIMIT: dict[str, float | None] = {"patient": None, "hospital": None}


def pure_price(event: Event, delta: float) -> float:
    """An accountant with a known curve: pure epsilons add up."""
    total = 0.0
    for piece, count in event.pieces:
        total += count * (piece.epsilon if isinstance(piece, PureDp) else math.inf)
    return total


def opened(path: Path, federation: str = "test") -> PrivacyLedger:
    return PrivacyLedger.open(path, federation, price=pure_price)


def priced(queries: int, each: float = 1.0, teachers: int = 5) -> dict[str, Event]:
    return {
        "patient": repeated(PureDp(each), queries),
        "hospital": repeated(PureDp(each * teachers), queries),
    }


def pay(ledger: PrivacyLedger, queries: int, query_hash: str = "q", **budgets: float):
    return ledger.charge("a run", query_hash, queries, priced(queries), DELTA, NO_LIMIT | budgets)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path):
    with opened(path) as ledger:
        yield ledger


def test_a_charge_survives_and_adds_up_per_unit(path):
    with opened(path) as first:
        pay(first, 3)
        pay(first, 4)
    with opened(path) as second:
        assert second.epsilon("patient", DELTA) == 7
        assert second.epsilon("hospital", DELTA) == 35
        assert second.spent("patient") == repeated(PureDp(1.0), 7)
        assert second.spent("nobody") == Event()


def test_a_budget_is_reached_exactly_and_never_passed(ledger):
    for _ in range(10):
        pay(ledger, 1, patient=10.0)
    before = ledger.head
    assert ledger.can_afford(priced(1), DELTA, {"patient": 11.0, "hospital": None})
    assert not ledger.can_afford(priced(1), DELTA, {"patient": 10.0})
    with pytest.raises(BudgetExceeded, match=r"patient epsilon would reach 11\.000 .*patient=10"):
        pay(ledger, 1, patient=10.0)
    with pytest.raises(BudgetExceeded, match="hospital"):
        pay(ledger, 1, patient=11.0, hospital=54.0)
    assert ledger.head == before
    assert ledger.epsilon("patient", DELTA) == 10


@pytest.mark.parametrize("price", [math.nan, math.inf])
def test_a_price_that_is_not_a_number_is_never_affordable(path, price):
    with (
        PrivacyLedger.open(path, "test", price=lambda event, delta: price) as ledger,
        pytest.raises(BudgetExceeded),
    ):
        pay(ledger, 1, patient=1e9)


def test_no_noise_costs_infinitely_much_but_may_be_recorded_without_a_budget(ledger):
    events = {"patient": repeated(NonPrivate(), 2)}
    ledger.charge("none", "q", 2, events, DELTA, {"patient": None})
    assert ledger.epsilon("patient", DELTA) == math.inf
    with pytest.raises(BudgetExceeded):
        pay(ledger, 1, patient=1e300)


def test_labels_become_public_once_and_repeats_get_the_same_answer(ledger):
    receipt = pay(ledger, 3)
    assert ledger.cached(["a", "b", "c"]) == {}
    public = ledger.release(receipt, ["a", "b", "c"], np.array([1, 2, -1]))
    assert public.tolist() == [1, 2, -1]
    assert ledger.cached(["c", "a", "z"]) == {"c": -1, "a": 1}
    # Another batch that shares a query: the first answer stays, the new draw is never shown.
    other = ledger.release(pay(ledger, 2), ["d", "a"], np.array([7, 7]))
    assert other.tolist() == [7, 1]
    assert ledger.verify().ok


def test_a_record_asked_twice_in_one_batch_has_one_answer(ledger):
    public = ledger.release(pay(ledger, 3), ["a", "b", "a"], np.array([1, 2, 3]))
    assert public.tolist() == [1, 2, 1]


def test_the_cache_answers_more_keys_than_one_sqlite_query_takes(ledger):
    keys = [f"key-{i}" for i in range(2345)]
    ledger.release(pay(ledger, len(keys)), keys, np.arange(len(keys)) % 7)
    found = ledger.cached([*keys, "unknown"])
    assert found == {key: i % 7 for i, key in enumerate(keys)}


def test_releasing_again_gives_the_first_labels_and_never_the_second_draw(ledger):
    receipt = pay(ledger, 2)
    ledger.release(receipt, ["a", "b"], np.array([0, 1]))
    assert ledger.release(receipt, ["a", "b"], np.array([1, 0])).tolist() == [0, 1]
    with pytest.raises(LedgerError, match="released for other queries"):
        ledger.release(receipt, ["a", "c"], np.array([1, 0]))
    assert ledger.cached(["c"]) == {}


def test_a_receipt_pays_for_its_own_number_of_labels_in_its_own_ledger(ledger, tmp_path):
    receipt = pay(ledger, 2)
    with pytest.raises(LedgerError, match="pays for 2 labels, got 3 for 3 keys"):
        ledger.release(receipt, ["a", "b", "c"], np.array([1, 2, 3]))
    with pytest.raises(LedgerError, match="got 1 for 2 keys"):
        ledger.release(receipt, ["a", "b"], np.array([1]))
    with opened(tmp_path / "other.sqlite") as other:
        pay(other, 2)
        with pytest.raises(LedgerError, match="not from this ledger"):
            other.release(receipt, ["a"], np.array([1]))
        assert other.cached(["a"]) == {}


def test_an_open_charge_counts_until_a_person_voids_it(ledger):
    kept, dropped = pay(ledger, 3), pay(ledger, 4)
    ledger.release(kept, ["a"], np.array([1]))
    ledger.void(dropped.id, "the coordinator's disk died before any label", "A. Person")
    assert ledger.epsilon("patient", DELTA) == 3
    for id_, state in ((kept.id, "released"), (dropped.id, "voided")):
        with pytest.raises(LedgerError, match=f"charge {id_} is {state}, it must be open"):
            ledger.void(id_, "again", "A. Person")
    with pytest.raises(LedgerError, match="is voided"):
        ledger.release(dropped, ["b"], np.array([1]))
    with pytest.raises(LedgerError, match="no charge 99"):
        ledger.void(99, "why", "who")
    with pytest.raises(LedgerError, match="with a reason"):
        ledger.void(pay(ledger, 1).id, "  ", "A. Person")


def test_an_interrupted_charge_is_resumed_not_charged_again(path):
    with opened(path) as ledger:
        receipt = pay(ledger, 2, "batch-1")
    with opened(path) as ledger:
        assert ledger.resume("batch-2", 2, priced(2)) is None
        assert ledger.resume("batch-1", 2, priced(2, each=0.5)) is None
        assert ledger.resume("batch-1", 3, priced(2)) is None
        resumed = ledger.resume("batch-1", 2, priced(2))
        assert resumed == receipt
        ledger.release(resumed, ["a", "b"], np.array([0, 1]))
        assert ledger.resume("batch-1", 2, priced(2)) is None
        assert ledger.epsilon("patient", DELTA) == 2


def test_the_file_is_private_and_knows_its_owner_and_its_version(path):
    with opened(path) as ledger:
        assert ledger.federation == "test"
        for file in path.parent.iterdir():  # the database, its journal, its shared memory
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(LedgerError, match="of another owner than 'rival'"):
        opened(path, "rival")
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(LedgerError, match="version 2; this fedpate knows version 1"):
        opened(path)


def test_other_files_are_refused_and_left_alone(tmp_path):
    text, database = tmp_path / "notes.txt", tmp_path / "other.sqlite"
    text.write_text("not a database, but long enough to have a header " * 20)
    with sqlite3.connect(database) as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()
    for path in (text, database):
        before = path.read_bytes()
        with pytest.raises(LedgerError):
            opened(path)
        with pytest.raises(LedgerError):
            ledger_check.verify(path)
        assert path.read_bytes() == before
    with pytest.raises(LedgerError, match="cannot be used"):
        opened(tmp_path / "no such folder" / "ledger.sqlite")
    with pytest.raises(LedgerError, match="cannot be used"):
        PrivacyLedger.read(tmp_path / "absent.sqlite")
    (tmp_path / "empty.sqlite").touch()
    with pytest.raises(LedgerError, match="is an empty file"):
        PrivacyLedger.read(tmp_path / "empty.sqlite")


def test_a_reader_sees_what_a_writer_committed_and_cannot_write(path, ledger):
    with PrivacyLedger.read(path, price=pure_price) as reader:
        assert reader.epsilon("patient", DELTA) == 0
        receipt = pay(ledger, 2)
        assert reader.epsilon("patient", DELTA) == 2
        with pytest.raises(LedgerError, match="readonly"):
            reader.void(receipt.id, "why", "who")


def test_a_reader_leaves_no_side_files_behind(path):
    with opened(path) as ledger:
        pay(ledger, 2)
    with PrivacyLedger.read(path, price=pure_price) as reader:
        assert reader.epsilon("patient", DELTA) == 2
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_ledger_in_a_folder_without_write_access_can_be_read(path, ledger, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    pay(ledger, 2)
    with PrivacyLedger.read(path, price=pure_price) as reader:  # the charge is in the journal
        assert reader.epsilon("patient", DELTA) == 2
    ledger.close()
    with PrivacyLedger.read(path, price=pure_price) as reader:
        assert reader.epsilon("patient", DELTA) == 2
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "change",
    [
        {"n_queries": 0},
        {"delta": 0.0},
        {"delta": 1.0},
        {"budgets": {"patient": -1.0}},
        {"budgets": {"patient": math.nan}},
    ],
)
def test_impossible_charges_are_refused(ledger, change):
    before = ledger.head
    charge = {
        "purpose": "p",
        "query_hash": "q",
        "n_queries": 1,
        "events": priced(1),
        "delta": DELTA,
        "budgets": NO_LIMIT,
    }
    with pytest.raises(ConfigError):
        ledger.charge(**(charge | change))
    with pytest.raises(LedgerError, match=r"privacy\.budget\.planet is set"):
        ledger.charge(**(charge | {"budgets": {"planet": 1.0}}))
    assert ledger.head == before


def test_any_accountant_can_replay_the_entries(ledger):
    pay(ledger, 3)
    pay(ledger, 4, "other")
    bodies = [json.loads(entry.body) for entry in ledger.entries() if entry.kind == "charge"]
    events = [Event.from_json(json.dumps(body["events"]["hospital"])) for body in bodies]
    assert compose(events) == ledger.spent("hospital")


def test_opening_a_ledger_imports_no_accountant():
    code = "import sys, fedpate.privacy.ledger; print({'torch', 'dp_accounting'} & {*sys.modules})"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


# What happened, in any order, equals a plain model of it.

operations = st.lists(
    st.one_of(
        st.tuples(st.just("charge"), st.integers(1, 4)),
        st.tuples(st.just("release"), st.integers(0, 9)),
        st.tuples(st.just("void"), st.integers(0, 9)),
        st.tuples(st.just("reopen"), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(operations)
def test_the_ledger_equals_a_plain_model_of_what_happened(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("model") / "ledger.sqlite"
    ledger = opened(path)
    receipts, sizes, state, labels = [], [], [], {}
    for step, number in steps:
        spent = sum(n for n, s in zip(sizes, state, strict=True) if s != "voided")
        if step == "charge" and spent + number <= 12:
            receipts.append(pay(ledger, number, patient=12.0))
            sizes.append(number)
            state.append("open")
        elif step == "charge":
            with pytest.raises(BudgetExceeded):
                pay(ledger, number, patient=12.0)
        elif step == "reopen":
            ledger.close()
            ledger = opened(path)
        elif receipts:
            at = number % len(receipts)
            if state[at] == "open" and step == "release":
                keys = [f"q{(at + i) % 5}" for i in range(sizes[at])]
                public = ledger.release(receipts[at], keys, np.full(sizes[at], at))
                for key in keys:
                    labels.setdefault(key, at)
                assert public.tolist() == [labels[key] for key in keys]
                state[at] = "released"
            elif state[at] == "open":
                ledger.void(receipts[at].id, "why", "who")
                state[at] = "voided"
            elif step == "void":
                with pytest.raises(LedgerError):
                    ledger.void(receipts[at].id, "why", "who")
    spent = sum(n for n, s in zip(sizes, state, strict=True) if s != "voided")
    assert ledger.epsilon("patient", DELTA) == spent <= 12
    assert ledger.cached([f"q{i}" for i in range(5)]) == labels
    assert [ledger.book().state(r.id) for r in receipts] == state
    assert ledger.verify().ok
    ledger.close()


# Tampering.


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A closed ledger with charges, releases, a void and an open intent; its hashes."""
    path = tmp_path_factory.mktemp("sound") / "ledger.sqlite"
    with opened(path) as ledger:
        receipts = [pay(ledger, n, f"batch-{n}") for n in (1, 2, 3, 4)]
        ledger.release(receipts[0], ["a"], np.array([1]))
        ledger.release(receipts[1], ["b", "c"], np.array([2, -1]))
        ledger.void(receipts[2].id, "why", "who")
        heads = [entry.hash for entry in ledger.entries()]
    return path, heads


def contents(path: Path) -> list[object]:
    db = sqlite3.connect(path)
    try:
        tables = ("entries", "head", "labels")
        rows = [db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables]
        schema = sorted(db.execute("SELECT type, name, sql FROM sqlite_master"), key=repr)
        return [*rows, schema]
    finally:
        db.close()


def drop_triggers(db: sqlite3.Connection) -> list[str]:
    triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        db.execute(f"DROP TRIGGER {name}")
    return [sql for _, sql in triggers]


def edit(db, draw):
    seq = draw(st.integers(1, 8))
    column = draw(st.sampled_from(["time", "kind", "body", "previous", "hash"]))
    (old,) = db.execute(f"SELECT {column} FROM entries WHERE seq = ?", (seq,)).fetchone()
    new = draw(
        st.one_of(st.text(max_size=9), st.binary(max_size=9)).filter(lambda value: value != old)
    )
    db.execute(f"UPDATE entries SET {column} = ? WHERE seq = ?", (new, seq))


def delete(db, draw):
    db.execute("DELETE FROM entries WHERE seq = ?", (draw(st.integers(1, 8)),))


def delete_and_renumber(db, draw):
    seq = draw(st.integers(1, 7))
    db.execute("DELETE FROM entries WHERE seq = ?", (seq,))
    db.execute("UPDATE entries SET seq = seq - 1 WHERE seq > ?", (seq,))
    db.execute("UPDATE head SET count = count - 1")


def insert(db, draw):
    seq = draw(st.integers(1, 8))
    db.execute("UPDATE entries SET seq = -seq - 1 WHERE seq >= ?", (seq,))
    db.execute("UPDATE entries SET seq = -seq WHERE seq < 0")
    row = db.execute("SELECT * FROM entries WHERE seq = ?", (seq + 1,)).fetchone()
    db.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", (seq, *row[1:]))
    db.execute("UPDATE head SET count = count + 1")


def append_forged(db, draw):
    last = db.execute("SELECT * FROM entries ORDER BY seq DESC").fetchone()
    forged = link(
        Head(last[0], last[5]), last[1], "void", '{"receipt": 5, "reason": "", "who": ""}'
    )
    db.execute(
        "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)",
        (forged.seq, forged.time, forged.kind, forged.body, forged.previous, forged.hash),
    )


def swap(db, draw):
    one, other = draw(st.lists(st.integers(1, 8), min_size=2, max_size=2, unique=True))
    db.execute("UPDATE entries SET seq = -1 WHERE seq = ?", (one,))
    db.execute("UPDATE entries SET seq = ? WHERE seq = ?", (one, other))
    db.execute("UPDATE entries SET seq = ? WHERE seq = -1", (other,))


def truncate(db, draw):
    db.execute("DELETE FROM entries WHERE seq > ?", (draw(st.integers(0, 7)),))


def change_head(db, draw):
    change = draw(st.sampled_from(["count = count + 1", "hash = 'x'", "count = x''"]))
    db.execute(f"UPDATE head SET {change}")


def delete_head(db, draw):
    db.execute("DELETE FROM head")


def change_label(db, draw):
    key = draw(st.sampled_from("abc"))
    change = draw(st.sampled_from(["label = 9", "label = x'00'", "key = 'z'", "receipt = 5"]))
    db.execute(f"UPDATE labels SET {change} WHERE key = ?", (key,))


def delete_label(db, draw):
    db.execute("DELETE FROM labels WHERE key = ?", (draw(st.sampled_from("abc")),))


def insert_label(db, draw):
    db.execute("INSERT INTO labels VALUES ('new', 3, ?)", (draw(st.integers(0, 9)),))


CHANGES = [
    edit,
    delete,
    delete_and_renumber,
    insert,
    append_forged,
    swap,
    truncate,
    change_head,
    delete_head,
    change_label,
    delete_label,
    insert_label,
]


@pytest.mark.parametrize("change", CHANGES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_verify_finds_a_change_by_somebody_who_knows_sql(tmp_path_factory, sound, change, data):
    path = tmp_path_factory.mktemp("sql") / "ledger.sqlite"
    shutil.copy(sound[0], path)
    assert ledger_check.verify(path, sound[1][-1]).ok
    db = sqlite3.connect(path, isolation_level=None)
    triggers = drop_triggers(db)
    change(db, data.draw)
    for sql in triggers:  # hide the traces
        db.execute(sql)
    db.close()
    assert not ledger_check.verify(path).ok
    with pytest.raises(LedgerError):
        opened(path)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**30), st.integers(1, 255))
def test_a_changed_byte_is_found_or_changes_nothing(tmp_path_factory, sound, at, change):
    path = tmp_path_factory.mktemp("bytes") / "ledger.sqlite"
    raw = bytearray(sound[0].read_bytes())
    path.write_bytes(raw)
    truth = contents(path)
    raw[at % len(raw)] ^= change
    path.write_bytes(raw)
    try:
        found = not ledger_check.verify(path).ok
    except LedgerError:
        found = True
    assert found or contents(path) == truth


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 0.999))
def test_a_cut_file_is_found(tmp_path_factory, sound, kept):
    path = tmp_path_factory.mktemp("cut") / "ledger.sqlite"
    raw = sound[0].read_bytes()
    path.write_bytes(raw[: int(kept * len(raw))])
    with pytest.raises(LedgerError):
        PrivacyLedger.read(path).close()


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TRIGGER entries_delete",
        "CREATE TRIGGER t AFTER INSERT ON labels BEGIN DELETE FROM labels; END",
    ],
)
def test_verify_finds_a_changed_trigger(tmp_path, sound, sql):
    path = tmp_path / "ledger.sqlite"
    shutil.copy(sound[0], path)
    db = sqlite3.connect(path)
    db.execute(sql)
    db.close()
    assert "trigger" in ledger_check.verify(path).problems[0]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE entries SET body = '{}'",
        "DELETE FROM entries WHERE seq = 8",
        "INSERT OR REPLACE INTO entries SELECT * FROM entries WHERE seq = 3",
        "UPDATE head SET count = 1",
        "DELETE FROM head",
        "UPDATE labels SET label = 0",
        "DELETE FROM labels",
        "INSERT OR REPLACE INTO labels SELECT key, 9, receipt FROM labels",
    ],
)
def test_triggers_refuse_what_would_rewrite_the_past(tmp_path, sound, sql):
    path = tmp_path / "ledger.sqlite"
    shutil.copy(sound[0], path)
    db = sqlite3.connect(path)
    with pytest.raises(sqlite3.DatabaseError):
        db.execute(sql)
    db.close()
    assert ledger_check.verify(path).ok


def test_only_a_head_noted_elsewhere_shows_that_all_was_made_anew(tmp_path, sound):
    path, older = tmp_path / "ledger.sqlite", tmp_path / "older.sqlite"
    with opened(path) as ledger:
        pay(ledger, 1)
        noted = ledger.head
    shutil.copy(path, older)
    with opened(path) as ledger:
        pay(ledger, 2)
        later = ledger.head
    assert ledger_check.verify(path, noted).ok  # it has grown since, and that is all
    assert ledger_check.verify(older).ok  # an older copy looks sound ...
    assert not ledger_check.verify(older, later).ok  # ... but for the noted head
    path.unlink()
    with opened(path) as ledger:
        pay(ledger, 1)
    assert ledger_check.verify(path).ok
    assert "expected head" in ledger_check.verify(path, noted).problems[0]


def test_a_ledger_broken_while_open_is_not_used_any_more(path):
    with opened(path) as ledger:
        pay(ledger, 1)
        pay(ledger, 1)
        db = sqlite3.connect(path, isolation_level=None)
        drop_triggers(db)
        db.execute("DELETE FROM entries WHERE seq = 3")
        db.execute("UPDATE head SET count = 2, hash = (SELECT hash FROM entries WHERE seq = 2)")
        db.close()
        with pytest.raises(LedgerError, match="cannot be trusted"):
            pay(ledger, 1)


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=6), st.integers(0, 5))
def test_a_chain_continues_from_any_of_its_heads(rows, cut):
    entries, head = [], Head()
    for row in rows:
        entries.append(link(head, *row))
        head = Head(entries[-1].seq, entries[-1].hash)
    cut = min(cut, len(entries))
    start = Head(cut, entries[cut - 1].hash) if cut else Head()
    assert first_broken_link(entries[cut:], start) is None
    assert len({entry.hash for entry in entries}) == len(entries)


def as_one_json_text(rows):
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()


@given(st.dictionaries(st.text(max_size=3), st.integers(-1, 9), max_size=12), st.integers(1, 5))
def test_the_digest_of_labels_is_that_of_one_json_text_however_it_is_made(rows, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_cache, "_ROWS_AT_ONCE", at_once)
        assert label_cache.digest(rows.items()) == as_one_json_text(rows.items())


def test_a_ledger_of_several_pieces_and_charges_verifies(ledger, path, monkeypatch):
    monkeypatch.setattr(label_cache, "_ROWS_AT_ONCE", 7)
    keys = [hashlib.sha256(bytes([number])).hexdigest() for number in range(60)]
    for part in (keys[:40], keys[30:]):
        ledger.release(pay(ledger, len(part)), part, np.arange(len(part)) % 3)
    assert ledger.verify().ok
    first, *_ = ledger.entries()[2:3]
    stored = {key: row % 3 for row, key in enumerate(keys[:40])}
    assert first.fields["digest"] == as_one_json_text(stored.items())
    with sqlite3.connect(path) as db:
        db.execute("DROP TRIGGER labels_update")
        db.execute("UPDATE labels SET label = label + 1 WHERE key = ?", (keys[55],))
        problems = list(label_cache.problems(db, ledger.book().releases))
    assert problems == [
        f"the labels of charge {list(ledger.book().releases)[1]} are not those that were released"
    ]

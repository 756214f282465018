"""A coordinator whose disk is full: told in one line, nothing paid twice, the same run goes on."""

import json
from dataclasses import replace

import pytest

from federated import small_run
from fedpate.errors import ConfigError, LedgerError
from fedpate.federation.engines import simulate
from fedpate.federation.settings import Privacy
from fedpate.privacy.ledger import PrivacyLedger
from small_disks import small_disk


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", 2) as disk:
        yield disk


def charges(path):
    with PrivacyLedger.read(path) as ledger:
        book = ledger.book()
        return [(charge.n_queries, book.state(id_)) for id_, (_, charge) in book.charges.items()]


def answered(out):
    return json.loads((out / "summary.json").read_text())["labels"]["answered"]


def test_a_charge_that_cannot_be_written_releases_nothing(tmp_path, disk):
    ledger = disk.path / "ledger.sqlite"
    run = small_run(tmp_path / "store", privacy=Privacy(ledger=str(ledger)))
    simulate(run, tmp_path / "first")
    disk.fill()
    more = replace(run, queries=100)
    with pytest.raises(LedgerError, match=r"cannot be used: .*disk"):
        simulate(more, tmp_path / "second")
    assert not (tmp_path / "second").exists()
    disk.empty()
    assert charges(ledger) == [(20, "released")]
    simulate(more, tmp_path / "second")
    assert charges(ledger) == [(20, "released"), (80, "released")]
    assert answered(tmp_path / "second") == 100


def test_labels_that_cannot_be_written_are_not_released_and_not_paid_for_again(
    tmp_path, disk, monkeypatch
):
    ledger = disk.path / "ledger.sqlite"
    run = small_run(tmp_path / "store", privacy=Privacy(ledger=str(ledger)), queries=100)
    works = PrivacyLedger.release

    def full(*args):
        disk.fill()
        return works(*args)

    monkeypatch.setattr(PrivacyLedger, "release", full)
    with pytest.raises(LedgerError, match="disk is full"):
        simulate(run, tmp_path / "run")
    monkeypatch.undo()
    assert not (tmp_path / "run" / "labels.csv").exists()
    disk.empty()
    assert charges(ledger) == [(100, "open")]
    simulate(run, tmp_path / "run")
    assert charges(ledger) == [(100, "released")]
    assert answered(tmp_path / "run") == 100


@pytest.mark.parametrize("leave", [0, 4096, 12288])
def test_a_run_directory_that_cannot_be_written_is_told_and_its_labels_are_kept(
    tmp_path, disk, leave
):
    ledger = tmp_path / "ledger.sqlite"
    run = small_run(tmp_path / "store", privacy=Privacy(ledger=str(ledger)))
    out = disk.path / "run"
    out.mkdir()
    disk.fill(leave)
    with pytest.raises(ConfigError, match=r"hydra\.run\.dir must be a folder .*No space left"):
        simulate(run, out)
    assert list(out.iterdir()) == []
    disk.empty()
    assert charges(ledger) == [(20, "released")]
    simulate(run, out)
    assert charges(ledger) == [(20, "released")]
    assert answered(out) == 20

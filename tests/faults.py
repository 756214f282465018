"""A real federation on example records, and the ways to hurt it."""

import contextlib
import csv
import json
import os
import signal
import sqlite3
import time
from pathlib import Path

from deployments import Federation
from fedpate.errors import LedgerError
from fedpate.federation.deployment.example import deal
from fedpate.privacy.ledger import PrivacyLedger

PATIENCE_S = 300.0  # for a whole run on a machine that has other things to do
SETTINGS = (
    *("data=csv", "data.label=label", "data.pool_fraction=0.6", "data.test_fraction=0.35"),
    *("teacher=sklearn", "student=sklearn", "teachers_per_hospital=2", "mechanism.noise_scale=8"),
)


class Hurt(Federation):
    """Hospitals with records of their own, and processes that can be stopped and killed."""

    def __init__(self, folder, *hospitals):
        super().__init__(folder, *hospitals)
        deal(folder / "data", hospitals)

    def hospital(self, name, data=None):
        return super().hospital(name, data or self.folder / "data" / f"{name}.csv")

    def deploy(self, out, *settings):
        """A `fedpate deploy` that has been started."""
        public = f"data.path={self.folder / 'data' / 'public.csv'}"
        where = f"hydra.run.dir={self.folder / out}"
        return self.command("deploy", self.home.folder, *SETTINGS, public, where, *settings)

    def summary(self, out):
        return json.loads((self.folder / out / "summary.json").read_text())

    def labels(self, out):
        with (self.folder / out / "labels.csv").open(newline="") as file:
            return {row["query_id"]: row["label"] for row in csv.DictReader(file)}

    def state(self, side):
        return self.out / side / "state"

    def charges(self, side):
        """(queries, state) of every charge in the ledger of the coordinator or of a hospital."""
        path = self.state(side) / "ledger.sqlite"
        if not path.exists():
            return []
        with PrivacyLedger.read(path) as ledger:
            book = ledger.book()
            return [(c.n_queries, book.state(id_)) for id_, (_, c) in book.charges.items()]

    def released(self, side):
        """The labels in a side's ledger, as `labels.csv` has them, in the order of the queries."""
        path = self.state(side) / "ledger.sqlite"
        with contextlib.closing(sqlite3.connect(path)) as ledger:
            rows = ledger.execute("SELECT label FROM labels ORDER BY rowid").fetchall()
        return [str(label) for (label,) in rows]

    def decisions(self, hospital, action):
        """The codes with which a hospital has answered such requests; 0 is an answer."""
        with contextlib.closing(sqlite3.connect(self.state(hospital) / "log.sqlite")) as log:
            rows = log.execute("SELECT body FROM entries WHERE kind = 'decision'").fetchall()
        bodies = [json.loads(body) for (body,) in rows]
        return [body["code"] for body in bodies if body["action"] == action]

    def asked(self, hospital, action):
        """How many such requests have come to a hospital."""
        path = self.state(hospital) / "log.sqlite"
        if not path.exists():
            return 0
        with contextlib.closing(sqlite3.connect(path)) as log:
            rows = log.execute("SELECT body FROM entries WHERE kind = 'request'").fetchall()
        return sum(json.loads(body)["action"] == action for (body,) in rows)

    def teachers(self, hospital):
        """The files of its trained teachers, each with its number on the disk: the same if kept."""
        files = self.state(hospital).joinpath("teachers").rglob("*-*.*")
        return {file.name: file.stat().st_ino for file in files}

    def part(self, side, module):
        """The id of one process of a side."""
        (pid,) = [pid for pid in self.processes_of(side) if module in command_line(pid)]
        return pid

    def processes_of(self, side):
        """The ids of all processes of a side, the ones that they started included."""
        folder = f"{self.out / side}"
        return [pid for pid in self.processes() if f"{folder}\0" in surroundings(pid, folder)]

    def kill(self, side):
        """As when the power fails: every process of it at once."""
        for pid in self.processes_of(side):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def command_line(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def surroundings(pid, folder):
    """Command line and environment, in which a side's folder is followed by a zero byte."""
    with contextlib.suppress(OSError):
        place = Path(f"/proc/{pid}")
        told = (place / "cmdline").read_text() + (place / "environ").read_text()
        return told.replace(f"{folder}/", f"{folder}\0")
    return ""


def until(condition, what):
    """Wait for something that has to happen."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(LedgerError, sqlite3.Error):  # being made just now
            if condition():
                return
        assert time.monotonic() < deadline, what
        time.sleep(0.1)

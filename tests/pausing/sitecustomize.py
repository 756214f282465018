"""Loaded by every Python process that has this folder in its PYTHONPATH: a coordinator that waits.

The folder FEDPATE_TEST_PAUSE holds a file `at` with the name of a moment. A coordinator's process
that reaches it writes `reached` and waits there, to be killed, until `at` is gone.
"""

import os
import sys
import time
from importlib.machinery import PathFinder
from pathlib import Path

FOLDER = os.environ.get("FEDPATE_TEST_PAUSE")


def pause(moment):
    if not sys.argv[0].endswith("server_task.py"):
        return
    at = Path(FOLDER) / "at"
    if at.exists() and at.read_text() == moment:
        (Path(FOLDER) / "reached").touch()
        while at.exists():
            time.sleep(0.05)


def around(works, before=None, after=None):
    def waits(*args, **kwargs):
        if before:
            pause(before)
        found = works(*args, **kwargs)
        if after:
            pause(after)
        return found

    return waits


def in_ledger(module):
    ledger = module.PrivacyLedger
    ledger.charge = around(ledger.charge, before="voted")
    ledger.release = around(ledger.release, before="charged", after="released")


def in_evaluation(module):
    module.train_student = around(module.train_student, before="student")


PATCHES = {"fedpate.privacy.ledger": in_ledger, "fedpate.federation.evaluation": in_evaluation}


class Finder:
    """Finds these modules where they are and changes them once they are loaded."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in PATCHES:
            return None
        spec = PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            PATCHES[name](module)

        spec.loader.exec_module = exec_module
        return spec


if FOLDER:
    sys.meta_path.insert(0, Finder)

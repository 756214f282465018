"""`details.json`, schema 1: what the report shows beyond `summary.json`; null where there is none.

Counts only, never a record. `labels`, `consensus` and `hospitals` are counted in private records
or votes: they exist in a simulation only, and with them `releasable` is false.
"""

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from fedpate.federation import site
from fedpate.federation.settings import Run
from fedpate.federation.side import Side
from fedpate.federation.summary import Outcome
from fedpate.learning.metrics import confusion
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.records import Release, Votes

SCHEMA = 1
PACKAGES = ("fedpate", "flwr", "torch", "scikit-learn", "numpy", "scipy", "dp-accounting")
CONSENSUS_BINS = 20  # of the winning class's share of the votes, over [0, 1]


def detail(run: Run, side: Side, outcome: Outcome, ledger: PrivacyLedger) -> dict[str, Any]:
    """The content of `details.json`."""
    truth, scores = side.truth, outcome.student
    return {
        "schema": SCHEMA,
        "releasable": truth is None,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
        "class_names": None if truth is None else list(truth.dataset.class_names),
        "votes": run.votes,
        "ledger": _ledger(run, ledger),
        "student": None if scores is None else {"confusion": scores.confusion.tolist()},
        "labels": _labels(side, outcome.release),
        "consensus": _consensus(run, side, outcome.votes),
        "hospitals": _hospitals(side, outcome),
    }


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def _ledger(run: Run, ledger: PrivacyLedger) -> dict[str, Any]:
    """The whole ledger's charges as they stand now, and the head that vouches for them."""
    book = ledger.book()
    charges = [
        charge.fields() for id_, (_, charge) in book.charges.items() if id_ not in book.voids
    ]
    kept = ("purpose", "queries", "events")
    return {
        "path": run.privacy.ledger,  # null: in the run directory
        "head": ledger.head,
        "charges": [{key: charge[key] for key in kept} for charge in charges],
    }


def _labels(side: Side, release: Release) -> dict[str, Any] | None:
    """Released labels against the truth, and the true classes of queries without an answer."""
    if side.truth is None:
        return None
    true, answered = side.truth.pool_labels()[release.query_ids], release.answered
    return {
        "confusion": confusion(release.labels[answered], true[answered], side.n_classes).tolist(),
        "unanswered": np.bincount(true[~answered], minlength=side.n_classes).tolist(),
    }


def _consensus(run: Run, side: Side, votes: Votes | None) -> list[int] | None:
    """Queries by the winning class's share of the votes; randomized votes have none."""
    if side.truth is None or votes is None or run.trust == "local":
        return None
    share = votes.counts.max(axis=1) / votes.counts.sum(axis=1)
    return [int(n) for n in np.histogram(share, bins=CONSENSUS_BINS, range=(0, 1))[0]]


def _hospitals(side: Side, outcome: Outcome) -> list[dict[str, Any]] | None:
    """What each hospital holds, and how far it comes alone."""
    truth = side.truth
    if truth is None:
        return None
    home, labels = truth.partition.hospital_of_record, truth.private().labels
    names = [site.simulated_name(hospital) for hospital in range(side.n_hospitals)]
    return [
        {
            "name": name,
            "classes": np.bincount(labels[home == hospital], minlength=side.n_classes).tolist(),
            "teachers": outcome.members.voters.get(name, 0),
            "dropped": name in outcome.members.dropped,
            "accuracy_alone": outcome.alone.get(name),
        }
        for hospital, name in enumerate(names)
    ]

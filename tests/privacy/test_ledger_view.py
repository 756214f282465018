"""The bank statement: what each entry cost, what became of it, what was left."""

import json

import numpy as np

from fedpate.privacy.events import Event, PureDp, repeated
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.privacy.ledger_view import statement


def pure_price(event: Event, delta: float) -> float:
    return sum(count * piece.epsilon for piece, count in event.pieces)


def charge(ledger, purpose, queries, budget):
    events = {
        "patient": repeated(PureDp(0.5), queries),
        "hospital": repeated(PureDp(2.0), queries),
    }
    budgets = {"patient": budget, "hospital": None}
    return ledger.charge(purpose, f"hash of {purpose}", queries, events, 1e-5, budgets)


def test_the_statement_shows_every_movement_and_the_balance_after_it(tmp_path):
    with PrivacyLedger.open(tmp_path / "ledger.sqlite", "test", price=pure_price) as ledger:
        first, second = charge(ledger, "run one", 4, 10.0), charge(ledger, "run two", 6, 10.0)
        charge(ledger, "run three", 2, None)
        ledger.release(first, ["a", "b"], np.array([1, -1]))
        ledger.void(second.id, "no label left the machine", "A. Person")
        rows = json.loads(json.dumps(statement(ledger, 1e-5)))  # plain data, fit for --json
        assert rows[-1]["units"]["patient"]["epsilon"] == ledger.epsilon("patient", 1e-5)
    assert [(row["kind"], row["purpose"], row["state"]) for row in rows] == [
        ("charge", "run one", "released"),
        ("charge", "run two", "voided"),
        ("charge", "run three", "open"),
        ("void", "run two", "voided"),
    ]
    assert [row["units"]["patient"]["epsilon"] for row in rows] == [2.0, 5.0, 6.0, 3.0]
    assert [row["units"]["hospital"]["epsilon"] for row in rows] == [8.0, 20.0, 24.0, 12.0]
    assert [row["units"]["patient"]["left"] for row in rows] == [8.0, 5.0, None, 7.0]
    assert rows[1]["units"]["hospital"]["pieces"] == [{"kind": "pure_dp", "count": 6, "epsilon": 2}]
    assert rows[0]["released"] is not None
    assert rows[1]["released"] is None
    assert (rows[3]["reason"], rows[3]["who"]) == ("no label left the machine", "A. Person")
    assert rows[3]["receipt"] == second.id

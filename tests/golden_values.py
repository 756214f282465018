"""Golden values: numbers from outside this code base, with their sources, in tests/golden/."""

import json
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden"


def golden(file: str, kind: str) -> list[Any]:
    """All values of one kind, as pytest parameters named after them."""
    entries = json.loads((GOLDEN / file).read_text())
    chosen = [entry for entry in entries if entry["name"].split("/")[0] == kind]
    assert chosen, f"no golden value of kind {kind}"
    return [pytest.param(entry, id=entry["name"]) for entry in chosen]


def expected(entry: dict[str, Any]) -> Any:
    """What a golden value should be approximately equal to."""
    return pytest.approx(entry["expected"], **entry["tolerance"])

"""experiments/run_all.py: claims are run again, and what moved is flagged."""

import csv
import importlib.util
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from cli_runs import fedpate
from fedpate import config
from fedpate.report.sweep import flat
from summaries import summary

ROOT = Path(__file__).resolve().parents[1]
SMALL = (
    "hospitals=2 teachers_per_hospital=2 queries=10 teacher.epochs=1 teacher.min_steps=2 "
    "student.epochs=1 student.min_steps=2 baselines=false mechanism.noise_scale=3"
)
CLAIMS = f"""
stands:
  claim: a price looks at no data
  overrides: {SMALL}
  seeds: [0, 1]
  minutes: 1
  recorded:
    labels.asked: [10, 0.1]
moved:
  claim: nobody asked for so many
  overrides: {SMALL}
  seeds: [0]
  minutes: 1
  recorded:
    labels.asked: [100, 5]
fails:
  claim: more queries than records
  overrides: queries=100000
  seeds: [0]
  minutes: 1
  recorded:
    labels.asked: [100000, 5]
elsewhere:
  claim: of data that are not shipped
  overrides: data=mnist
  seeds: [0]
  minutes: 1
  needs: mnist
  recorded:
    student.accuracy: [0.9, 0.1]
long:
  claim: takes an hour
  overrides: {SMALL}
  seeds: [0]
  minutes: 60
  recorded:
    student.accuracy: [0.9, 0.1]
"""


@pytest.fixture(scope="module")
def run_all():
    spec = importlib.util.spec_from_file_location("run_all", ROOT / "experiments" / "run_all.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_moved_failed_or_was_not_run_is_flagged(run_all, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("claims.yaml").write_text(CLAIMS)

    def launch(arguments: list[str]) -> int:
        return fedpate(*arguments).code

    typed = ["--claims", "claims.yaml", "--out", "out", "--minutes", "30"]
    assert run_all.main(typed, launch) == 1
    rows = list(csv.DictReader(Path("out/claims.csv").read_text().splitlines()))
    assert {row["claim"]: row["status"] for row in rows} == {
        "stands": "stands",
        "moved": "moved",
        "fails": "failed",
        "elsewhere": "not run: needs mnist",
        "long": "not run: budget",
    }
    assert rows[0]["seeds"] == "2"
    assert "moved: moved labels.asked: recorded 100 +- 5, measured 10" in capsys.readouterr().out
    ET.fromstring(Path("out/moved.svg").read_text())
    assert Path("out/sweep.csv").is_file()

    assert run_all.main([*typed, "stan*"], launch) == 0
    assert run_all.main([*typed, "nothing*"], launch) == 2


def test_the_recorded_claims_can_be_run_and_name_numbers_that_there_are(run_all):
    claims = run_all.read(run_all.CLAIMS)
    assert len(claims) >= 8
    config.register()
    keys = set(flat(summary()))
    for claim in claims:
        assert re.fullmatch("[a-z0-9_]+", claim.name)
        config.build(config.compose("config", claim.overrides), claim.overrides)
        assert set(claim.recorded) <= keys, claim.name
        assert claim.minutes > 0
        assert all(spread > 0 for _, spread in claim.recorded.values())

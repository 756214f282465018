"""The pages that tell the reader to type something are typed in, block by block, in order."""

import csv
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits

import doc_pages
from cli_runs import fedpate
from doc_pages import DOCS
from fedpate.report.text import epsilon

WALKTHROUGHS = (
    "tutorial.md",
    "howto/install.md",
    *("howto/data.md", "howto/model.md", "howto/budget.md", "howto/sweep.md"),
    "howto/tracking.md",
    "howto/tune.md",
    *("howto/report.md", "howto/audit.md", "howto/ledger.md"),
    "concepts/two-steps.md",
)
# Composed in test_commands, but not run here, and why.
NOT_RUN = {
    "doctor": "what it finds depends on the machine; tests/commands/test_doctor.py",
    "data.path=DIR": "a folder of the reader's images",
    "data.root=DIR": "data sets that are not in the repository",
    "teacher=cnn": "convolutions on two slow cores",
    "seed=0,1,2": "points in other processes: tests/commands/test_sweep.py",
}


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """Teachers are trained once for all pages, as they would be for a reader."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch, store):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(store))
    return tmp_path


@pytest.mark.parametrize("page", WALKTHROUGHS)
def test_everything_on_a_page_works(page):
    ran, planned = 0, ""
    for block in doc_pages.blocks(DOCS / page):
        # A program of the reader's is run by tests/learning/test_own_models.py.
        if block.language == "python" and not block.text.startswith("#!"):
            exec(compile(block.text, page, "exec"), {})
        elif block.language == "text" and planned:
            # The planner draws no noise: what a page shows is what it says.
            for part in block.text.split("[...]"):
                assert _words(part) in planned, f"{page}: fedpate plan says something else now"
        if block.language != "bash":
            continue
        planned = ""
        for args in doc_pages.script(block):
            if not any(word in NOT_RUN for word in args):
                done = fedpate(*args)
                assert done.code == 0, f"{' '.join(args)}: {done.err}"
                ran += 1
                planned += _words(done.out) if args[0] == "plan" else ""
    assert ran


def test_the_tutorial_shows_the_prices_and_the_reference_the_keys_of_a_run():
    assert fedpate("simulate", "hydra.run.dir=first", "baselines=false").code == 0
    summary = json.loads(Path("first/summary.json").read_text())
    tutorial = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    for unit in ("patient", "hospital"):
        assert epsilon(summary["privacy"][unit]["guaranteed"]) in tutorial
    assert keys(summary) == documented_keys()


def test_the_price_of_the_gate_is_the_one_that_the_page_on_two_steps_shows():
    assert (
        fedpate("simulate", "mechanism=confident", "hydra.run.dir=c", "baselines=false").code == 0
    )
    gate = json.loads(fedpate("ledger", "show", "c", "--json").out)["entries"][0]["units"]
    page = (DOCS / "concepts/two-steps.md").read_text(encoding="utf-8")
    for unit in ("patient", "hospital"):
        assert epsilon(gate[unit]["epsilon"]) in page


def test_the_page_on_predicting_works(workplace):
    from PIL import Image

    patients = load_breast_cancer(as_frame=True).data.iloc[:7]
    patients.to_csv("patients.csv", index=False)
    Path("scans").mkdir()
    for number, image in enumerate(load_digits().images[:3]):
        Image.fromarray((image * 255 / 16).astype("uint8")).save(f"scans/{number}.png")
    bash, python = (
        [block for block in doc_pages.blocks(DOCS / "howto/predict.md") if block.language == name]
        for name in ("bash", "python")
    )
    told = [fedpate(*args) for block in bash for args in doc_pages.script(block)]
    assert [done.code for done in told] == [0] * 5, [done.err for done in told]
    assert len(list(csv.DictReader(told[1].out.splitlines()))) == len(json.loads(told[2].out)) == 7
    assert len(Path("predictions.csv").read_text().splitlines()) == 1 + 3

    os.chdir("tumours")
    names = {"records": patients.to_numpy()}
    exec(compile(python[0].text, "predict.md", "exec"), names)
    probabilities = [list(one["probabilities"].values()) for one in json.loads(told[2].out)]
    assert names["probabilities"] == pytest.approx(np.array(probabilities), abs=1e-4)


def test_the_example_in_python_works():
    example = next(b for b in doc_pages.blocks(DOCS / "reference/api.md") if b.language == "python")
    exec(compile(example.text, "reference/api.md", "exec"), {})


def keys(summary: dict[str, object], prefix: str = "") -> set[str]:
    """Dotted names of all numbers."""
    names: set[str] = set()
    for key, value in summary.items():
        dotted = f"{prefix}{key}"
        names |= keys(value, f"{dotted}.") if isinstance(value, dict) and value else {dotted}
    return names


def documented_keys() -> set[str]:
    text = (DOCS / "reference/run-directory.md").read_text(encoding="utf-8")
    table = text.partition("## summary.json")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([\w.]+)` \|", table, re.MULTILINE))


def _words(text: str) -> str:
    return " ".join(text.split())

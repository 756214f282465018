"""`import fedpate`: a simulation in one call, and its parts on numpy arrays."""

import ast
import gc
import json
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

import fedpate
from cli_runs import fedpate as command
from fedpate import accountant, mechanisms
from fedpate.errors import BudgetExceeded, ConfigError, DataError
from fedpate.report import figures, notebook
from fedpate.simulation import _overrides
from summaries import summary

SMALL = {"hospitals": 3, "teachers_per_hospital": 2, "queries": 12, "baselines": False}
HEAVY = {"flwr", "hydra", "matplotlib", "numpy", "omegaconf", "sklearn", "torch"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Teachers of this file, trained once."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, store):
    """A run into a directory that was named."""
    folder = tmp_path_factory.mktemp("run") / "named"
    return fedpate.simulate(
        run_dir=folder, store=store, mechanism={"name": "laplace", "noise_scale": 3}, **SMALL
    )


def test_importing_fedpate_imports_nothing_and_its_parts_no_torch_and_no_flower():
    code = (
        f"import sys, fedpate; dir(fedpate); print(sorted({HEAVY!r} & set(sys.modules)))\n"
        "fedpate.mechanisms, fedpate.accountant, fedpate.plan, fedpate.audit, fedpate.Ledger\n"
        "print(sorted({'torch', 'flwr', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]


def test_every_public_name_is_there_and_no_other():
    for name in fedpate.__all__:
        assert getattr(fedpate, name) is not None
    assert dir(fedpate) == sorted(fedpate.__all__)
    with pytest.raises(AttributeError, match="no attribute 'simulte'"):
        fedpate.simulte  # noqa: B018


def test_a_type_checker_is_told_of_every_name_and_of_its_home():
    tree = ast.parse(Path(fedpate.__file__).read_text(encoding="utf-8"))
    told = {
        name.asname: (node.module, name.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("fedpate")
        for name in node.names
    }
    homes = {
        name: (module, attribute) if attribute else ("fedpate", name)
        for name, (module, attribute) in fedpate._HOMES.items()
    }
    assert told == homes
    assert set(told) | {"__version__"} == set(fedpate.__all__)
    assert (Path(fedpate.__file__).parent / "py.typed").is_file()


def test_a_simulation_gives_numbers_labels_and_a_student(finished):
    assert finished.summary["mechanism"]["name"] == "laplace"
    assert finished.summary["mechanism"]["noise_scale"] == 3
    assert finished.summary["federation"]["hospitals"] == 3
    assert finished.labels.shape == finished.query_ids.shape == (12,)
    assert set(finished.labels) <= {-1, 0, 1}
    records = load_breast_cancer().data[:5]
    assert finished.student.predict(records).shape == (5, 2)
    assert finished.report.is_file()
    assert "patient epsilon" in repr(finished)
    assert "(delta 1e-05)" in repr(finished)


def test_the_directory_is_like_the_command_lines(finished, tmp_path, store, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = command(
        *("simulate", "mechanism=laplace", "mechanism.noise_scale=3", "hydra.run.dir=here"),
        *(f"{key}={str(value).lower()}" for key, value in SMALL.items()),
        *(f"store={store}", "--json"),
    )
    assert shown.code == 0, shown.err
    theirs, ours = fedpate.load("here"), finished
    assert json.loads(shown.out) == theirs.summary
    for key in ("federation", "data", "mechanism"):
        assert ours.summary[key] == theirs.summary[key]
    for unit in ("patient", "hospital"):
        assert (
            ours.summary["privacy"][unit]["guaranteed"]
            == (theirs.summary["privacy"][unit]["guaranteed"])
        )
    files = {path.name for path in theirs.folder.iterdir()} - {"fedpate.log"}
    assert {path.name for path in ours.folder.iterdir()} == files
    assert command("ledger", "verify", ours.folder).code == 0
    assert command("audit", ours.folder, "canaries=nought").err.endswith("got 'nought'\n")
    from fedpate.commands._recorded import recorded_run

    with recorded_run(ours.folder) as run:
        assert run.mechanism == mechanisms.LaplaceMax(3.0)
        assert run.hospitals == 3


def test_a_temporary_directory_goes_with_its_result(store):
    result = fedpate.simulate(store=store, **SMALL)
    folder = result.folder
    assert (folder / "ledger.sqlite").is_file()
    assert folder.stat().st_mode & 0o077 == 0
    del result
    gc.collect()
    assert not folder.exists()


def test_what_is_refused_leaves_nothing(tmp_path, store):
    with pytest.raises(BudgetExceeded, match="patient epsilon would reach"):
        fedpate.simulate(
            run_dir=tmp_path / "run", store=store, privacy={"budget": {"patient": 0.01}}, **SMALL
        )
    assert not (tmp_path / "run").exists()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="run_dir must be a folder that can be written"):
        fedpate.simulate(run_dir=tmp_path / "file" / "run", store=store, **SMALL)


def test_a_directory_with_a_finished_run_survives_a_refused_one(finished, store):
    before = sorted(finished.folder.rglob("*"))
    with pytest.raises(ConfigError, match="hospitals"):
        fedpate.simulate(run_dir=finished.folder, store=store, **{**SMALL, "hospitals": 10**6})
    assert sorted(finished.folder.rglob("*")) == before


def test_a_run_checks_itself_if_it_was_told_to(store, capsys):
    fedpate.simulate(store=store, audit={"leave_one_out": True}, **SMALL)
    assert "one patient left out: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"hospitls": 3}, "hospitls is not a setting; did you mean hospitals?"),
        ({"hospitals": 0}, "hospitals must be a whole number >= 1, got 0"),
        ({"hospitals": "ten"}, "hospitals must be a whole number, got 'ten'"),
        ({"mechanism": "gnmx"}, "mechanism must be one of .* did you mean gnmax?"),
        ({"mechanism": {"noise": 3}}, r"mechanism.noise is not a setting of mechanism=gnmax"),
        ({"mechanism": {"name": "laplace", "threshold": 3}}, "not a setting of mechanism=laplace"),
        ({"mechanism.noise_scale": -2}, "mechanism.noise_scale must be finite and > 0, got -2.0"),
        ({"data": object()}, "data must be a number, a text, .* got object"),
        ({"data": {"path": b"x"}}, "data.path must be a number, a text, .* got bytes"),
        ({"data": "csv"}, "data.path must be given"),
        ({"+shadow": 1}, "shadow is not a setting"),
        ({"hydra": {"run": {"dir": "x"}}}, "here there is run_dir"),
        (
            {"mechanism": {"noise_scale": 3}, "privacy": {"target_epsilon": 1}},
            "mechanism.noise_scale and privacy.target_epsilon must not both be given",
        ),
    ],
)
def test_a_setting_is_refused_in_the_words_of_the_command_line(settings, line):
    with pytest.raises(ConfigError, match=line):
        fedpate.simulate(**settings)


@pytest.mark.parametrize(
    ("value", "typed"),
    [
        (None, "null"),
        (True, "true"),
        (3, "3"),
        (1e-6, "1e-06"),
        (np.int64(3), "3"),
        (np.float32(0.5), "0.5"),
        ("gnmax", "gnmax"),
        ("null", "'null'"),
        ("1e3", "'1e3'"),
        ("a, b's", r"'a, b\'s'"),
        ([32, 16], "[32,16]"),
        (("a b", 1), "['a b',1]"),
    ],
)
def test_values_are_typed_as_a_user_would_type_them(value, typed):
    assert list(_overrides("", {"x": {"y": value}})) == [f"x.y={typed}"]


def test_a_groups_option_comes_before_its_settings():
    nested = {"mechanism": {"noise_scale": 2, "name": "laplace"}}
    assert list(_overrides("", nested)) == ["mechanism=laplace", "mechanism.noise_scale=2"]


def test_every_epsilon_in_a_notebook_has_its_unit_and_delta():
    told = summary()
    html = notebook.fragment(told)
    header = html[html.index("privacy unit") : html.index("</thead>", html.index("privacy unit"))]
    assert "guaranteed epsilon" in header
    assert '<th scope="col">delta</th>' in header
    assert "not releasable" in header
    for unit, epsilon in (("patient", "7.13"), ("hospital", "60.01")):  # rounded up
        row = next(line for line in html.splitlines() if f">{unit}</td>" in line)
        assert f"<b>{epsilon}</b>" in row
        assert "<td>1e-05</td>" in row
    told["data"]["name"] = "<script>"
    told["mechanism"]["guarantee"] = False
    html = notebook.fragment(told)
    assert "<script" not in html
    assert "seeded noise: no guarantee" in html


def test_a_plot_shows_both_units_and_opens_no_window():
    told = summary()
    told["privacy"]["hospital"]["guaranteed"] = float("inf")
    figure = figures.run(told)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts[-2:] == ["7.13", "infinite"]
    assert figure.axes[1].get_title() == "guaranteed epsilon, delta 1e-05"
    assert figure._repr_svg_().startswith("<?xml")
    assert plt.get_fignums() == []


def test_a_folder_that_is_no_run_is_refused_by_load(tmp_path):
    with pytest.raises(ConfigError, match="must be the directory of a finished run"):
        fedpate.load(tmp_path)
    told = {**summary(), "labels": {**summary()["labels"], "answered": 0}}
    (tmp_path / "summary.json").write_text(json.dumps(told))
    with pytest.raises(DataError, match="no query was answered"):
        _ = fedpate.load(tmp_path).student


COUNTS = np.array([[45, 5, 0], [20, 25, 5], [0, 0, 50]])


def test_votes_in_an_array_become_labels():
    quiet = mechanisms.GaussianMax(noise_scale=0.1)
    assert mechanisms.release(COUNTS, quiet).tolist() == [0, 1, 2]
    assert mechanisms.release(COUNTS.astype(float), quiet).tolist() == [0, 1, 2]
    strict = mechanisms.ConfidentMax(0.1, threshold=40, threshold_noise_scale=0.1)
    assert mechanisms.release(COUNTS, strict).tolist() == [0, mechanisms.NO_ANSWER, 2]
    with pytest.raises(DataError, match="each row of counts must sum to the same number"):
        mechanisms.release(COUNTS[:, :2], quiet)


def test_the_accountant_prices_both_units_and_calibrates_back():
    gnmax = mechanisms.GaussianMax(noise_scale=40)
    price = accountant.price(gnmax, queries=100, classes=10, teachers_per_hospital=25)
    assert price.patient.epsilon < 1.17
    assert price.hospital.epsilon > 25 * price.patient.epsilon
    back = accountant.calibrate(gnmax, price.patient.epsilon, queries=100, classes=10)
    assert back.noise_scale == pytest.approx(40, rel=1e-3)
    told = accountant.account(COUNTS, gnmax, teachers_per_hospital=5).to_json()
    assert told["epsilon"]["hospital"]["guaranteed"] > told["epsilon"]["patient"]["guaranteed"]
    with pytest.raises(ConfigError, match="classes must be a whole number >= 2, got 1"):
        accountant.price(gnmax, queries=1, classes=1)
    with pytest.raises(ConfigError, match="mechanism=none has no noise to set"):
        accountant.calibrate(mechanisms.NoNoise(), 1.0, queries=1, classes=2)


def test_a_plan_from_a_pilot_in_an_array_and_from_nothing():
    pilot = fedpate.plan(labels=20, classes=3, votes=COUNTS, target_epsilon=5)
    assert pilot.best.epsilon["patient"] <= 5
    assert "pilot" in pilot.remarks[0]
    plain = fedpate.plan(labels=20, target_epsilon=5)
    assert plain.question.teachers_each == 5
    first, *rest = str(plain).splitlines()
    assert repr(plain) == f"<Plan: {first}>"
    assert "per patient" in first
    assert "per hospital (delta 1e-05)" in first
    assert rest == list(plain.remarks)
    out_of_reach = fedpate.plan(hospitals=2, teachers_per_hospital=1, label_accuracy=0.99)
    assert repr(out_of_reach) == "<Plan: nothing reaches what was asked for>"


def test_an_audit_holds_the_claim_against_samples():
    found = fedpate.audit(mechanisms.LaplaceMax(1.0), classes=2, teachers=5, trials=500, queries=1)
    assert found.passed
    assert found.lower_bound <= found.claimed <= 2.0

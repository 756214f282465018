"""The command line: verbs, help, exit codes, one line per refusal."""

import contextlib
import importlib
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from cli_runs import fedpate
from fedpate import cli
from fedpate._environment import ENVIRONMENT
from fedpate.commands import _output
from fedpate.errors import BudgetExceeded, EngineError
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.privacy.mechanisms import GaussianMax

HEAVY = {"flwr", "hydra", "jinja2", "matplotlib", "numpy", "omegaconf", "rich", "sklearn", "torch"}


@pytest.fixture
def ledger(tmp_path):
    path = tmp_path / "ledger.sqlite"
    mechanism = GaussianMax(10.0)
    events = {"patient": mechanism.event(10, 1, 10), "hospital": mechanism.event(10, 5, 10)}
    with PrivacyLedger.open(path, "ten hospitals") as opened:
        receipt = opened.charge("a run", "ab", 10, events, 1e-5, {"patient": 5.0})
        opened.release(receipt, [f"key{i}" for i in range(10)], np.arange(10))
    return path


def only_line(text: str) -> str:
    assert text.count("\n") == 1
    assert text.endswith("\n")
    return text[:-1]


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_verb(args):
    shown = fedpate(*args)
    assert shown.code == 0
    for verb, does in cli.VERBS.items():
        assert f"  {verb} " in shown.out
        assert does in shown.out


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_teaches_with_examples(verb):
    shown = fedpate(verb, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"usage: fedpate {verb}")
    assert f"\n  fedpate {verb}" in shown.out.partition("examples")[2]
    assert max(map(len, shown.out.splitlines())) <= 100


def test_help_imports_nothing_heavy_so_it_answers_at_once():
    code = (
        "import sys; from fedpate.cli import VERBS, main\n"
        "main(['--help']); [main([verb, '--help']) for verb in VERBS]\n"
        f"print('HEAVY', sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_python_m_fedpate_is_fedpate():
    done = subprocess.run(
        [sys.executable, "-m", "fedpate", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == fedpate("--version").out


def test_an_unknown_verb_gets_a_suggestion():
    refused = fedpate("simulat")
    assert refused.code == 2
    assert only_line(refused.err) == "fedpate: 'simulat' is not a verb; did you mean simulate?"
    assert only_line(fedpate("frobnicate").err).endswith(", ".join(cli.VERBS))
    line = only_line(fedpate("hospitals=20", "simulate").err)
    assert line.endswith("is not a verb; a verb comes first: fedpate simulate hospitals=20")


def test_help_for_a_verb_is_the_verbs_help():
    assert fedpate("help", "plan").out == fedpate("plan", "--help").out


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (BudgetExceeded("patient", 3, 2, 1e-5), 3, "patient epsilon would reach 3.000"),
        (EngineError("Flower went away"), 1, "Flower went away"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_stops_a_verb_is_one_line_and_an_exit_code(monkeypatch, error, code, line):
    from fedpate.commands import report

    def stop(args):
        raise error

    monkeypatch.setattr(report, "main", stop)
    stopped = fedpate("report", "x")
    assert stopped.code == code
    assert only_line(stopped.err).startswith(f"fedpate report: {line}")


@pytest.mark.parametrize("verb", cli.VERBS)
def test_ctrl_c_ends_every_verb_in_one_line(monkeypatch, verb):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module(f"fedpate.commands.{verb}"), "main", interrupted)
    stopped = fedpate(verb)
    assert (stopped.code, stopped.out) == (130, "")
    assert only_line(stopped.err) == f"fedpate {verb}: interrupted"


def test_ctrl_c_while_a_verb_is_still_being_imported_is_no_traceback(monkeypatch):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib, "import_module", interrupted)
    assert only_line(fedpate("plan").err) == "fedpate plan: interrupted"


def test_a_bug_keeps_its_traceback(monkeypatch):
    from fedpate.commands import report

    monkeypatch.setattr(report, "main", lambda args: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        fedpate("report", "x")


def test_nobody_is_told_and_nothing_installed_by_default(monkeypatch):
    for key in ENVIRONMENT:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    fedpate("report", "--help")
    code = (
        "import os; from fedpate import cli; from fedpate._environment import ENVIRONMENT;"
        "cli.main(['report', '--help']);"
        "print([os.environ[key] for key in ENVIRONMENT])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    values = dict(zip(ENVIRONMENT, eval(done.stdout.splitlines()[-1]), strict=True))
    assert values["FLWR_TELEMETRY_ENABLED"] == "0"
    assert values["RAY_USAGE_STATS_ENABLED"] == "1"  # the user's own word counts


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (
            ["ledger", "shwo", "x"],
            "show|verify must be one of show, verify, got 'shwo'; did you mean show?",
        ),
        (["ledger", "show", "x", "--jsn"], "--jsn is not an option; did you mean --json?"),
        (["ledger", "show", "no/such"], "PATH must be a ledger or a run directory with one"),
        (["report", "no/such"], "RUN_DIR must be the directory of a finished run"),
        (["report", "a", "--out", "b"], "--out is for a comparison: give at least two RUN_DIR"),
        (["report"], "RUN_DIR must be given; see --help"),
        (["ledger"], "show|verify, PATH must be given; see --help"),
        (["simulate", "hospitals", "20"], "'hospitals' is not of the form KEY=VALUE, such as"),
        (["simulate", "--jsn"], "--jsn is not an option; did you mean --json?"),
        (
            ["audit", "--trials", "5"],
            "--trials is not an option; settings are written trials=VALUE",
        ),
        (
            ["simulate", "--hospitals=20"],
            "--hospitals=20 is not an option; settings are written ho",
        ),
        (["audit", "no/such"], "RUN_DIR must be the directory of a simulation that finished"),
        (["plan", "file.npy"], "this verb takes settings of the form KEY=VALUE only"),
        (["plan", "labels=0"], "labels must be a whole number >= 1, got 0"),
        (["plan", "pilot=no.npy"], "pilot must be a file with vote counts, no.npy is not there"),
        (["account"], "this verb takes one VOTES, got none"),
        (["account", "no.npy"], "VOTES must be a file with vote counts, no.npy is not there"),
        (["audit", "hospitals=0"], "hospitals must be a whole number >= 1, got 0"),
        (["audit", "mechanism=gnmx"], "mechanism must be one of"),
        (["audit", "privacy.delta=2"], "privacy.delta must be in (0, 1), got 2.0"),
        (["sensitivity"], "this verb takes one FILE, got none"),
        (["sensitivity", "a", "b"], "this verb takes one FILE, got 'a' and 'b'"),
        (["sensitivity", "a.csv"], "query must be given"),
        (["sensitivity", "a.csv", "query=sum"], "column must be given for query=sum"),
        (["sensitivity", "a.csv", "query=votes"], "classes must be given for query=votes"),
        (["sensitivity", "no.csv", "query=sum", "column=x"], "FILE=no.csv must be a file"),
        (["bundle", "dir", "queries=0"], "queries must be a whole number >= 1, got 0"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(args, line):
    refused = fedpate(*args)
    assert refused.code == 2
    assert refused.out == ""
    assert only_line(refused.err).startswith(f"fedpate {args[0]}: {line}")


def test_a_ledger_is_shown_as_a_statement_and_as_json(ledger):
    shown = fedpate("ledger", "show", ledger.parent)
    assert shown.code == 0
    assert "a run" in shown.out
    assert "replace_one, delta 1e-05" in shown.out
    told = json.loads(fedpate("ledger", "show", ledger, "--json").out)
    units = told["entries"][0]["units"]
    assert units["patient"]["epsilon"] < units["hospital"]["epsilon"]
    stricter = json.loads(fedpate("ledger", "show", ledger, "--json", "--delta", "1e-6").out)
    assert stricter["entries"][0]["units"]["patient"]["epsilon"] > units["patient"]["epsilon"]


def test_a_pipe_gets_no_escape_codes_and_a_terminal_without_colour_none_of_colour(
    ledger, monkeypatch
):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert "\x1b" not in fedpate("ledger", "show", ledger).out
    colour = re.compile(r"\x1b\[[\d;]*3[1-8]")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    for value, coloured in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", value)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            _output.stdout().print("[red]seeded noise: no guarantee[/]")
        assert bool(colour.search(out.getvalue())) == coloured


def test_a_ledger_is_verified_against_a_head_noted_elsewhere(ledger):
    sound = json.loads(fedpate("ledger", "verify", ledger, "--json").out)
    assert sound["ok"]
    assert fedpate("ledger", "verify", ledger, "--head", sound["head"]).code == 0
    for flag in ([], ["--json"]):
        refused = fedpate("ledger", "verify", ledger, "--head", "00" * 32, *flag)
        assert refused.code == 2
    assert json.loads(refused.out)["problems"]


def test_an_audit_prints_claim_and_bound_and_catches_half_the_noise(monkeypatch):
    args = ["audit", "mechanism=laplace", "mechanism.noise_scale=1", "trials=2000", "--json"]
    passed = fedpate(*args)
    assert passed.code == 0
    told = json.loads(passed.out)
    assert told["passed"]
    assert all(row["lower_bound"] <= row["claimed"] for row in told["findings"])

    from fedpate.privacy.mechanisms import LaplaceMax

    honest = LaplaceMax.release
    monkeypatch.setattr(
        LaplaceMax,
        "release",
        lambda self, votes, entropy, student=None: honest(
            LaplaceMax(self.noise_scale / 2), votes, entropy
        ),
    )
    caught = fedpate(*args)
    assert caught.code == 3
    assert not json.loads(caught.out)["passed"]
    assert only_line(caught.err).startswith("fedpate audit: mechanism=laplace: the samples contra")


def test_sensitivity_of_a_column_and_of_votes(tmp_path):
    table = tmp_path / "patients.csv"
    table.write_text("age,sex\n63,1\n50,0\n71,1\n")
    args = ["sensitivity", table, "query=mean", "column=age", "lower=0", "upper=120", "epsilon=1"]
    told = json.loads(fedpate(*args, "--json").out)
    assert told["empirical_sensitivity"] == pytest.approx(17 / 3)
    assert told["theoretical_bound"] == 40
    assert "bound holds" in fedpate(*args).out
    votes = tmp_path / "votes.npy"
    np.save(votes, np.array([[1, 1, 0], [2, 2, 2]]))
    told = json.loads(fedpate("sensitivity", votes, "query=votes", "classes=3", "--json").out)
    assert told["pivotal_queries"] == [0]


def test_a_bundle_names_the_installed_package_and_nothing_secret(tmp_path):
    made = fedpate("bundle", tmp_path / "app", "hospitals=3", "noise_seed=12345", "--json")
    assert made.code == 0
    assert any("num-supernodes=3" in command for command in json.loads(made.out)["commands"])
    project = (tmp_path / "app" / "pyproject.toml").read_text()
    assert "fedpate.federation.client_app:app" in project
    assert "12345" not in project
    assert (tmp_path / "app" / "settings.run").stat().st_mode & 0o077 == 0


VOTES = np.array([[40, 10, 0], [30, 20, 0], [50, 0, 0], [17, 17, 16]])


@pytest.mark.parametrize("kind", ["npy", "npz", "one.npz", "csv", "headed.csv", "folder"])
def test_every_kind_of_votes_file_is_accounted_alike(tmp_path, kind):
    path = tmp_path / f"votes.{kind}"
    if kind == "npy":
        np.save(path, VOTES)
    elif kind == "folder":
        path.mkdir()
        np.savez(path / "votes.npz", counts=VOTES, query_ids=np.arange(4))
    elif kind == "npz":
        np.savez(path, counts=VOTES, query_ids=np.arange(4))
    elif kind == "one.npz":
        np.savez(path, votes=VOTES)
    else:
        np.savetxt(
            path, VOTES, fmt="%d", delimiter=",", header="a,b,c" * ("head" in kind), comments=""
        )
    args = ["account", path, "mechanism=gnmax", "mechanism.noise_scale=10", "--json"]
    told = json.loads(fedpate(*args, "teachers_per_hospital=5").out)
    assert (told["queries"], told["teachers"], told["classes"]) == (4, 50, 3)
    patient, hospital = told["epsilon"]["patient"], told["epsilon"]["hospital"]
    assert patient["guaranteed_bound"] == "argmax_only"
    assert patient["guaranteed"] < patient["gaussian"]
    assert patient["guaranteed"] < hospital["guaranteed"]
    assert json.loads(fedpate(*args, "queries=2").out)["queries"] == 2


@pytest.mark.parametrize(
    ("votes", "line"),
    [
        ([[3, -1], [1, 1]], ">= 0"),
        ([[3, 1], [1, 1]], "must sum to the same number of teachers"),
        ([[np.nan, 1], [1, 1]], "finite (no NaN)"),
        ([[0.5, 1.5], [1, 1]], "whole numbers"),
    ],
)
def test_votes_that_are_none_are_one_clear_line(tmp_path, votes, line):
    path = tmp_path / "votes.npy"
    np.save(path, np.array(votes))
    refused = fedpate("account", path)
    assert refused.code == 2
    assert line in only_line(refused.err)


@pytest.mark.parametrize("name", ["votes.npy", "votes.npz", "votes.csv"])
def test_a_votes_file_that_is_something_else_is_one_clear_line(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"neither, and\nnothing of this kind\x00")
    refused = fedpate("account", path)
    assert refused.code == 2
    assert str(path) in only_line(refused.err)
    assert "nothing of this kind" not in refused.err


def test_more_queries_than_rows_and_plots(tmp_path):
    path = tmp_path / "votes.npy"
    np.save(path, VOTES)
    assert "queries must be at most 4" in only_line(fedpate("account", path, "queries=5").err)
    shown = fedpate("account", path, f"out={tmp_path / 'plots'}")
    assert "NOT RELEASABLE" in shown.out
    for name in ("epsilon.svg", "consensus.svg"):
        assert "not releasable" in (tmp_path / "plots" / name).read_text()
    (tmp_path / "file").touch()
    refused = fedpate("account", path, f"out={tmp_path / 'file'}")
    assert "out must be a file that can be written" in only_line(refused.err)


@pytest.mark.data
def test_the_published_votes_cost_what_the_papers_say(pate_votes):
    told = json.loads(
        fedpate(
            *("account", pate_votes, "mechanism=confident", "mechanism.threshold=200"),
            *("mechanism.threshold_noise_scale=150", "mechanism.noise_scale=40"),
            *("queries=640", "privacy.delta=1e-5", "--json"),
        ).out
    )
    assert told["answered"]["expected"] == pytest.approx(282.72, abs=0.01)
    patient = told["epsilon"]["patient"]
    assert patient["data_dependent"]["published_classic"] == pytest.approx(1.999, abs=0.002)
    assert patient["data_dependent"]["published"] == pytest.approx(1.712, abs=0.002)
    assert patient["data_dependent"]["exact"] <= 0.93
    assert patient["guaranteed"] <= 2.15
    assert patient["gaussian"] == pytest.approx(2.527, abs=0.005)
    assert patient["sanitized"]["mean"] == pytest.approx(2.516, abs=0.05)


def test_a_plan_finds_a_way_and_says_when_there_is_none():
    told = json.loads(fedpate("plan", "labels=50", "privacy.target_epsilon=5", "--json").out)
    assert told["best"]["epsilon"]["patient"] <= 5
    alone = fedpate("plan", "hospitals=10", "teachers_per_hospital=1", "labels=100")
    assert "Nothing useful exists" in alone.out
    assert "teachers per hospital" in alone.out


def test_a_plan_from_a_pilot_and_its_picture(tmp_path):
    path = tmp_path / "votes.npy"
    np.save(path, VOTES)
    picture = tmp_path / "frontier.svg"
    done = fedpate("plan", f"pilot={path}", "classes=3", f"plot={picture}", "labels=20")
    assert done.code == 0
    assert "guaranteed epsilon per patient, delta 1e-05" in picture.read_text()

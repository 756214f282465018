"""`fedpate tune`: a search that goes on, over publishable epsilons only."""

import json
from pathlib import Path

import pytest

from cli_runs import SMALL, fedpate
from fedpate.commands._search import Space
from fedpate.errors import ConfigError
from fedpate.learning import extras

pytestmark = pytest.mark.usefixtures("workplace")


def test_a_search_leaves_a_front_and_goes_on_where_it_stopped():
    pytest.importorskip("optuna")
    search = ("tune", *SMALL, "mechanism=gnmax,laplace", "mechanism.noise_scale=interval(2,20)")
    done = fedpate(*search, "--trials", 2, "--seeds", "0,1")
    assert done.code == 0, done.err
    assert "no trial beats these in both; delta 1e-05" in done.out
    assert len(list(Path("tune").glob("*/*/summary.json"))) == 4
    assert Path("tune/pareto.svg").is_file()

    more = fedpate(*search, "--trials", 3, "--seeds", "0,1", "--json")
    assert more.code == 0, more.err
    told = json.loads(more.out)
    assert told["finished"] == 3
    assert told["epsilon"] == "guaranteed"
    assert len(list(Path("tune").glob("*/*/summary.json"))) == 6
    for point in told["front"]:
        runs = [json.loads(path.read_text()) for path in Path(point["run"]).glob("*/summary.json")]
        prices = [run["privacy"]["patient"]["guaranteed"] for run in runs]
        assert point["epsilon"] == pytest.approx(sum(prices) / 2)
        students = [run["student"]["accuracy"] for run in runs]
        assert point["student"] == pytest.approx(sum(students) / 2)
    for point in told["front"]:
        assert not [
            other
            for other in told["front"]
            if other["student"] > point["student"] and other["epsilon"] < point["epsilon"]
        ]


def test_a_trial_without_a_guarantee_or_refused_is_no_result():
    pytest.importorskip("optuna")
    done = fedpate("tune", *SMALL, "mechanism=none,none", "--trials", 1, "--json")
    assert done.code == 0
    assert "no guarantee, so no price to compare" in done.err
    assert json.loads(done.out)["front"] == []
    done = fedpate("tune", *SMALL, "queries=choice(100000,100000)", "--trials", 1, "--out", "b")
    assert done.code == 0
    assert "queries must be" in done.err


REFUSED = {
    "the data-dependent epsilon": (["--epsilon", "data_dependent"], "may not be published"),
    "seeded noise": (["noise_seed=1"], "noise_seed must not be set"),
    "seeds": (["seed=1"], "--seeds says"),
    "no seeds": (["--seeds", "a"], "--seeds must be whole numbers"),
    "no trials": (["--trials", "0"], "--trials must be"),
    "an unknown option": (["--trails", "3"], "did you mean --trials"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_line(case, workplace):
    pytest.importorskip("optuna")
    typed, line = REFUSED[case]
    refused = fedpate("tune", "queries=5,10", *typed)
    assert refused.code == 2
    assert line in refused.err
    assert refused.err.count("\n") == 1
    assert list(workplace.iterdir()) == []


def test_a_missing_optuna_names_the_command(monkeypatch):
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda _: None)
    refused = fedpate("tune", "queries=5,10")
    assert refused.code == 2
    assert "pip install 'fedpate[tune]'" in refused.err


class Trial:
    """Optuna's trial, which notes what it was asked."""

    def suggest_int(self, key, low, high, *, step=1):
        return f"int {low} {high} {step}"

    def suggest_float(self, key, low, high, *, log=False):
        return f"float {low} {high} {log}"

    def suggest_categorical(self, key, values):
        return f"one of {values}"


def test_ranges_are_read_in_hydras_grammar():
    space = Space(
        [
            "hospitals=3",
            "mechanism=gnmax,laplace",
            "queries=range(50,301,50)",
            "privacy.target_epsilon=tag(log,interval(0.5,8))",
        ]
    )
    assert space.suggest(Trial()) == [
        "hospitals=3",
        "mechanism=one of ['gnmax', 'laplace']",
        "queries=int 50 300 50",
        "privacy.target_epsilon=float 0.5 8.0 True",
    ]
    with pytest.raises(ConfigError, match="something to choose from"):
        Space(["hospitals=3"])
    with pytest.raises(ConfigError, match="low < high"):
        Space(["a=interval(8,1)"]).suggest(Trial())

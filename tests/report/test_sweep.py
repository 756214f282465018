"""Runs side by side: rows, groups over seeds, the front, the table and the pictures."""

import csv
import io
import json
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from fedpate.report import sweep, sweep_plots, sweep_table
from fedpate.report.sweep import Row
from summaries import summary


def row(name="0", mechanism="gnmax", epsilon=2.0, student=0.8, seed=0, guarantee=True, **settings):
    """A run's row, from a summary with these numbers."""
    made = summary()
    made["seed"], made["student"]["accuracy"] = seed, student
    made["mechanism"] |= {"name": mechanism, "guarantee": guarantee}
    made["privacy"]["patient"]["guaranteed"] = epsilon
    values = sweep.flat(made)
    typed = {"data": "digits", "mechanism": mechanism, "seed": str(seed), **settings}
    return Row(name, typed, values)


def test_runs_that_differ_in_their_seeds_are_one_group_with_mean_and_deviation():
    found = sweep.groups(
        [row(student=0.7, seed=0), row(student=0.9, seed=1), row(mechanism="laplace", epsilon=4.0)]
    )
    assert [dict(group.settings) for group in found] == [
        {"mechanism": "gnmax"},
        {"mechanism": "laplace"},
    ]
    number = found[0].number(sweep.STUDENT)
    assert number.mean == pytest.approx(0.8)
    assert number.deviation == pytest.approx(0.2 / 2**0.5)
    assert found[1].number(sweep.STUDENT).deviation is None
    assert found[0].number("student.auc").mean is None


def test_a_failed_run_is_a_row_and_in_no_group():
    failed = Row("1", {"mechanism": "gnmax"}, {}, "queries must be at most 10, got 11")
    lines = list(csv.DictReader(io.StringIO(sweep.as_csv([row(), failed]))))
    assert [line["error"] for line in lines] == ["", "queries must be at most 10, got 11"]
    assert lines[0]["privacy.patient.guaranteed"] == "2.0"
    assert lines[0]["settings.mechanism"] == "gnmax"
    assert lines[0]["privacy.hospital.budget"] == ""
    assert lines[0]["federation.dropped"] == "[]"
    assert lines[1]["student.accuracy"] == ""
    assert len(sweep.groups([row(), failed])) == 1
    assert set(sweep.flat(summary())) <= set(lines[0])


def test_the_front_is_what_nothing_beats_in_both():
    groups = sweep.groups(
        [
            row(student=0.5, epsilon=1.0, mechanism="a"),
            row(student=0.5, epsilon=0.5, mechanism="b"),  # beats a
            row(student=0.9, epsilon=4.00001, mechanism="c"),
            row(student=0.8, epsilon=4.00009, mechanism="d"),  # stated as the same price as c
            row(student=0.7, epsilon=5.0, mechanism="e"),
            row(student=1.0, epsilon=0.1, mechanism="f", guarantee=False),
            row(student=1.0, epsilon=float("inf"), mechanism="none", guarantee=False),
        ]
    )
    assert [group.settings["mechanism"] for group in sweep.front(groups)] == ["b", "c"]


def test_a_line_joins_points_that_differ_in_price_only():
    groups = sweep.groups(
        [
            row(epsilon=4.0, **{"privacy.target_epsilon": "4", "teacher": "mlp"}),
            row(epsilon=1.0, **{"privacy.target_epsilon": "1", "teacher": "mlp"}),
            row(epsilon=1.0, **{"privacy.target_epsilon": "1", "teacher": "sklearn"}),
        ]
    )
    found = sweep.curves(groups)
    assert list(found) == ["gnmax, teacher=mlp", "gnmax, teacher=sklearn"]
    first = [group.number("privacy.patient.guaranteed").mean for group in found[next(iter(found))]]
    assert first == [1.0, 4.0]


def test_the_pictures_are_the_same_bytes_and_say_what_is_not_guaranteed():
    groups = sweep.groups(
        [
            row(epsilon=1.0, seed=0, **{"privacy.target_epsilon": "1"}),
            row(epsilon=1.0, seed=1, student=0.7, **{"privacy.target_epsilon": "1"}),
            row(epsilon=8.0, **{"privacy.target_epsilon": "8"}),
            row(epsilon=float("inf"), mechanism="none", guarantee=False),
        ]
    )
    pictures = sweep_plots.pictures(groups)
    assert sorted(pictures) == ["labels.svg", "pareto.svg", "student.svg"]
    assert pictures == sweep_plots.pictures(groups)
    for picture in pictures.values():
        ET.fromstring(picture)
        assert "guaranteed epsilon per patient, delta 1e-05" in picture
        assert "some runs have no guarantee" in picture
    assert "Pareto front" in pictures["pareto.svg"]
    assert "none" in pictures["student.svg"]
    assert sweep_plots.pictures([]) == {}


@pytest.mark.parametrize(
    ("epsilons", "ticks"),
    [
        ((0.5, 1, 8), {"0.5", "1", "8"}),  # few: the points themselves
        ([0.3 * 1.4**place for place in range(12)], {"0.5", "1", "2", "5", "10"}),
        ([3.1 + place / 20 for place in range(12)], {"3.2", "3.4"}),
    ],
)
def test_epsilons_on_an_axis_are_plain_numbers(epsilons, ticks):
    groups = sweep.groups(
        [row(epsilon=float(x), **{"privacy.target_epsilon": str(x)}) for x in epsilons]
    )
    picture = sweep_plots.pictures(groups)["student.svg"]
    words = {node.text for node in ET.fromstring(picture).iter() if node.tag.endswith("text")}
    assert ticks <= words
    assert "10^" not in picture


def test_the_table_has_a_row_per_group_and_states_delta():
    groups = sweep.groups(
        [row(seed=0), row(seed=1), row(mechanism="none", epsilon=float("inf"), guarantee=False)]
    )
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(sweep_table.table(groups, failed=2))
    told = console.export_text()
    assert "80.0 % ± 0.0" in told
    assert "on the front" in told
    assert "infinite" in told
    assert "no guarantee" in told
    assert "delta 1e-05, replace-one" in told
    assert "2 failed" in told


def test_the_groups_as_json():
    (told,) = sweep.dump(sweep.groups([row(seed=0), row(seed=1)]))
    assert told["runs"] == 2
    assert told["patient_epsilon"] == {"mean": 2.0, "deviation": 0.0}
    json.dumps(told)


def test_runs_are_found_in_the_order_of_their_numbers_and_named(tmp_path):
    for name in ("10", "2", ".hidden", "deep/a/b"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(json.dumps(summary()))
    (tmp_path / "2" / ".hydra").mkdir()
    (tmp_path / "2" / ".hydra" / "overrides.yaml").write_text("- +a.b=c=d\n- ~gone\n- seed=7\n")
    names = [path.relative_to(tmp_path).as_posix() for path in sweep.run_folders(tmp_path)]
    assert names == ["deep/a/b", "2", "10"]
    found = sweep.read_row(tmp_path / "2", "2")
    assert found.settings["a.b"] == "c=d"
    assert found.settings["seed"] == "7"
    assert "gone" not in found.settings
    assert sweep.run_folders(tmp_path / "2") == [tmp_path / "2"]

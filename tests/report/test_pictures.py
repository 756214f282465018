"""Pictures: well-formed, escaped, true to their numbers, and inside their frame."""

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpate.report import pictures
from fedpate.report.drawing import WIDTH, Axes, element, ticks
from fedpate.report.spending import Spending
from summaries import summary


def parsed(picture):
    return ET.fromstring(picture)


def points(picture, kind):
    path = next(node for node in parsed(picture).iter("path") if node.get("class") == kind)
    return [tuple(map(float, pair.split())) for pair in path.get("d")[1:].split("L")]


@given(st.floats(1e-6, 1e9))
def test_ticks_are_round_few_and_reach_the_end(high):
    found = ticks(high)
    assert found[0] == 0
    assert found[-1] >= high * (1 - 1e-6)
    assert 2 <= len(found) <= 7
    steps = {f"{after - before:.3g}" for before, after in pairwise(found)}
    assert len(steps) == 1


def test_axes_put_values_where_they_belong():
    axes = Axes(200.0, (1, 100), (0, 10), log_x=True)
    assert axes.x(10) == pytest.approx((axes.x(1) + axes.x(100)) / 2)
    assert axes.y(5) == pytest.approx((axes.y(0) + axes.y(10)) / 2)
    assert axes.y(10) < axes.y(0)


def test_what_comes_in_is_escaped():
    assert (
        element("text", "<b>", x=1.5, cls='"x"')
        == '<text x="1.5" class="&quot;x&quot;">&lt;b&gt;</text>'
    )


@pytest.mark.parametrize("budget", [None, 8.0, 5.5, 1000.0])
def test_the_curve_rises_to_its_value_under_its_budget(budget):
    spent = Spending([0, 10, 100], [0.0, 1.5, 5.476], [("labels", 100)])
    picture = pictures.spending_curve(spent, "patient", 1e-5, budget)
    line = points(picture, "line")
    assert [x for x, _ in line] == sorted(x for x, _ in line)
    assert [y for _, y in line] == sorted((y for _, y in line), reverse=True)
    assert ">5.48<" in picture
    assert "epsilon 5.48 per patient" in parsed(picture).get("aria-label")
    assert ("budget" in picture) == (budget in (8.0, 5.5))


def test_the_histogram_has_a_bar_for_each_filled_bin():
    bins = [0] * 10 + [4, 0, 0, 0, 0, 0, 0, 2, 0, 14]
    picture = pictures.consensus_bars(bins)
    bars = [node for node in parsed(picture).iter("rect") if node.get("class") == "bar"]
    heights = [float(bar.get("height")) for bar in bars]
    assert [height / heights[0] * 4 for height in heights] == pytest.approx([4, 2, 14], rel=0.01)
    assert "14 of 20 queries" in parsed(picture).get("aria-label")


def test_the_data_flow_names_no_noise_where_there_is_none():
    run = summary()
    assert "add noise" in pictures.data_flow(run)
    run["mechanism"]["name"] = "none"
    assert "noise" not in pictures.data_flow(run)


@pytest.mark.parametrize("k", [1, 5, 250])
@pytest.mark.parametrize("trust", ["coordinator", "local"])
def test_the_data_flow_says_who_adds_the_noise(k, trust):
    run = summary()
    run["federation"] |= {"trust": trust, "teachers_per_hospital": k}
    picture = pictures.data_flow(run)
    words = " ".join("".join(node.itertext()) for node in parsed(picture).iter("text"))
    assert ("noisy votes" in words) == (trust == "local")
    assert ("add noise" in words) == (trust == "coordinator")
    assert (f"{k} teachers" in words) == (k > 1)
    for node in parsed(picture).iter("rect"):
        assert 0 <= float(node.get("x")) <= WIDTH - float(node.get("width"))
    assert re.findall(r'(?:href|src)="', picture) == []

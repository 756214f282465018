"""comparison.html: one row per run, a point for each that has a price, links to their pages."""

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import browser
from fedpate.errors import ConfigError
from fedpate.report import comparison, page
from fedpate.report.comparison import Point, scatter
from outline import Outline
from summaries import summary


def folders(place, *changes):
    made = []
    for number, change in enumerate(changes):
        run = summary()
        for key, value in change.items():
            *parts, last = key.split(".")
            block = run
            for part in parts:
                block = block[part]
            block[last] = value
        folder = place / "sweep" / str(number)
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(json.dumps(run))
        made.append(folder)
    return made


def test_a_row_and_a_point_for_each_run(tmp_path):
    runs = folders(tmp_path, {}, {"mechanism.name": "laplace", "privacy.patient.guaranteed": 2.0})
    written = comparison.write(runs)
    assert written == tmp_path / "sweep" / "comparison.html"
    outline = Outline(written.read_text())
    links = [attrs["href"] for tag, attrs in outline.tags if tag == "a"]
    assert links == ["0/report.html", "1/report.html"]
    marks = [attrs for _, attrs in outline.tags if re.fullmatch(r"s\d", str(attrs.get("class")))]
    assert len(marks) == 2 + 2  # two runs, and the legend
    for words in ("7.13", "2.00", "90.2 %", "97 of 100", "gnmax", "laplace"):
        assert words in outline.text
    assert "no place here" not in outline.text


def test_numbers_carry_all_their_digits(tmp_path):
    html = comparison.write(folders(tmp_path, {}, {"student.accuracy": 0.123456789})).read_text()
    shown = [attrs["value"] for tag, attrs in Outline(html).tags if tag == "data"]
    assert "7.123" in shown
    assert "0.123456789" in shown


@pytest.mark.parametrize(
    "change",
    [
        {"mechanism.guarantee": False},
        {"privacy.patient.guaranteed": math.inf},
        {"student.accuracy": None},
    ],
)
def test_a_run_without_a_price_is_in_the_table_only(tmp_path, change):
    seen = Outline(comparison.write(folders(tmp_path, {}, change)).read_text()).text
    assert "1 of 2 runs have no place here" in seen


def test_without_any_price_there_is_no_picture(tmp_path):
    seeded = {"mechanism.guarantee": False}
    html = comparison.write(folders(tmp_path, seeded, seeded)).read_text()
    assert "<svg" not in html
    assert "no guarantee" in html


def test_different_deltas_are_said(tmp_path):
    runs = folders(tmp_path, {}, {"privacy.delta": 1e-6})
    assert "at different deltas" in comparison.write(runs).read_text()


def test_it_goes_where_it_is_asked_to_and_links_from_there(tmp_path):
    runs = folders(tmp_path, {}, {})
    (tmp_path / "pages").mkdir()
    written = comparison.write(runs, tmp_path / "pages" / "both.html")
    assert 'href="../sweep/0/report.html"' in written.read_text()
    with pytest.raises(ConfigError, match="must be a file that can be written"):
        comparison.write(runs, tmp_path / "nowhere" / "both.html")


def test_names_are_escaped(tmp_path):
    runs = folders(tmp_path, {"data.name": "<img src=x>", "mechanism.name": "<b>"}, {})
    html = comparison.write(runs).read_text()
    assert "<img" not in html
    assert "<b>" not in html


def test_something_else_than_runs_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="RUN_DIR must be the directory of a finished run"):
        comparison.write([*folders(tmp_path, {}), tmp_path])


points = st.builds(
    Point, st.sampled_from(["gnmax", "laplace"]), st.floats(1e-3, 1e4), st.floats(0, 1)
)


@given(st.lists(points, min_size=1, max_size=20))
def test_every_point_is_inside_the_frame(found):
    picture = scatter(found)
    boxes = re.findall(r'viewBox="0 0 (\S+) (\S+)"', picture)
    width, height = map(float, boxes[0])
    places = re.findall(r'<circle cx="(\S+)" cy="(\S+)"', picture)
    places += re.findall(r'<rect x="(\S+)" y="(\S+)"', picture)
    assert len(places) == len(found)
    assert all(0 < float(x) < width and 0 < float(y) < height for x, y in places)


@pytest.mark.skipif(browser.find() is None, reason="no chromium on the path")
def test_it_fits_a_phone_and_loads_nothing(tmp_path):
    written = comparison.write(folders(tmp_path, {}, {"mechanism.name": "laplace"}))
    with browser.started() as chromium:
        opened = chromium.open(written, 375)
        assert opened.evaluate("document.documentElement.scrollWidth") <= 375
        assert opened.requests == [written.absolute().as_uri()]
        assert opened.errors == []


def test_a_page_of_a_run_is_where_its_link_points(tmp_path):
    runs = folders(tmp_path, {}, {})
    place = comparison.write(runs).parent
    for folder in runs:
        page.write(folder)
        assert (place / folder.name / "report.html").is_file()

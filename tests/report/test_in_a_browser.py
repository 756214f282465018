"""The page in a real browser: nothing loaded, nothing wrong, nothing too wide, every number."""

import json

import pytest

import browser
from federated import small_run
from fedpate.federation.engines import simulate
from fedpate.privacy.mechanisms import MECHANISMS
from fedpate.report import page

pytestmark = pytest.mark.skipif(
    browser.find() is None, reason="no chromium on the path (Debian: apt-get install chromium)"
)

NARROWEST = 375  # CSS pixels of a small phone
NUMBERS = "[...document.querySelectorAll('data')].map(e => [e.dataset.key, e.value, e.innerText])"


@pytest.fixture(scope="module")
def chromium():
    with browser.started() as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("browser")
    mechanism = MECHANISMS["confident"](noise_scale=2.0, threshold=4.0, threshold_noise_scale=2.0)
    simulate(small_run(place / "store", baselines=True, mechanism=mechanism), place / "run")
    page.write(place / "run")
    return place / "run"


@pytest.fixture(scope="module")
def opened(chromium, folder):
    return chromium.open(folder / "report.html")


def test_it_asks_for_nothing_and_complains_about_nothing(opened, folder):
    assert opened.requests == [(folder / "report.html").absolute().as_uri()]
    assert opened.errors == []


@pytest.mark.parametrize("width", [320, NARROWEST, 768, 1400])
def test_it_is_never_wider_than_the_window(opened, width):
    opened.resize(width)
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    seen = opened.evaluate(
        "[...document.querySelectorAll('main > *, svg, .cards > div, .certificate :not(pre code)')]"
        ".map(e => e.getBoundingClientRect().right)"
    )
    assert max(seen) <= width
    opened.resize(1100)


def test_the_numbers_on_the_screen_are_those_of_the_summary(opened, folder):
    summary = json.loads((folder / "summary.json").read_text())
    shown = opened.evaluate(NUMBERS)
    assert len({key for key, _, _ in shown}) > 25
    for key, value, words in shown:
        found = summary
        for name in key.split("."):
            found = found[name]
        assert float(value) == found, key
        assert words.strip() in {write(found) for write in page.FORMS.values()} | {f"{found:g}"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_colours_of_the_system(opened, scheme):
    opened.scheme(scheme)
    color = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    bright = [int(part) > 200 for part in color[4:-1].split(",")]
    assert bright == [scheme == "light"] * 3
    opened.scheme("light")


def test_everything_drawn_has_a_size(opened):
    areas = opened.evaluate(
        "[...document.querySelectorAll('svg, .bars span, .matrix td')]"
        ".map(e => e.getBoundingClientRect()).map(r => r.width * r.height)"
    )
    assert len(areas) > 10
    assert min(areas) > 0


def test_it_prints(opened, tmp_path):
    opened.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_the_test_would_notice(chromium, tmp_path):
    spoiled = tmp_path / "spoiled.html"
    spoiled.write_text("<img src='missing.png'><script>throw 1</script><p style='width:999px'>wide")
    found = chromium.open(spoiled, 375)
    assert len(found.requests) == 2
    assert len(found.errors) >= 2
    assert found.evaluate("document.documentElement.scrollWidth") > 375

"""report.html: self-contained, escaped, the same bytes every time, all numbers from the summary."""

import itertools
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpate.errors import ConfigError
from fedpate.report import page, text
from summaries import summary

VOID = {"meta", "link", "br", "img", "hr"}


class Outline(HTMLParser):
    """Tags must close in order; keeps what a test wants to look at."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def render(run: dict) -> str:
    return page.render(run, "ab" * 32, "hospitals: 10\n", "12-00-00")


def test_the_page_loads_nothing_and_runs_nothing():
    html = render(summary())
    outline = Outline(html)
    policy = next(attrs for _, attrs in outline.tags if "http-equiv" in attrs)
    assert policy["content"] == ("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert "script" not in {tag for tag, _ in outline.tags}
    loads = [
        value
        for _, attrs in outline.tags
        for name, value in attrs.items()
        if name in ("src", "href", "xlink:href", "srcset", "action", "data")
    ]
    assert [value for value in loads if not str(value).startswith("#")] == []
    assert "@import" not in html
    assert "url(http" not in html
    assert len(html.encode()) < 300_000


def test_every_number_is_that_of_the_summary():
    seen = Outline(render(summary())).text
    for value in ("7.13", "60.01", "8.00", "4.20", "3.90", "93.1 %", "90.2 %", "97.5 %", "94.4 %"):
        assert value in seen
    for value in ("1077", "360", "358", "97 of 100", "123 kB", "7.89 kB", "argmax_only", "1e-05"):
        assert value in seen
    assert "not releasable" in seen
    assert "replace-one" in seen
    assert f"fedpate ledger verify 12-00-00 --head {'ab' * 32}" in seen


epsilons = st.one_of(st.just(float("inf")), st.floats(0.01, 1e4))


@settings(max_examples=10)
@given(epsilons, epsilons, st.floats(0, 1), st.floats(0, 1))
def test_whatever_the_numbers_they_are_shown(patient, hospital, labels, student):
    run = summary()
    run["privacy"]["patient"]["guaranteed"] = patient
    run["privacy"]["hospital"]["guaranteed"] = hospital
    run["labels"]["accuracy"], run["student"]["accuracy"] = labels, student
    seen = Outline(render(run)).text
    for shown in (*map(text.epsilon, (patient, hospital)), *map(text.percent, (labels, student))):
        assert shown in seen


def test_the_same_summary_gives_the_same_bytes():
    assert render(summary()) == render(summary())


def test_what_a_user_typed_is_escaped():
    run = summary()
    run["data"]["name"] = "<img src=x onerror=alert(1)>"
    html = render(run)
    assert "<img" not in html
    assert "&lt;img src=x" in html


def test_it_is_accessible():
    outline = Outline(render(summary()))
    headings = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch(r"h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(headings))
    assert all("scope" in attrs for tag, attrs in outline.tags if tag == "th")
    picture = next(attrs for tag, attrs in outline.tags if tag == "svg")
    assert picture["role"] == "img"
    assert "released labels 93.1 %" in str(picture["aria-label"])
    assert dict(outline.tags)["html"] == {"lang": "en"}


@pytest.mark.parametrize("trust", ["coordinator", "local"])
def test_who_saw_what_follows_the_trust_setting(trust):
    run = summary()
    run["federation"]["trust"] = trust
    seen = Outline(render(run)).text
    assert ("the coordinator need not be trusted" in seen) == (trust == "local")
    assert ("the votes of each hospital's teachers" in seen) == (trust == "coordinator")


def test_a_void_guarantee_is_said_first_and_promised_nowhere():
    run = summary()
    run["mechanism"] |= {"noise": "seeded", "guarantee": False}
    seen = Outline(render(run)).text
    assert seen.index("seeded noise: no guarantee") < seen.index("Privacy statement")
    assert "Nothing is promised to any patient" in seen
    assert "at most" not in seen


def test_a_deployment_without_simulation_only_numbers_has_a_page():
    run = summary()
    run["labels"]["accuracy"] = None
    run["data"]["train_records"] = None
    run["baselines"] = dict.fromkeys(run["baselines"])
    run["privacy"]["patient"]["data_dependent"] = None
    assert "None" not in Outline(render(run)).text


def test_write_and_read_a_run_directory(tmp_path):
    with pytest.raises(ConfigError, match="RUN_DIR must be the directory of a finished run"):
        page.write(tmp_path)
    (tmp_path / "summary.json").write_text(json.dumps({**summary(), "schema": 99}))
    with pytest.raises(ConfigError, match="must be of schema 1"):
        page.write(tmp_path)
    (tmp_path / "summary.json").write_text(json.dumps(summary()))
    written = page.write(tmp_path)
    assert written == tmp_path / "report.html"
    assert "Certificate" not in written.read_text()


def test_a_page_that_cannot_be_written_is_refused_in_one_line(tmp_path):
    (tmp_path / "summary.json").write_text(json.dumps(summary()))
    (tmp_path / "report.html").mkdir()
    with pytest.raises(ConfigError, match=r"report.html must be a file that can be written"):
        page.write(tmp_path)

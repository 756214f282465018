"""report.html: self-contained, escaped, the same bytes every time, all numbers from the run."""

import itertools
import json
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpate.errors import ConfigError
from fedpate.report import page, text
from fedpate.report.recorded import Recorded
from outline import Outline
from summaries import details, summary

HEAD = "ab" * 32


def render(run=None, more="given", **recorded) -> str:
    given = {"head": HEAD, "settings": "hospitals: 10\n", **recorded}
    found = details() if more == "given" else more
    return page.render(Recorded("12-00-00", run or summary(), found, **given))


def numbers(block, prefix=""):
    for name, value in block.items():
        if isinstance(value, dict):
            yield from numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", value


def test_the_page_loads_nothing_and_runs_nothing():
    html = render()
    outline = Outline(html)
    policy = next(attrs for _, attrs in outline.tags if "http-equiv" in attrs)
    assert policy["content"] == ("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert "script" not in {tag for tag, _ in outline.tags}
    loads = [
        value
        for _, attrs in outline.tags
        for name, value in attrs.items()
        if name in ("src", "href", "xlink:href", "srcset", "action", "data") or name[:2] == "on"
    ]
    assert [value for value in loads if not str(value).startswith("#")] == []
    assert "@import" not in html
    assert "url(http" not in html
    assert len(html.encode()) < 300_000


def test_every_number_of_the_summary_is_there_with_all_its_digits():
    run = summary()
    run["bytes"]["per_query"] = 76.25  # of a later version: not foreseen, not left out
    shown = {
        attrs["data-key"]: float(str(attrs["value"]))
        for tag, attrs in Outline(render(run)).tags
        if tag == "data"
    }
    assert shown == dict(numbers(run))


def test_numbers_are_written_as_elsewhere():
    seen = Outline(render()).text
    for value in ("7.13", "60.01", "8.00", "4.20", "3.90", "93.1 %", "90.2 %", "97.5 %", "94.4 %"):
        assert value in seen
    for value in ("1077", "360", "358", "123 kB", "7.89 kB", "argmax_only", "1e-05"):
        assert value in seen
    assert "not releasable" in seen
    assert "replace-one" in seen


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


def test_the_same_run_gives_the_same_bytes():
    assert render() == render()


def test_what_a_user_typed_is_escaped():
    run, more = summary(), details()
    run["data"]["name"] = more["class_names"][0] = "<img src=x onerror=alert(1)>"
    more["ledger"]["charges"][0]["purpose"] = more["hospitals"][0]["name"] = '"><b onload=x>'
    html = render(run, more, settings="</pre><script>")
    assert "<img" not in html
    assert "<b " not in html
    assert "<script" not in html
    assert "&lt;img src=x" in html


@pytest.mark.parametrize("more", ["given", None])
def test_it_is_accessible(more):
    outline = Outline(render(more=more))
    headings = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch(r"h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(headings))
    assert all("scope" in attrs for tag, attrs in outline.tags if tag == "th")
    tags = [tag for tag, _ in outline.tags]
    assert tags.count("table") == tags.count("caption")
    pictures = [attrs for tag, attrs in outline.tags if tag == "svg"]
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in pictures)
    assert len(pictures) == (1 if more is None else 4)
    assert dict(outline.tags)["html"] == {"lang": "en"}


@pytest.mark.parametrize("trust", ["coordinator", "local"])
def test_who_saw_what_follows_the_trust_setting(trust):
    run = summary()
    run["federation"]["trust"] = trust
    html = render(run)
    seen = Outline(html).text
    assert ("the coordinator need not be trusted" in seen) == (trust == "local")
    assert ("the votes of each hospital's teachers" in seen) == (trust == "coordinator")
    assert ("noisy votes come out" in html) == (trust == "local")


def test_a_void_guarantee_is_said_first_and_promised_nowhere():
    run = summary()
    run["mechanism"] |= {"noise": "seeded", "guarantee": False}
    seen = Outline(render(run)).text
    assert seen.index("seeded noise: no guarantee") < seen.index("Privacy statement")
    assert "Nothing is promised to any patient" in seen
    assert "no guarantee holds" in seen
    assert "nothing: seeded noise" in seen[seen.index("Certificate") :]
    assert "this run satisfies" not in seen
    assert re.search(r"(?<!not )(?<!no )guaranteed", seen) is None
    assert "at most" not in seen


def deployment():
    run, more = summary(), details()
    run["labels"] |= {"accuracy": None, "accuracy_without_noise": None}
    run["data"]["train_records"] = run["federation"]["one_class_teachers"] = None
    run["baselines"] = dict.fromkeys(run["baselines"])
    run["privacy"]["patient"] |= {"data_dependent": None, "sanitized": None}
    more |= {"releasable": True, "labels": None, "consensus": None, "hospitals": None}
    return run, more | {"class_names": None}


def test_a_deployment_has_no_number_that_may_not_leave():
    seen = Outline(render(*deployment())).text
    assert "None" not in seen
    assert "not releasable" not in seen
    for private in ("Hospital by hospital", "How sure", "labels released", "baselines", "pooled"):
        assert private not in seen
    assert "Confusion matrix" in seen  # of the student on the coordinator's own test records
    assert "deployment" in seen


def test_the_certificate_can_be_checked_again():
    seen = Outline(render()).text
    certificate = seen[seen.index("Certificate") :]
    assert "epsilon 7.13 at delta 1e-05 , replace-one, by argmax_only" in certificate
    assert f"fedpate ledger verify 12-00-00 --head {HEAD}" in certificate
    assert "not audited; fedpate audit 12-00-00" in certificate
    elsewhere = Outline(render(ledger="/srv/our ledger.sqlite")).text
    assert "fedpate ledger verify '/srv/our ledger.sqlite' --head" in elsewhere


def test_a_run_without_an_answer_tells_of_no_student():
    run, more = summary(), details()
    run["labels"] |= {"answered": 0, "accuracy": None}
    run["student"] |= {"accuracy": None, "balanced_accuracy": None}
    seen = Outline(render(run, {**more, "student": None})).text
    assert "a new model had nothing to learn from." in seen
    assert "trained on these labels alone" not in seen
    assert "none was scored" in seen


def test_hospitals_that_left_are_named_with_the_reason():
    run = summary()
    run["federation"] |= {"dropped": ["hospital-2"], "dropped_because": {"hospital-2": "code 101"}}
    seen = Outline(render(run)).text
    assert "hospitals 10 , 1 dropped out hospital-2 code 101" in seen


def test_what_left_a_hospital_follows_the_votes():
    assert "how many of its models chose that class: 7.89 kB" in Outline(render()).text
    soft = Outline(render(more={**details(), "votes": "probabilities"})).text
    assert "the sum of its models' probabilities of that class: 7.89 kB" in soft


def test_without_a_ledger_there_is_no_command():
    seen = Outline(render(more=None, head=None)).text
    assert "Certificate" in seen
    assert "ledger verify" not in seen


@pytest.mark.parametrize(("passed", "words"), [(True, "at least 1.23"), (False, "REFUTED")])
def test_an_audit_stands_beside_the_claim(passed, words):
    canaries = {"lower_bound": 1.234, "confidence": 0.95, "correct": 40, "guesses": 50}
    seen = Outline(render(audit={"passed": passed, "canaries": canaries})).text
    assert words in seen
    assert "40 of 50 guesses" in seen


def test_tables_by_class_and_by_hospital():
    seen = Outline(render()).text
    assert "zero 3 66.7 % 100.0 % 2 50.0 % 1" in seen  # class, records, recall, precision, labels
    assert "hospital-1 40" in seen
    assert "dropped out" in seen


def test_many_classes_and_hospitals_stay_small():
    many, more = 1000, details()
    more["class_names"] = [f"class {number}" for number in range(many)]
    counts = [[int(row == column) for column in range(many)] for row in range(many)]
    more["student"] = {"confusion": counts}
    more["labels"] = {"confusion": counts, "unanswered": [0] * many}
    hospital = {**more["hospitals"][0], "classes": [1] * many}
    more["hospitals"] = [{**hospital, "name": f"hospital-{n}"} for n in range(200)]
    html = render(more=more)
    assert len(html.encode()) < 300_000
    assert "Confusion matrix" not in html
    assert "The 60 most frequent of 1000 classes." in html
    assert "The 60 largest of 200 hospitals." in html
    assert "60 largest" not in render()


def test_write_and_read_a_run_directory(tmp_path):
    with pytest.raises(ConfigError, match="RUN_DIR must be the directory of a finished run"):
        page.write(tmp_path)
    (tmp_path / "summary.json").write_text(json.dumps({**summary(), "schema": 99}))
    with pytest.raises(ConfigError, match="must be of schema 1"):
        page.write(tmp_path)
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        page.write(tmp_path)
    (tmp_path / "summary.json").write_text(json.dumps(summary()))
    assert page.write(tmp_path) == tmp_path / "report.html"
    assert "What was spent" not in (tmp_path / "report.html").read_text()
    (tmp_path / "details.json").write_text(json.dumps(details()))
    assert "What was spent" in page.write(tmp_path).read_text()


def test_a_page_that_cannot_be_written_is_refused_in_one_line(tmp_path):
    (tmp_path / "summary.json").write_text(json.dumps(summary()))
    (tmp_path / "report.html").mkdir()
    with pytest.raises(ConfigError, match=r"report.html must be a file that can be written"):
        page.write(tmp_path)


def luminance(color: str) -> float:
    color = color.lstrip("#")
    color = color if len(color) == 6 else "".join(2 * digit for digit in color)
    channels = [int(color[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("place", [0, 1, 2])  # light, dark, printed
def test_text_has_contrast(place):
    css = re.search(r"<style>(.*?)</style>", render(), re.DOTALL)[1]
    block = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[place]
    colors = dict(re.findall(r"--(\w+): (#\w+)", block))
    for ink in ("ink", "soft", "accent", "second", "stop"):
        for ground in ("paper", "panel"):
            assert contrast(colors[ink], colors[ground]) >= 4.5, (ink, ground)
    assert contrast(colors["stop"], colors["stopwash"]) >= 4.5
    assert contrast(colors["second"], colors["warm"]) >= 4.5
    assert contrast(colors["ink"], colors["warm"]) >= 4.5
    assert contrast(colors["soft"], colors["wash"]) >= 4.5
    mixed = [
        round(255 * (0.45 * a + 0.55 * b))
        for a, b in zip(*map(_channels, (colors["accent"], colors["panel"])), strict=True)
    ]
    assert contrast(colors["ink"], "#" + "".join(f"{c:02x}" for c in mixed)) >= 4.5
    assert math.isclose(contrast("#000", "#fff"), 21)


def _channels(color: str) -> list[float]:
    color = color.lstrip("#")
    color = color if len(color) == 6 else "".join(2 * digit for digit in color)
    return [int(color[place : place + 2], 16) / 255 for place in (0, 2, 4)]

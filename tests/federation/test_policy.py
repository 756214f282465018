"""A hospital's rules: each refuses with its own code, none is a default, strictness is monotone."""

import dataclasses
import datetime as dt
import json
import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fedpate.errors import ConfigError
from fedpate.federation import plain
from fedpate.federation.policy import (
    Policy,
    Request,
    Standing,
    broken,
    require,
    require_bundle,
    today,
)
from fedpate.federation.provision import templates
from fedpate.federation.refusals import REASONS, Code, Refusal

VALUES = {"federation": "f", "hospital": "north", "coordinator": "c:1", "authority_until": "2036"}
RENDERED = {name: text.decode() for name, text, _ in templates.render("hospital", VALUES)}
TEMPLATE = RENDERED["policy.yaml"]
STRICT = {
    "task": {"classes": 2, "features": ["age", "chol"]},
    "queries": {"per_day": 100, "total": 150, "near_duplicates": 7},
    "epsilon": {"patient": 2.0, "hospital": 20.0, "query": 0.5, "delta": 1e-5},
    "teachers": {"at_most": 5, "kinds": ["mlp"], "patients_per_teacher": 20},
    "trust": ["local"],
    "submitters": ["alice"],
    "bundle": "installed",
    "approval": "manual",
    "votes": ["labels"],
}
ASKED = Request(
    run="r1",
    submitter="alice",
    classes=2,
    features=("age", "chol"),
    new_queries=40,
    left=40,
    teachers=5,
    teacher_kind="mlp",
    trust="local",
)
STANDING = Standing(
    answered_today=60, answered=110, patient=2.0, hospital=20.0, query=0.5, near_duplicates=7,
    fewest_patients=20, approved=["r1"],
)  # fmt: skip


def policy(**changes):
    return plain.loads(Policy, json.dumps({**STRICT, **changes}))


def read(tmp_path, text):
    (tmp_path / "policy.yaml").write_text(text)
    return Policy.read(tmp_path / "policy.yaml")


def test_the_template_of_a_kit_is_a_policy_and_says_every_rule(tmp_path):
    template = read(tmp_path, TEMPLATE)
    assert template.epsilon.patient == 10.0
    assert template.approval == "automatic"
    written = yaml.safe_load(TEMPLATE)
    assert set(written) == {item.name for item in dataclasses.fields(Policy)}
    for name, section in written.items():
        if isinstance(section, dict):
            fields = dataclasses.fields(getattr(template, name))
            assert set(section) == {item.name for item in fields}
    for name, section in written.items():
        for rule in section if isinstance(section, dict) else [None]:
            less = {**written, name: {k: v for k, v in section.items() if k != rule}} if rule else {
                k: v for k, v in written.items() if k != name
            }  # fmt: skip
            with pytest.raises(
                ConfigError, match=f"{f'{name}.{rule}' if rule else name} must be g"
            ):
                read(tmp_path, yaml.safe_dump(less))


def test_a_request_at_every_limit_is_allowed():
    assert broken(policy(), ASKED, STANDING) == []
    require(policy(), ASKED, STANDING)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"submitter": "mallory"}, Code.POLICY_SUBMITTER),
        ({"classes": 3}, Code.POLICY_CLASSES),
        ({"features": ("age",)}, Code.POLICY_FEATURES),
        ({"features": ("chol", "age")}, Code.POLICY_FEATURES),
        ({"features": None}, Code.POLICY_FEATURES),
        ({"trust": "coordinator"}, Code.POLICY_TRUST),
        ({"votes": "probabilities"}, Code.POLICY_VOTES),
        ({"teacher_kind": "sklearn"}, Code.POLICY_TEACHER_KIND),
        ({"teachers": 6}, Code.POLICY_TEACHERS),
        ({"fewest_patients": 19}, Code.POLICY_PATIENTS),
        ({"answered_today": 61}, Code.POLICY_QUERIES_PER_DAY),
        ({"answered": 111}, Code.POLICY_QUERIES),
        ({"patient": math.nextafter(2.0, 3)}, Code.POLICY_EPSILON_PATIENT),
        ({"hospital": math.inf}, Code.POLICY_EPSILON_HOSPITAL),
        ({"patient": math.nan}, Code.POLICY_EPSILON_PATIENT),
        ({"query": math.nextafter(0.5, 1)}, Code.POLICY_EPSILON_QUERY),
        ({"near_duplicates": 8}, Code.POLICY_NEAR_DUPLICATES),
        ({"left": 39}, Code.POLICY_STATED),
        ({"run": "r2"}, Code.POLICY_APPROVAL),
    ],
)
def test_one_step_over_a_rule_is_refused_with_its_code_and_nothing_else(change, code):
    request_fields = {item.name for item in dataclasses.fields(Request)}
    asked = {key: value for key, value in change.items() if key in request_fields}
    known = {key: value for key, value in change.items() if key not in request_fields}
    request, standing = dataclasses.replace(ASKED, **asked), dataclasses.replace(STANDING, **known)
    assert broken(policy(), request, standing) == [code]
    with pytest.raises(Refusal) as refused:
        require(policy(), request, standing)
    assert refused.value.code == code
    assert str(refused.value) == REASONS[code]
    assert not any(character.isdigit() for character in str(refused.value))


def test_every_code_has_a_reason_that_names_its_rule():
    assert set(REASONS) == set(Code)
    named = {code: REASONS[code] for code in Code if code.name.startswith("POLICY_")}
    assert len(set(named.values())) == len(named) == 16


def test_null_is_no_limit():
    open_policy = policy(
        task={"classes": None, "features": None},
        queries={"per_day": None, "total": None, "near_duplicates": None},
        epsilon={"patient": None, "hospital": None, "query": None, "delta": 1e-5},
        teachers={"at_most": None, "kinds": None, "patients_per_teacher": 1},
        trust=["coordinator"],
        submitters=None,
        approval="automatic",
    )
    request = Request("r", "x", 1000, None, 10**9, 10**9, 10**6, "cnn", "coordinator")
    standing = Standing(10**9, 10**9, math.inf, math.inf, math.inf, 10**9, 1)
    assert broken(open_policy, request, standing) == []


counts = st.integers(0, 200)
epsilons = st.floats(0, 40)


@given(
    counts, counts, counts, epsilons, epsilons, st.floats(0, 1), st.integers(0, 9),
    st.integers(1, 9), st.integers(0, 40), st.data(),
)  # fmt: skip
def test_who_asks_for_less_is_never_refused_more(
    new, day, total, patient, hospital, query, near, teachers, patients, data
):
    request = dataclasses.replace(ASKED, new_queries=new, teachers=teachers)
    standing = Standing(day, total, patient, hospital, query, near, patients, ["r1"])
    less = dataclasses.replace(
        request,
        new_queries=data.draw(st.integers(0, new)),
        teachers=data.draw(st.integers(1, teachers)),
    )
    better = Standing(
        data.draw(st.integers(0, day)),
        data.draw(st.integers(0, total)),
        data.draw(st.floats(0, patient)),
        data.draw(st.floats(0, hospital)),
        data.draw(st.floats(0, query)),
        data.draw(st.integers(0, near)),
        data.draw(st.integers(patients, 50)),
        ["r1"],
    )
    assert set(broken(policy(), less, better)) <= set(broken(policy(), request, standing))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("per_day: 10000", "per_day: -1", "queries.per_day must be a whole number >= 0, got -1"),
        ("per_day: 10000", "per_day: true", "queries.per_day must be of type int, got bool"),
        ("per_day: 10000", "per_day: 10.5", "queries.per_day must be of type int, got float"),
        ("per_day: 10000", "per_dya: 1", "queries.per_dya is not a setting"),
        ("per_day: 10000", "per_day: 1\n  per_day: 2", "'per_day' is written twice at line"),
        ("patient: 10.0", "patient: .nan", "epsilon.patient must be finite and > 0"),
        ("patient: 10.0", "patient: .inf", "epsilon.patient must be finite and > 0"),
        ("patient: 10.0", "patient: 0", "epsilon.patient must be finite and > 0"),
        ("delta: 1.0e-5", "delta: 1", "epsilon.delta must be in (0, 1)"),
        ("delta: 1.0e-5", "delta: 2026-01-01", "epsilon.delta must be of type float, got str"),
        ("kinds: null", "kinds: [mlpp]", "teachers.kinds must be one of"),
        ("patients_per_teacher: 10", "patients_per_teacher: 0", "whole number >= 1, got 0"),
        ("[coordinator, local]", "[]", "trust must name at least one of coordinator, local"),
        ("[coordinator, local]", "[anyone]", "trust must be one of"),
        ("[coordinator, local]", "local", "trust must be of type"),
        ("bundle: installed", "bundle: any", "bundle must be 'installed' or a SHA-256"),
        ("approval: automatic", "approval: maybe", "approval must be one of automatic, manual"),
        ("classes: null", "classes: 1", "task.classes must be a whole number >= 2, got 1"),
        ("queries:", "- queries:", "must be YAML"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_that_names_the_rule(tmp_path, old, new, words):
    assert old in TEMPLATE
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, TEMPLATE.replace(old, new, 1))
    assert words in str(refused.value)
    assert "policy.yaml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_hash_names_the_rules_and_not_how_they_are_written(tmp_path):
    written = read(tmp_path, TEMPLATE)
    assert read(tmp_path, "# a comment\n" + TEMPLATE).hash() == written.hash()
    assert (
        read(tmp_path, TEMPLATE.replace("total: 100000", "total: 99999")).hash() != written.hash()
    )


def test_a_bundle_must_be_thin_and_the_one_that_is_named():
    require_bundle(policy(), b"x", thin=True)
    named = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # SHA-256 of b"x"
    require_bundle(policy(bundle=named), b"x", thin=True)
    for rules, content, thin in ((policy(), b"x", False), (policy(bundle=named), b"y", True)):
        with pytest.raises(Refusal, match="thin bundle"):
            require_bundle(rules, content, thin=thin)


def test_what_is_told_are_limits_and_no_facts_about_data():
    limits = policy().limits()
    assert json.loads(json.dumps(limits))["queries"] == STRICT["queries"]
    assert "patients_per_teacher" not in json.dumps(limits)
    assert "age" not in json.dumps(limits)


def test_a_day_is_a_utc_day_whatever_the_clock_on_the_wall_says():
    evening = dt.datetime(2026, 3, 1, 23, 30, tzinfo=dt.timezone(dt.timedelta(hours=-5)))
    assert today(evening) == "2026-03-02"

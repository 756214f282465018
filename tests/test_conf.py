"""Every file of conf/ composes into a valid run; every mistake is refused in one line."""

import re
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from fedpate import config, config_errors
from fedpate.errors import ConfigError
from fedpate.federation import plain
from fedpate.federation.settings import Run

config.register()

OPTIONS = sorted(
    path.relative_to(config.CONF)
    for path in config.CONF.rglob("*.yaml")
    if path.parent != config.CONF and "hydra" not in path.parts
)
# What an option cannot know by itself.
NEEDS = {
    "data/csv": ["data.path=table.csv", "data.label=outcome"],
    "data/image_folder": ["data.path=images"],
}


def build(*overrides: str) -> Run:
    return config.build(config.compose("config", overrides), overrides)


def refusal(*overrides: str) -> str:
    with pytest.raises(ConfigError) as refused:
        build(*overrides)
    message = str(refused.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_an_option_composes_and_survives_json(option: Path):
    run = build(
        f"{option.parent.as_posix()}={option.stem}", *NEEDS.get(str(option.with_suffix("")), [])
    )
    assert Run.from_json(run.to_json()) == run


def test_every_option_was_composed_and_every_registered_class_has_one():
    composed = {(path.parent.as_posix(), path.stem) for path in OPTIONS}
    registered = {(group, name) for group in plain.GROUPS for name in plain.registry(group)}
    assert composed - {pair for pair in composed if pair[0] == "experiment"} == registered
    assert len(OPTIONS) == len(list(config.CONF.glob("[!h]*/*.yaml"))) >= 24


def test_the_option_is_the_class():
    for group in plain.GROUPS:
        for name, cls in plain.registry(group).items():
            run = build(f"{group}={name}", *NEEDS.get(f"{group}/{name}", []))
            assert type(getattr(run, group)) is cls


def test_the_default_run_has_several_teachers_per_hospital_and_an_unseeded_noise():
    run = build()
    assert run.data.name == "breast_cancer"
    assert run.hospitals == 10
    assert run.teachers_per_hospital > 1
    assert run.noise_seed is None


def test_natural_hospitals_need_no_number_and_take_one():
    assert build("data=heart_disease", "partition=natural").hospitals is None
    assert build("data=heart_disease", "partition=natural", "hospitals=4").hospitals == 4


def test_an_overlay_gives_way_to_what_is_typed():
    assert build("experiment=mnist_250").teachers_per_hospital == 25
    assert build("experiment=mnist_250", "teachers_per_hospital=5").teachers_per_hospital == 5


def test_what_is_typed_beats_what_a_file_says_about_noise():
    assert build("mechanism.noise_scale=7").mechanism.noise_scale == 7
    assert build("privacy.target_epsilon=2").privacy.target_epsilon == 2
    overrides = ["mechanism.noise_scale=7"]
    cfg = config.compose("config", overrides)
    cfg.privacy.target_epsilon = 3.0  # as from a file
    assert config.build(cfg, overrides).privacy.target_epsilon is None
    assert config.build(cfg, []).privacy.target_epsilon == 3


def test_beside_a_target_the_scales_stay_so_that_calibration_keeps_their_ratio():
    run = build("mechanism=confident", "privacy.target_epsilon=2")
    assert run.mechanism.noise_scale is not None
    assert run.privacy.target_epsilon == 2


REFUSALS = {
    "hospitls=3": "hospitls is not a setting; did you mean hospitals?",
    "noise_scale=3": "noise_scale is not a setting; did you mean mechanism.noise_scale?",
    "+colour=red": "colour is not a setting",
    "+hospitals=3": "hospitals is a setting already: write it without the plus sign",
    "mechanism.threshold=3": "mechanism.threshold is not a setting of mechanism=gnmax "
    "(it has mechanism.noise_scale)",
    "data.root=x": "data.root is not a setting of data=breast_cancer "
    "(it has data.pool_fraction, data.test_fraction)",
    "privacy.budget.patiant=1": "privacy.budget.patiant is not a setting (privacy has "
    "privacy.budget.hospital, privacy.budget.patient, privacy.delta, privacy.ledger, "
    "privacy.on_budget, privacy.target_epsilon); did you mean privacy.budget.patient?",
    "hospitals=ten": "hospitals must be a whole number, got 'ten'",
    "hospitals=2.5": "hospitals must be a whole number, got '2.5'",
    "hospitals=true": "hospitals must be a whole number, got 'True'",
    "privacy.delta=small": "privacy.delta must be a number, got 'small'",
    "privacy.delta=null": "privacy.delta must be given, got null",
    "privacy=3": "privacy has parts: set privacy.PART=VALUE",
    "teacher.hidden=3": "teacher.hidden must be a list, such as [1, 2]",
    "verbose=loud": "verbose must be true or false, got 'loud'",
    "hospitals": "'hospitals' is not of the form KEY=VALUE, such as hospitals=20",
    "data.path=a(1": "'data.path=a(1' is not of the form KEY=VALUE; a value with special "
    "characters needs quotes inside quotes: 'data.path=\"/a (1).csv\"'",
    "hospitals=1,2": "hospitals=1,2 lists several values: add -m to run each of them, "
    "or quote the value",
    "hospitals=???": "hospitals must be given",
    "data=csv": "data.path must be given",
    "partition=idd": "partition must be one of dirichlet, iid, natural, quantity, got 'idd'; "
    "did you mean iid?",
    "privacy.delta=0": "privacy.delta must be in (0, 1), got 0.0",
    "privacy.delta=1": "privacy.delta must be in (0, 1), got 1.0",
    "privacy.delta=nan": "privacy.delta must be in (0, 1), got nan",
    "mechanism.noise_scale=-1": "mechanism.noise_scale must be finite and > 0, got -1.0",
    "privacy.target_epsilon=0": "privacy.target_epsilon must be finite and > 0, got 0.0",
    "privacy.on_budget=shrug": "privacy.on_budget must be one of stop, truncate, got 'shrug'",
    "queries=0": "queries must be a whole number >= 1, got 0",
    "hospitals=null": "hospitals must be a whole number >= 1 unless partition=natural, got None",
    "trust=secure_aggregation": "trust must be coordinator or local in this version, "
    "got 'secure_aggregation'",
    "mechanism.noise_scale=null": "mechanism.noise_scale or privacy.target_epsilon must be given",
}


@pytest.mark.parametrize(("override", "line"), REFUSALS.items(), ids=str)
def test_a_mistake_is_told_in_one_line(override: str, line: str):
    assert refusal(override) == line


def test_noise_and_target_cannot_both_be_typed():
    assert refusal("privacy.target_epsilon=2", "mechanism.noise_scale=3") == (
        "mechanism.noise_scale and privacy.target_epsilon must not both be given, got 3 and 2"
    )
    flips = ("mechanism=randomized_response", "mechanism.flip_probability=0.3")
    assert refusal("privacy.target_epsilon=2", *flips).startswith("mechanism.flip_probability and")
    assert build("privacy.target_epsilon=2", "mechanism.noise_scale=null").privacy.target_epsilon


def test_an_overlay_that_does_not_fit_a_choice_is_named():
    assert refusal("experiment=mnist_250", "mechanism=none") == (
        "experiment=mnist_250 sets mechanism.noise_scale, which does not fit mechanism=none: "
        "leave out one of the two"
    )


KEYS = sorted(config_errors.keys(config.compose("config", [])))
LEAVES = [key for key in KEYS if not any(other.startswith(f"{key}.") for other in KEYS)]


@settings(max_examples=15)
@given(st.data())
def test_a_mistyped_setting_is_refused_and_the_right_one_suggested(data: st.DataObject):
    key = data.draw(st.sampled_from([key for key in LEAVES if len(key.rpartition(".")[2]) > 4]))
    place = data.draw(st.integers(len(key) - 3, len(key) - 1))
    mistyped = key[:place] + key[place + 1 :]
    assume(mistyped not in KEYS)
    message = refusal(f"{mistyped}=1")
    assert message.startswith(f"{mistyped} is not a setting")
    assert re.search(rf"did you mean {re.escape(key)}\?$", message)


def test_schemas_are_fillable_and_nothing_can_name_a_python_path():
    cfg = config.compose("config", [])
    assert not OmegaConf.is_readonly(cfg.privacy.budget)
    assert refusal("+mechanism._target_=os.system").startswith("mechanism._target_ is not")

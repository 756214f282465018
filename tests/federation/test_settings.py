import dataclasses
import sys
import types
from dataclasses import dataclass
from typing import ClassVar

import pytest

from fedpate.errors import ConfigError
from fedpate.federation import plain
from fedpate.federation.settings import Budget, Privacy, Run, Simulation, TrainSettings


@dataclass(frozen=True)
class Part:
    name: ClassVar[str] = "part"
    size: int = 3
    rate: float = 0.5
    path: str | None = None
    layers: tuple[int, ...] = (64, 32)


@dataclass(frozen=True)
class Noise:
    name: ClassVar[str] = "noise"
    noise_scale: float | None = None


@dataclass(frozen=True)
class LocalNoise(Noise):
    name: ClassVar[str] = "local_noise"

    def randomize(self, counts, entropy):
        return counts


@pytest.fixture(autouse=True)
def registries(monkeypatch):
    classes = {cls.name: cls for cls in (Part, Noise, LocalNoise)}
    module = types.ModuleType("fake_registry")
    module.CLASSES = classes
    monkeypatch.setitem(sys.modules, "fake_registry", module)
    monkeypatch.setattr(plain, "GROUPS", dict.fromkeys(plain.GROUPS, ("fake_registry", "CLASSES")))


def make_run(**changes):
    parts = {
        "data": Part(path="x"),
        "partition": Part(),
        "teacher": Part(layers=(8,)),
        "mechanism": Noise(10.0),
        "student": Part(),
        "queries_by": Part(),
    }
    return Run(**{**parts, **changes})


def test_a_run_survives_json():
    run = make_run(
        privacy=Privacy(delta=1e-6, budget=Budget(patient=3.0)), seed=7, noise_seed=2, hospitals=4
    )
    assert Run.from_json(run.to_json()) == run


def test_train_settings_survive_json():
    simulation = Simulation(Part(), Part(size=9), 3, "/tmp/x", "/tmp/store", noise_seed=5)
    settings = TrainSettings(Part(), 5, 3, 1, mechanism=LocalNoise(4.0), simulation=simulation)
    assert TrainSettings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"queries": 0}, "queries must be a whole number >= 1, got 0"),
        ({"hospitals": 0}, "hospitals must be a whole number >= 1, got 0"),
        ({"hospitals": 3, "min_hospitals": 4}, "min_hospitals must be <= hospitals=3, got 4"),
        ({"hospitals": None}, "unless partition=natural"),
        ({"engine": "spark"}, "engine must be one of flower, inprocess, pool, got 'spark'"),
        ({"trust": "secure_aggregation"}, "trust must be coordinator or local"),
        ({"trust": "local"}, "trust=local needs a mechanism"),
        ({"mechanism": Noise()}, "mechanism.noise_scale or privacy.target_epsilon must be given"),
        ({"mechanism": Part(), "privacy": Privacy(target_epsilon=1.0)}, "got mechanism=part"),
    ],
)
def test_a_bad_setting_is_named(changes, message):
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        make_run(**changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Privacy(delta=1.0), r"privacy\.delta must be in \(0, 1\), got 1\.0"),
        (lambda: Privacy(target_epsilon=-1), r"privacy\.target_epsilon must be finite and > 0"),
        (lambda: Privacy(on_budget="go"), r"privacy\.on_budget must be one of stop, truncate"),
        (lambda: Budget(patient=0), r"privacy\.budget\.patient must be finite and > 0, got 0"),
        (lambda: Budget(hospital=-2), r"privacy\.budget\.hospital must be finite and > 0"),
    ],
)
def test_privacy_settings_are_checked(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def edited(run, *path, value):
    import json

    raw = json.loads(run.to_json())
    inner = raw
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return json.dumps(raw)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("surprise",), 1, "surprise is not a setting"),
        (("teacher", "surprise"), 1, r"teacher\.surprise is not a setting; known: layers"),
        (("teacher", "name"), "os.system", "teacher must be one of .*, got 'os.system'"),
        (("teacher",), "part", "teacher must be one of .*, got None"),
        (("seed",), "1", "seed must be of type int, got str"),
        (("seed",), True, "seed must be of type int, got bool"),
        (("privacy", "delta"), "small", r"privacy\.delta must be of type float, got str"),
        (("privacy", "budget"), 3, r"privacy\.budget must be of type Budget, got int"),
        (("teacher", "layers"), [8, "x"], r"teacher\.layers must be of type int, got str"),
        (("teacher", "size"), {"name": "part"}, r"teacher\.size must be of type int, got dict"),
    ],
)
def test_json_is_read_strictly(path, value, message):
    with pytest.raises(ConfigError, match=message):
        Run.from_json(edited(make_run(), *path, value=value))


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_what_is_not_an_object_is_refused(text):
    with pytest.raises(ConfigError, match="settings must be"):
        Run.from_json(text)


def test_a_missing_part_is_named():
    with pytest.raises(ConfigError, match="data must be given"):
        Run.from_json("{}")


def test_equal_settings_give_equal_text():
    run = make_run()
    assert dataclasses.replace(run, seed=0).to_json() == run.to_json()
    assert dataclasses.replace(run, seed=1).to_json() != run.to_json()


REQUIRED = {
    "csv": {"path": "/tmp/x.csv", "label": "y"},
    "image_folder": {"path": "/tmp/x"},
    "confident": {"threshold": 5.0, "threshold_noise_scale": 2.0},
    "interactive": {"threshold": 5.0, "threshold_noise_scale": 2.0, "confidence": 0.9},
}


def test_every_registered_class_survives_json(monkeypatch):
    run = make_run()
    monkeypatch.undo()  # the real registries
    first = {group: next(iter(plain.registry(group).values())) for group in plain.GROUPS}
    usual = {group: cls() for group, cls in first.items()}
    usual["mechanism"] = plain.registry("mechanism")["none"]()
    for group in plain.GROUPS:
        for cls in plain.registry(group).values():
            part = cls(**REQUIRED.get(cls.name, {}))
            privacy = Privacy(target_epsilon=None if cls.name == "none" else 1.0)
            changes = {**usual, group: part}
            if group == "mechanism":
                changes["privacy"] = privacy
            read = Run.from_json(dataclasses.replace(run, **changes).to_json())
            assert getattr(read, group) == part
            assert type(getattr(read, group)) is cls

"""Hospitals of one federation that train something else: who, and what each is told.

The coordinator may choose a hospital's kind of teacher and its settings. `models` is for a
simulation only: a real hospital's own `site.yaml` says where its program and its model are.
"""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from fedpate.errors import ConfigError
from fedpate.federation import plain
from fedpate.learning.own_models import Models


@dataclass(frozen=True)
class Override:
    """What is different at one hospital; None: as everywhere."""

    teacher: Any = None  # a registered class
    models: Models = field(default_factory=Models)


def read(raw: Any, hospitals: int | None) -> dict[str, Override]:
    """What a user typed, by the hospitals' names.

    Args:
      raw: hospital -> the name of a kind of teacher, or {teacher: NAME, or {name: NAME, SETTING:
        VALUE, ...}, models: {...}}, or an `Override`. A number is that hospital of a simulation.
      hospitals: how many there are; None: the data say.

    Raises:
      ConfigError: a number that no hospital has, a hospital twice, or what its class refuses.
    """
    if raw is not None and not isinstance(raw, Mapping):
        raise ConfigError(f"hospital_overrides must be {{HOSPITAL: TEACHER, ...}}, got {raw!r}")
    named: dict[str, Override] = {}
    for key, value in (raw or {}).items():
        name = _name(str(key), hospitals)
        if name in named:
            raise ConfigError(f"hospital_overrides must name a hospital once, got {name} twice")
        named[name] = value if isinstance(value, Override) else _override(name, value)
    return named


def _name(key: str, hospitals: int | None) -> str:
    if not key.isdecimal():
        return key
    if hospitals is not None and int(key) >= hospitals:
        raise ConfigError(f"hospital_overrides must name hospitals in [0, {hospitals}), got {key}")
    return f"hospital-{int(key)}"


def _override(name: str, value: Any) -> Override:
    if isinstance(value, str):
        value = {"teacher": value}
    if not isinstance(value, Mapping):
        raise ConfigError(f"hospital_overrides.{name} must be a kind of teacher, got {value!r}")
    fields = dict(value)
    if isinstance(fields.get("teacher"), str):
        fields["teacher"] = {"name": fields["teacher"]}
    return plain.build(Override, fields, f"hospital_overrides.{name}.")


def require_hospitals(run_overrides: Mapping[str, Override], names: Collection[str]) -> None:
    """Refuse an override of a hospital that is not there.

    Raises:
      ConfigError: with the first such name.
    """
    for name in run_overrides:
        if name not in names:
            raise ConfigError(
                f"hospital_overrides must name hospitals of this federation, got {name!r}"
            )


def settings_for(settings: Any, overrides: Mapping[str, Override], hospital: str) -> Any:
    """The `TrainSettings` of one hospital: its own part of the overrides and nobody else's."""
    override, simulation = overrides.get(hospital), settings.simulation
    if override is None:
        return settings
    if simulation is not None:
        models = _own_first(override.models, simulation.models)
        simulation = dataclasses.replace(simulation, models=models)
    teacher = override.teacher or settings.teacher
    return dataclasses.replace(settings, teacher=teacher, simulation=simulation)


def teacher_of(run: Any, hospital: str) -> tuple[Any, Models]:
    """What one simulated hospital of a `Run` trains, and what it has already."""
    override = run.hospital_overrides.get(hospital, Override())
    return override.teacher or run.teacher, _own_first(override.models, run.models)


def _own_first(own: Models, everywhere: Models) -> Models:
    return Models(own.command or everywhere.command, own.onnx or everywhere.onnx)

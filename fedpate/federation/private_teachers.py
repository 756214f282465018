"""The price of votes whose teachers are private themselves (teacher=dpsgd): an alternative route.

Formal guarantee. A patient is in one shard of one hospital. If every teacher of the federation is
(epsilon, delta)-DP for the patients of its shard, and their trainings draw independent noise, the
joint law of all teachers is that of one (epsilon, delta)-DP training for any patient: parallel
composition. Whatever is computed from them, votes with or without noise, any number of them, is
post-processing. Numbers of patients per shard are taken as public: they do not change when a
patient is replaced, and noise and length of a training depend on them alone. A hospital moves all
of its teachers, each by all of its records: for a hospital this route gives nothing.

The same trained teachers must answer for ever (`fedpate.learning.trained_once`): a training is
named by everything that it was asked for, and another name is another charge.
"""

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from fedpate.data.preprocessing import Preprocessing
from fedpate.federation import plain
from fedpate.federation.overrides import settings_for
from fedpate.federation.settings import Run, TrainSettings
from fedpate.federation.side import Side
from fedpate.privacy.events import Event, from_private_teachers


@dataclass(frozen=True)
class Route:
    """A training of private teachers: its name, and what it costs a patient, once."""

    training: str
    epsilon: float
    delta: float

    def __call__(self, event: Event) -> Event:
        """The event, with this price beside its own."""
        return from_private_teachers(event, self.training, self.epsilon, self.delta)


def is_private(teacher: Any) -> bool:
    """Whether a kind of teacher has a price of its own."""
    return getattr(type(teacher), "private", False)


def training_name(settings: TrainSettings, preprocessing: Preprocessing) -> str:
    """Names the teachers that settings ask for, whatever is asked of them."""
    simulation = settings.simulation
    parts = [
        plain.dumps(settings.teacher),
        str([settings.teachers_per_hospital, settings.n_classes, settings.seed]),
        preprocessing.hash(),
    ]
    if simulation is not None:
        parts += [plain.dumps(simulation.data), plain.dumps(simulation.partition)]
        parts.append(str([simulation.hospitals, simulation.noise_seed]))
    return sha256("\n".join(parts).encode()).hexdigest()


def route_of(run: Run, side: Side) -> Route | None:
    """The alternative price of a run; None unless the teachers of all its hospitals are private.

    All that are expected count: one that drops out takes nobody's guarantee away.
    """
    told = [settings_for(side.settings, run.hospital_overrides, name) for name in side.hospitals]
    if not told or not all(is_private(own.teacher) for own in told):
        return None
    names = json.dumps([training_name(own, side.preprocessing) for own in told])
    return Route(
        training=sha256(names.encode()).hexdigest(),
        epsilon=max(own.teacher.target_epsilon for own in told),
        delta=max(own.teacher.delta for own in told),
    )

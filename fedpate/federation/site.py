"""What a node is: the only module that knows a simulated hospital from a real one.

A simulated hospital (`partition-id` in its node's configuration) finds its records, its teachers
and its private folder through `TrainSettings.simulation`, which names them on this machine.
"""

import logging
import os
from pathlib import Path

from flwr.app import Context

from fedpate.data.federated import Federated, federate
from fedpate.errors import ConfigError
from fedpate.federation.answers import AnswerCache
from fedpate.federation.cache_folder import default_store
from fedpate.federation.hospital import Hospital
from fedpate.federation.refusals import Code, Refusal
from fedpate.federation.settings import Run, Simulation, TrainSettings
from fedpate.federation.side import Side
from fedpate.learning.store import TeacherStore
from fedpate.privacy.noise import Entropy, OsEntropy, SeededEntropy

VERBOSE = "FEDPATE_VERBOSE"  # environment: simulated hospitals show their logs


def hospital_log(context: Context) -> logging.Logger:
    """Where a hospital says what went wrong: its own log, which a simulation does not show."""
    if _partition(context) is None:
        return logging.getLogger("fedpate.hospital")
    log = logging.getLogger("fedpate.hospital.simulated")
    log.propagate = os.environ.get(VERBOSE) == "1"
    if not log.handlers:
        log.addHandler(logging.NullHandler())  # else the last-resort handler prints to stderr
    return log


def hospital_name(context: Context) -> str:
    """The name by which the federation knows this node.

    Raises:
      Refusal: the node is not a hospital.
    """
    return simulated_name(_require_partition(context))


def open_hospital(context: Context, settings: TrainSettings) -> Hospital:
    """The hospital that this node is.

    Raises:
      Refusal: the node is not a hospital, or not one that takes these settings.
    """
    index, simulation = _require_partition(context), settings.simulation
    if simulation is None or index >= simulation.hospitals:
        raise Refusal(Code.SETTINGS)
    return simulated_hospital(index, settings, simulation)


def simulated_name(index: int) -> str:
    """The name of a simulated hospital: seeds follow it."""
    return f"hospital-{index}"


def simulated_hospital(index: int, settings: TrainSettings, simulation: Simulation) -> Hospital:
    """One hospital of a simulation, in whichever process."""
    name, store = simulated_name(index), Path(simulation.store)

    def entropy(batch: str) -> Entropy:
        if simulation.noise_seed is None:
            return OsEntropy()
        return SeededEntropy(simulation.noise_seed, name, batch)

    return Hospital(
        name=name,
        shards=lambda: simulated_data(settings, simulation).shards(index),
        store=simulated_store(simulation),
        folder=Path(simulation.folder) / "hospitals" / name,
        answers=AnswerCache(store / "answers" / f"{name}.sqlite", durable=False),
        entropy=entropy,
    )


def simulated_data(settings: TrainSettings, simulation: Simulation) -> Federated:
    """Who holds what in a simulation; computed once per process."""
    return federate(
        simulation.data,
        simulation.partition,
        simulation.hospitals,
        settings.teachers_per_hospital,
        settings.seed,
    )


def simulated_store(simulation: Simulation) -> TeacherStore:
    """The teachers of all simulated hospitals."""
    return TeacherStore(Path(simulation.store) / "teachers")


def coordinator_side(run: Run, folder: Path) -> Side:
    """What the coordinator of a simulation starts with.

    Args:
      run: the settings.
      folder: the run's private work folder.

    Raises:
      ConfigError, DataError: the data cannot be used, or do not fit the settings.
    """
    truth = federate(run.data, run.partition, run.hospitals, run.teachers_per_hospital, run.seed)
    n_hospitals, n_classes = truth.partition.n_hospitals, truth.dataset.n_classes
    if run.min_hospitals is not None and run.min_hospitals > n_hospitals:
        raise ConfigError(
            f"min_hospitals must be <= {n_hospitals}, the hospitals of data={run.data.name}, "
            f"got {run.min_hospitals}"
        )
    simulation = Simulation(
        data=run.data,
        partition=run.partition,
        hospitals=n_hospitals,
        folder=str(folder),
        store=run.store or str(default_store()),
        noise_seed=run.noise_seed if run.trust == "local" else None,
    )
    settings = TrainSettings(
        teacher=run.teacher,
        teachers_per_hospital=run.teachers_per_hospital,
        n_classes=n_classes,
        seed=run.seed,
        device=run.device,
        simulation=simulation,
    )
    return Side(
        data_name=truth.dataset.name,
        n_classes=n_classes,
        n_hospitals=n_hospitals,
        pool=truth.pool(),
        test=truth.test(),
        preprocessing=truth.preprocessing(),
        settings=settings,
        truth=truth,
    )


def _partition(context: Context) -> int | None:
    index = context.node_config.get("partition-id")
    return index if isinstance(index, int) else None


def _require_partition(context: Context) -> int:
    index = _partition(context)
    if index is None:
        raise Refusal(Code.NO_SITE)
    return index

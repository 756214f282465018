"""What a node is: the only module that knows a simulated hospital from a real one.

A simulated hospital (`partition-id` in its node's configuration) finds its records, its teachers
and its private folder through `TrainSettings.simulation`, which names them on this machine. A real
one (`site-config`) finds them through its own site file (`own_site`), and refuses settings that
name any.
"""

import logging
import os
from pathlib import Path
from typing import Any

from flwr.app import Context

from fedpate import rng
from fedpate.data.dealing import NOBODY
from fedpate.data.federated import Federated, federate
from fedpate.data.sources import load_cached
from fedpate.data.splits import split
from fedpate.errors import ConfigError
from fedpate.federation import overrides
from fedpate.federation.answers import AnswerCache
from fedpate.federation.cache_folder import default_store
from fedpate.federation.guard import GuardedHospital
from fedpate.federation.hospital import Hospital
from fedpate.federation.hospital_log import HospitalLog
from fedpate.federation.job import Deployment
from fedpate.federation.own_site import CONFIG, Site
from fedpate.federation.policy import Policy
from fedpate.federation.private_teachers import is_private
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


def audit_log(context: Context) -> HospitalLog | None:
    """Where a real hospital keeps what was asked and decided; a simulated one keeps no such log."""
    site = _own_site(context)
    return None if site is None else site.log()


def policy_hash(context: Context) -> str | None:
    """Names the rules in force at a real hospital; None if they cannot be read."""
    site = _own_site(context)
    try:
        return None if site is None else Policy.read(site.kit.policy).hash()
    except ConfigError:
        return None


def introduction(context: Context) -> tuple[str, dict[str, Any]]:
    """The name by which the federation knows this node, and the limits of its policy.

    Raises:
      Refusal: the node is not a hospital.
    """
    site = _own_site(context)
    if site is not None:
        return site.kit.hospital, Policy.read(site.kit.policy).limits()
    return simulated_name(_require_partition(context)), {}


def open_hospital(context: Context, settings: TrainSettings) -> Hospital | GuardedHospital:
    """The hospital that this node is; a real one is behind its policy.

    Raises:
      Refusal: the node is not a hospital, or not one that takes these settings.
    """
    site = _own_site(context)
    if site is not None:
        return site.hospital(settings)
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
        shards=lambda: simulated_data(settings, simulation).shards(
            index, one_per_patient=is_private(settings.teacher)
        ),
        store=simulated_store(simulation),
        folder=Path(simulation.folder) / "hospitals" / name,
        answers=AnswerCache(store / "answers" / f"{name}.sqlite", durable=False),
        entropy=entropy,
        models=simulation.models,
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
    limit = round(simulation.store_gb * 1e9)
    return TeacherStore(Path(simulation.store) / "teachers", limit)


def coordinator_side(run: Run, folder: Path, deployment: Deployment | None = None) -> Side:
    """What a coordinator starts with.

    Args:
      run: the settings.
      folder: the run's private work folder.
      deployment: None for a simulation.

    Raises:
      ConfigError, DataError: the data cannot be used, or do not fit the settings.
    """
    if deployment is not None:
        return _deployed_side(run, deployment)
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
        store_gb=run.store_gb,
        models=run.models,
        noise_seed=run.noise_seed if run.trust == "local" or _some_private(run) else None,
    )
    settings = TrainSettings(
        teacher=run.teacher,
        teachers_per_hospital=run.teachers_per_hospital,
        n_classes=n_classes,
        seed=run.seed,
        device=run.device,
        votes=run.votes,
        simulation=simulation,
    )
    return Side(
        data_name=truth.dataset.name,
        n_classes=n_classes,
        pool=truth.pool(),
        test=truth.test(),
        preprocessing=truth.preprocessing(),
        settings=settings,
        schema=truth.schema(),
        truth=truth,
        federation=f"simulation of {truth.dataset.name}",
        hospitals=tuple(simulated_name(index) for index in range(n_hospitals)),
        engine=run.engine,
        ledger=run.privacy.ledger,
        columns=truth.dataset.columns,
    )


def _deployed_side(run: Run, deployment: Deployment) -> Side:
    """A deployment's coordinator has public records only: `data` gives pool and test set.

    They are cut as in a simulation; what a simulation would deal to hospitals is not looked at.
    """
    overrides.require_hospitals(run.hospital_overrides, deployment.hospitals)
    dataset = load_cached(run.data)
    parts = split(dataset, run.data, rng.stream(run.seed, "split"))
    public = Federated(dataset, parts, NOBODY)
    return Side(
        data_name=dataset.name,
        n_classes=dataset.n_classes,
        pool=public.pool(),
        test=public.test(),
        preprocessing=public.preprocessing(),
        settings=TrainSettings(
            teacher=run.teacher,
            teachers_per_hospital=run.teachers_per_hospital,
            n_classes=dataset.n_classes,
            seed=run.seed,
            device=run.device,
            votes=run.votes,
        ),
        truth=None,
        federation=deployment.federation,
        hospitals=deployment.hospitals,
        engine="deployment",
        ledger=deployment.ledger,
        columns=dataset.columns,
        schema=public.schema(),
        submitter=deployment.submitter,
    )


def _some_private(run: Run) -> bool:
    teachers = [run.teacher, *(one.teacher for one in run.hospital_overrides.values())]
    return any(is_private(teacher) for teacher in teachers)


def _own_site(context: Context) -> Site | None:
    path = context.node_config.get(CONFIG)
    return Site.read(Path(path)) if isinstance(path, str) and path else None


def _partition(context: Context) -> int | None:
    index = context.node_config.get("partition-id")
    return index if isinstance(index, int) else None


def _require_partition(context: Context) -> int:
    index = _partition(context)
    if index is None:
        raise Refusal(Code.NO_SITE)
    return index

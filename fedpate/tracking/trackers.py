"""The trackers that `tracking=` names. Another one is a class like these, entered in `TRACKERS`.

Nothing is sent anywhere unless `tracking.uri` says so, and no library reports on its users.
"""

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from fedpate.errors import ConfigError
from fedpate.learning import extras
from fedpate.tracking.record import Record


class Tracker(Protocol):
    """Takes note of finished runs; an instance is its settings."""

    name: ClassVar[str]

    def track(self, record: Record) -> None:
        """Take note of one run; whatever it raises is told and costs the run nothing."""


@dataclass(frozen=True)
class NoTracking:
    """The run directory is all there is."""

    name: ClassVar[str] = "none"

    def track(self, record: Record) -> None:
        """Nothing to do."""


@dataclass(frozen=True)
class TensorBoard:
    """Event files for `tensorboard --logdir`."""

    name: ClassVar[str] = "tensorboard"
    folder: str | None = None  # None: `tensorboard` in the run directory

    def __post_init__(self) -> None:
        extras.require("tensorboardX", "tracking=tensorboard")

    def track(self, record: Record) -> None:
        """Parameters as text, numbers as scalars, epsilon over the charges."""
        from tensorboardX import SummaryWriter

        place = Path(self.folder) / record.name if self.folder else record.folder / self.name
        with SummaryWriter(logdir=str(place)) as writer:
            rows = [f"| {key} | {value} |" for key, value in record.parameters.items()]
            writer.add_text("settings", "\n".join(["| setting | value |", "|---|---|", *rows]))
            writer.add_text("files", "\n".join(f"    {file.absolute()}" for file in record.files))
            for key, value in record.metrics.items():
                writer.add_scalar(key.replace(".", "/"), value)
            for spent in record.spent:
                tag = f"epsilon/{spent.unit}"
                writer.add_scalar(tag, spent.epsilon, spent.step, walltime=spent.seconds)


@dataclass(frozen=True)
class MlFlow:
    """An MLflow store: a SQLite file, or a server that you name."""

    name: ClassVar[str] = "mlflow"
    uri: str = "sqlite:///mlflow.db"
    experiment: str = "fedpate"
    artifacts: str = "mlartifacts"  # folder of copied files; a server has its own place

    def __post_init__(self) -> None:
        extras.require("mlflow", "tracking=mlflow")
        if not self.uri:
            raise ConfigError("tracking.uri must name a store, such as sqlite:///mlflow.db")

    def track(self, record: Record) -> None:
        """One MLflow run with parameters, metrics, epsilon over the charges and the files."""
        for library in ("mlflow", "alembic"):
            logging.getLogger(library).setLevel(logging.WARNING)
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=self.uri)
        run = client.create_run(self._experiment(client), run_name=record.name).info.run_id
        for key, setting in record.parameters.items():
            client.log_param(run, key, setting)
        for key, value in record.metrics.items():
            if math.isfinite(value):  # a store of numbers has no infinity: no noise, no price
                client.log_metric(run, key, value)
        for spent in record.spent:
            if math.isfinite(spent.epsilon):
                key, when = f"epsilon.{spent.unit}", int(1000 * spent.seconds)
                client.log_metric(run, key, spent.epsilon, timestamp=when, step=spent.step)
        for file in record.files:
            client.log_artifact(run, str(file))
        client.set_terminated(run)

    def _experiment(self, client: Any) -> str:
        """Its id; made if needed, by whichever of several points comes first."""
        found = client.get_experiment_by_name(self.experiment)
        if found is None:
            place = Path(self.artifacts).absolute().as_uri() if "sqlite" in self.uri else None
            try:
                return str(client.create_experiment(self.experiment, artifact_location=place))
            except Exception:
                found = client.get_experiment_by_name(self.experiment)
                if found is None:
                    raise
        return str(found.experiment_id)


TRACKERS: dict[str, type[Any]] = {cls.name: cls for cls in (NoTracking, TensorBoard, MlFlow)}

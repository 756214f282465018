"""Federated averaging, the baseline, as Flower's own strategy over our in-process grid.

Each round a hospital trains the common network on its own records and sends its weights, which
Flower's `FedAvg` averages by number of records. Simulation only: weights leave a hospital, and the
app exists nowhere but here.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg

from fedpate import rng
from fedpate.data.preprocessing import Preprocessing
from fedpate.federation.engines.identity import acting_as_coordinator
from fedpate.federation.engines.inprocess import InProcessGrid
from fedpate.learning.averaged import ROUNDS, Updates
from fedpate.learning.fitted import TorchTeacher
from fedpate.learning.nets import Net, Params, initial_params
from fedpate.records import LabelledData

ARRAYS, CONFIG, METRICS = "arrays", "config", "metrics"


@dataclass(frozen=True)
class Averaging:
    """One federation that averages weights."""

    net: Net
    shards: Sequence[LabelledData]  # all records of each hospital
    preprocessing: Preprocessing
    seed: int
    progress: Callable[[int], None]  # called with the number of rounds done since the last call

    def run(self, updates: Updates, name: str) -> TorchTeacher:
        """The common network after `ROUNDS` rounds.

        Args:
          updates: what a hospital does in a round.
          name: of the baseline: its random streams follow it.
        """
        initial = initial_params(self.net, rng.stream(self.seed, name, "weights"))
        grid = InProcessGrid(self._app(updates, name), len(self.shards))
        with _quiet(), acting_as_coordinator(grid.run.run_id):
            strategy = _InOrder(self.progress)
            result = strategy.start(grid, ArrayRecord(initial), num_rounds=ROUNDS)
        params: Params = dict(result.arrays.to_torch_state_dict())
        return TorchTeacher(self.net, params, self.preprocessing)

    def _app(self, updates: Updates, name: str) -> ClientApp:
        app = ClientApp()
        tables = [
            (
                torch.from_numpy(self.preprocessing.apply(shard.features)).reshape(
                    -1, *self.net.input_shape
                ),
                torch.from_numpy(np.array(shard.labels)),
            )
            for shard in self.shards
        ]

        @app.train()
        def train(message: Message, context: Context) -> Message:
            hospital = int(context.node_config["partition-id"])
            round_ = int(message.content[CONFIG]["server-round"])  # type: ignore[arg-type]
            features, labels = tables[hospital]
            params = updates.update(
                self.net,
                dict(message.content[ARRAYS].to_torch_state_dict()),  # type: ignore[union-attr]
                features,
                labels,
                rng.stream_seed(self.seed, name, hospital, round_),
            )
            metrics = MetricRecord({"num-examples": len(labels), "hospital": hospital})
            content = RecordDict({ARRAYS: ArrayRecord(params), METRICS: metrics})
            return Message(content, reply_to=message)

        return app


class _InOrder(FedAvg):
    """Adds in the order of the hospitals: Flower's is random, and floats remember it."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        super().__init__(fraction_evaluate=0.0, min_train_nodes=1, min_available_nodes=1)
        self._done = progress

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Flower's weighted mean."""
        self._done(1)
        return super().aggregate_train(server_round, sorted(replies, key=_hospital))


@contextmanager
def _quiet() -> Iterator[None]:
    """Flower tells of every round, in its own format; the run's display does already."""
    log = logging.getLogger("flwr")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _hospital(reply: Message) -> Any:
    if reply.has_error():
        raise RuntimeError("a hospital's round of federated averaging failed")
    return reply.content[METRICS]["hospital"]

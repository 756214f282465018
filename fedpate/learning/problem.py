"""What a semi-supervised training starts from: a network, labelled records, and the whole pool."""

from dataclasses import dataclass

import torch

from fedpate.data.preprocessing import Preprocessing
from fedpate.learning.nets import Net
from fedpate.records import LabelledData, QueryBatch


@dataclass(frozen=True, eq=False)
class Problem:
    """Preprocessed records in the shape in which they enter the network, on the CPU."""

    net: Net
    records: torch.Tensor  # (n, *input_shape) float32: those with a released label
    labels: torch.Tensor  # (n,) int64
    pool: torch.Tensor  # (m, *input_shape) float32: all the coordinator has, labelled or not

    @classmethod
    def of(
        cls, net: Net, answered: LabelledData, pool: QueryBatch, preprocessing: Preprocessing
    ) -> "Problem":
        """Preprocess; nothing but released labels and the pool is in reach."""
        records, everything = (
            torch.from_numpy(preprocessing.apply(features)).reshape(-1, *net.input_shape)
            for features in (answered.features, pool.features)
        )
        return cls(net, records, torch.from_numpy(answered.labels), everything)

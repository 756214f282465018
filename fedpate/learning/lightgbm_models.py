"""Gradient-boosted trees of LightGBM, as `fedpate.learning.adapted` uses them. One thread each."""

from typing import TYPE_CHECKING, Any

import numpy as np

from fedpate import rng
from fedpate.data.preprocessing import Floats32
from fedpate.learning import extras
from fedpate.records import Floats, Ints

if TYPE_CHECKING:
    from fedpate.learning.other_kinds import Lightgbm


def fit(settings: "Lightgbm", rows: Floats32, places: Ints, seed: int) -> Any:
    """Train boosted trees; the same seed gives the same trees."""
    lightgbm = extras.load("lightgbm")
    m = int(places.max()) + 1
    objective = {"objective": "multiclass", "num_class": m} if m > 2 else {"objective": "binary"}
    parameters = {
        **objective,
        "num_leaves": settings.leaves,
        "learning_rate": settings.learning_rate,
        # The default of 20 records per leaf cannot split a shard of 30.
        "min_data_in_leaf": max(2, min(20, len(rows) // 10)),
        "min_data_in_bin": 1,
        "seed": rng.stream_seed(seed, "lightgbm") % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(rows, places, params=parameters)
    return lightgbm.train(parameters, data, settings.rounds)


def probabilities(model: Any, rows: Floats32) -> Floats:
    """(n, m) shares; of two classes the model gives the second's only."""
    shares = np.asarray(model.predict(rows, num_threads=1), np.float64)
    return shares if shares.ndim == 2 else np.stack([1 - shares, shares], axis=1)


def dump(model: Any) -> bytes:
    """LightGBM's text format."""
    text: str = model.model_to_string()
    return text.encode()


def load(content: bytes) -> Any:
    """What `dump` wrote."""
    return extras.load("lightgbm").Booster(model_str=content.decode())

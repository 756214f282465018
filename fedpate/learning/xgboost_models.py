"""Gradient-boosted trees of XGBoost, as `fedpate.learning.adapted` uses them. One thread each."""

from typing import TYPE_CHECKING, Any

import numpy as np

from fedpate import rng
from fedpate.data.preprocessing import Floats32
from fedpate.learning import extras
from fedpate.records import Floats, Ints

if TYPE_CHECKING:
    from fedpate.learning.other_kinds import Xgboost


def fit(settings: "Xgboost", rows: Floats32, places: Ints, seed: int) -> Any:
    """Train boosted trees; the same seed gives the same trees."""
    xgboost = extras.load("xgboost")
    m = int(places.max()) + 1
    objective = {"objective": "multi:softprob", "num_class": m}
    parameters = {
        **(objective if m > 2 else {"objective": "binary:logistic"}),
        "max_depth": settings.max_depth,
        "eta": settings.learning_rate,
        "subsample": settings.subsample,
        "seed": rng.stream_seed(seed, "xgboost") % 2**31,
        "nthread": 1,
        "verbosity": 0,
    }
    return xgboost.train(parameters, xgboost.DMatrix(rows, places, nthread=1), settings.rounds)


def probabilities(model: Any, rows: Floats32) -> Floats:
    """(n, m) shares; of two classes the model gives the second's only."""
    xgboost = extras.load("xgboost")
    shares = np.asarray(model.predict(xgboost.DMatrix(rows, nthread=1)), np.float64)
    return shares if shares.ndim == 2 else np.stack([1 - shares, shares], axis=1)


def dump(model: Any) -> bytes:
    """XGBoost's binary JSON."""
    return bytes(model.save_raw("ubj"))


def load(content: bytes) -> Any:
    """What `dump` wrote."""
    xgboost = extras.load("xgboost")
    return xgboost.Booster({"nthread": 1}, model_file=bytearray(content))

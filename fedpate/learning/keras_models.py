"""Dense networks of Keras on its torch backend, as `fedpate.learning.adapted` uses them.

Weights and batches come from the teacher's seed alone; Keras' global generator is not touched.
"""

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load as read_arrays
from safetensors.numpy import save as write_arrays

from fedpate import rng
from fedpate.data.preprocessing import Floats32
from fedpate.learning import extras
from fedpate.learning.schedule import Training, make_schedule
from fedpate.records import Floats, Ints

if TYPE_CHECKING:
    from fedpate.learning.other_kinds import Keras

ROWS_AT_ONCE = 4096


def fit(settings: "Keras", rows: Floats32, places: Ints, seed: int) -> Any:
    """Minimize the cross-entropy with Keras' own AdamW."""
    keras = extras.load("keras")
    training, own = Training.of(settings), np.random.default_rng(seed)
    model = _network((rows.shape[1], *settings.hidden, int(places.max()) + 1), seed)
    schedule = make_schedule(len(rows), training, own, images=False)
    model.compile(
        keras.optimizers.AdamW(training.learning_rate, weight_decay=training.weight_decay),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=True,
    )
    for step, batch in enumerate(schedule.rows):
        chosen = batch[batch >= 0]
        model.optimizer.learning_rate = training.rate(step, schedule.steps)
        model.train_on_batch(rows[chosen], places[chosen])
    return model


def probabilities(model: Any, rows: Floats32) -> Floats:
    """(n, m) softmax of the logits."""
    import torch

    found = []
    with torch.inference_mode():
        for start in range(0, len(rows), ROWS_AT_ONCE):
            logits = model(rows[start : start + ROWS_AT_ONCE], training=False)
            found.append(torch.softmax(logits.double(), dim=1).cpu().numpy())
    return np.concatenate(found)


def dump(model: Any) -> bytes:
    """The weights in order, as safetensors."""
    weights = {
        f"{at:03}": np.ascontiguousarray(variable.value.detach().cpu().numpy())
        for at, variable in enumerate(model.weights)
    }
    widths = [int(model.inputs[0].shape[1]), *(int(layer.units) for layer in model.layers)]
    return write_arrays(weights, {"widths": json.dumps(widths)})


def load(content: bytes) -> Any:
    """What `dump` wrote."""
    size = int.from_bytes(content[:8], "little")  # a safetensors file begins with its header
    widths = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["widths"])
    model = _network(tuple(widths), seed=0)
    arrays = [values for _, values in sorted(read_arrays(content).items())]
    for variable, values in zip(model.weights, arrays, strict=True):
        variable.assign(values)
    return model


def _network(widths: tuple[int, ...], seed: int) -> Any:
    """Dense layers with a ReLU between them; He initialization from the seed."""
    keras = extras.load("keras")
    layers = [keras.Input((widths[0],))]
    for index, (_, outputs) in enumerate(pairwise(widths)):
        initial = keras.initializers.HeUniform(rng.stream_seed(seed, "keras", index) % 2**31)
        activation = "relu" if index < len(widths) - 2 else None
        layers.append(keras.layers.Dense(outputs, activation, kernel_initializer=initial))
    return keras.Sequential(layers)

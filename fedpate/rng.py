"""Named random streams: every generator is made from the run's seed and a name.

Two streams of one seed are independent, and adding a stream moves no other. These streams train
models and deal patients. Privacy noise never comes from here unless `noise_seed` is set, and then
the run says "seeded noise: no guarantee" (`fedpate.privacy.noise`).
"""

import hashlib

import numpy as np


def stream_seed(seed: int, *names: str | int) -> int:
    """A 128-bit seed from the run's seed and the stream's name."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """The generator of one named stream, e.g. `stream(seed, "shards", "hospital-3")`."""
    return np.random.default_rng(stream_seed(seed, *names))

"""Mechanisms for vote counts in a numpy array: from votes to noisy labels.

>>> import numpy as np
>>> from fedpate import mechanisms
>>> counts = np.array([[49, 1], [20, 30], [0, 50]])  # three queries, two classes, fifty teachers
>>> labels = mechanisms.release(counts, mechanisms.GaussianMax(noise_scale=0.5))
>>> labels.tolist()  # far less noise than there is difference between the classes
[0, 1, 1]

Each is a frozen dataclass whose fields are the settings of the command line's `mechanism=NAME`; it
states its price beforehand (`fedpate.accountant.price`). `MECHANISMS` has them by name.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from fedpate.privacy.histograms import validated
from fedpate.privacy.mechanism import Mechanism
from fedpate.privacy.mechanisms import (
    MECHANISMS,
    ConfidentMax,
    GaussianMax,
    GumbelMax,
    InteractiveMax,
    LaplaceMax,
    NoNoise,
    PermuteAndFlip,
    RandomizedResponse,
)
from fedpate.privacy.noise import Entropy, OsEntropy
from fedpate.records import NO_ANSWER, Ints, Votes

__all__ = [
    "MECHANISMS",
    "NO_ANSWER",
    "ConfidentMax",
    "GaussianMax",
    "GumbelMax",
    "InteractiveMax",
    "LaplaceMax",
    "Mechanism",
    "NoNoise",
    "PermuteAndFlip",
    "RandomizedResponse",
    "release",
]


def release(
    counts: npt.NDArray[Any], mechanism: Mechanism, *, entropy: Entropy | None = None
) -> Ints:
    """One noisy label per query; charges nothing: the ledger is the caller's to keep.

    Args:
      counts: (n_queries, n_classes) vote counts; every row sums to the number of teachers.
      mechanism: with its noise set.
      entropy: where the noise comes from; the operating system by default.

    Returns:
      (n_queries,) labels; `NO_ANSWER` (-1) where the mechanism declines.

    Raises:
      DataError: not vote counts.
      ConfigError: the mechanism's noise is not set.
    """
    votes = validated(counts, "counts")
    tally = Votes(np.arange(len(votes)), votes, int(votes[0].sum()))
    return mechanism.release(tally, entropy or OsEntropy()).labels

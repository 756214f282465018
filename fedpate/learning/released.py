"""What a student may learn from: the pool's records that have a released label."""

import warnings

import numpy as np

from fedpate.errors import NothingReleased, PredictionError
from fedpate.records import Ints, LabelledData, QueryBatch, Release


def answered_records(pool: QueryBatch, release: Release, n_classes: int) -> LabelledData:
    """The pool's records that have a released label, in the order of the release.

    Raises:
      NothingReleased, PredictionError: as `answered_rows`.
    """
    rows = answered_rows(pool, release)
    return LabelledData(pool.features[rows], release.labels[release.answered], n_classes)


def answered_rows(pool: QueryBatch, release: Release) -> Ints:
    """Where in the pool the records with a released label are, in the order of the release.

    Raises:
      NothingReleased: no query was answered.
      PredictionError: a released query that the pool does not have.
    """
    answered = release.answered
    if not answered.any():
        raise NothingReleased(
            f"a student needs at least one label, none of {len(answered)} queries was answered"
        )
    order = np.argsort(pool.query_ids)
    place = np.searchsorted(pool.query_ids, release.query_ids[answered], sorter=order)
    rows = order[np.minimum(place, len(order) - 1)]
    missing = pool.query_ids[rows] != release.query_ids[answered]
    if missing.any():
        raise PredictionError(
            f"every released query must be in the pool, {missing.sum()} of {len(missing)} are not"
        )
    return rows


def is_constant(answered: LabelledData) -> bool:
    """Whether all labels are one class; warns, since accuracy may hide it."""
    constant = len(np.unique(answered.labels)) == 1
    if constant:
        warnings.warn(
            f"all {len(answered)} released labels are one class: the student is constant",
            UserWarning,
            stacklevel=3,
        )
    return constant

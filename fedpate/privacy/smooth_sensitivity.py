"""Local sensitivities of the PATE 2018 bounds: what one vote can change in them, near the votes.

[P18] Papernot et al., arXiv:1802.08908, Appendix B: Algorithms 4 and 5, Props. 14 and 19, Theorem
20. Symbols are those of `fedpate.privacy.gnmax_curve`. Arrays are (n_queries, n_teachers + 1): the
sensitivity within distance d = 0, 1, ..., n_teachers.

NOT RELEASABLE: a local sensitivity looks at the votes.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy import special

from fedpate.privacy.gnmax_curve import GnmaxCurve
from fedpate.privacy.pate_bounds import gnmax_log_q, threshold_rdp
from fedpate.records import Floats, Ints

_BLOCK = 512  # histograms walked at a time, and
_POSITIONS = 4096  # positions on walks: arrays that stay in the cache, and are cheap to make


def gnmax_local_sensitivities(counts: Ints, curve: GnmaxCurve) -> Floats:
    """[P18] Algorithms 4 and 5 for every query: (n_queries, n_teachers + 1), growing with d.

    The largest q within distance d comes from moving votes from the winner to the runner-up, the
    smallest from moving them from the currently second to the winner. Valid under C5 and C6.
    """
    rows = -np.sort(-counts, axis=1)
    result = np.full((len(rows), int(rows[0].sum()) + 1), curve.plateau)
    log_q = gnmax_log_q(rows, curve.sigma)
    for start in range(0, len(rows), _BLOCK):
        part = np.arange(start, min(start + _BLOCK, len(rows)))
        for walk, going in (
            (_right, log_q[part] < curve.log_q1),
            (_left, log_q[part] > curve.log_q0),
        ):
            if going.any():
                _fill(result, part[going], *walk(rows[part[going]], curve), curve)
    return np.maximum.accumulate(result, axis=1, out=result)


def _fill(
    result: Floats, queries: Ints, walker: Ints, step: Ints, log_q: Floats, curve: GnmaxCurve
) -> None:
    """Sensitivities along walks, as long as q is outside [q_1, q_0]; then the plateau stays."""
    outside = np.flatnonzero((log_q < curve.log_q1) | (log_q > curve.log_q0))
    for start in range(0, len(outside), _POSITIONS):
        part = outside[start : start + _POSITIONS]
        result[queries[walker[part]], step[part]] = curve.sensitivity(log_q[part])


def _right(rows: Ints, curve: GnmaxCurve) -> tuple[Ints, Ints, Floats]:
    """Strong consensus: each step closes the winner's lead over the runner-up by two votes.

    Args:
      rows: (n_walkers, n_classes), each falling.

    Returns:
      Which walker, which step, and log q there; each (n_positions,). Walks end where the runner-up
      alone brings q to q_1.
    """
    gaps = rows[:, :1] - rows[:, 1:]
    log_beats = _log_beats(int(gaps.max()), curve.sigma)
    near = int((log_beats >= curve.log_q1).sum()) - 1  # the largest gap that is enough
    lengths = np.maximum(gaps[:, 0] - near, 0) // 2 + 1
    walker, step = _ragged(lengths)
    columns = [np.maximum(np.repeat(gaps[:, 0], lengths) - 2 * step, 0)]
    columns += [np.repeat(gap, lengths) - step for gap in gaps.T[1:]]
    return walker, step, _log_sum_of(columns, log_beats)


def _left(rows: Ints, curve: GnmaxCurve) -> tuple[Ints, Ints, Floats]:
    """Weak consensus: each step moves a vote from the currently second to the winner.

    After d steps the losers are cut down to a common level, some of those on it by one vote more.
    Walks end when no loser has a vote.
    """
    losers = rows[:, 1:]
    n_losers, highest = losers.shape[1], int(losers.max())
    heights = np.arange(highest, -1, -1)
    # how many losers stand at least at each height: as many steps start from there
    standing = np.bincount(
        (np.arange(len(rows))[:, None] * (highest + 1) + highest - losers).ravel(),
        minlength=len(rows) * (highest + 1),
    )
    standing = np.cumsum(standing.reshape(len(rows), -1), axis=1)
    standing[:, -1] = 1  # the last step has no vote left to move
    above = np.cumsum(standing, axis=1) - standing  # votes above each height
    walker, step = _ragged(standing.sum(axis=1))
    level = np.repeat(np.tile(heights, len(rows)), standing.ravel())
    log_beats = _log_beats(int(rows.sum(axis=1).max()) + 1, curve.sigma)
    # q <= n_losers * Pr[the closest loser wins]: where that is below q_0 the walk is over
    far = int((log_beats > curve.log_q0 - math.log(n_losers)).sum())
    going = rows[walker, 0] + step - level <= far
    walker, step, level = walker[going], step[going], level[going]
    extra = step - above[walker, highest - level]
    columns = []
    for j in range(n_losers):
        height, top = losers[walker, j], rows[walker, 0] + step
        columns.append(top - np.minimum(height, level) + ((height >= level) & (extra > j)))
    return walker, step, _log_sum_of(columns, log_beats)


def _ragged(lengths: Ints) -> tuple[Ints, Ints]:
    """All (i, step) with step < lengths[i]."""
    walker = np.repeat(np.arange(len(lengths)), lengths)
    return walker, np.arange(len(walker)) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _log_beats(largest: int, sigma: float) -> Floats:
    """log Pr[a loser beats the winner] by the gap between them, 0 ... largest."""
    return np.asarray(special.log_ndtr(-np.arange(largest + 1) / (math.sqrt(2) * sigma)))


def _log_sum_of(columns: list[Ints], log_beats: Floats) -> Floats:
    """[P18] Prop. 7 of histograms given by their gaps, one column per loser."""
    beats = np.exp(log_beats)
    total = beats[columns[0]]
    for gaps in columns[1:]:
        total += beats[gaps]
    with np.errstate(divide="ignore"):
        result = np.log(total)
    tiny = total < 1e-290
    if tiny.any():
        result[tiny] = special.logsumexp([log_beats[gaps[tiny]] for gaps in columns], axis=0)
    return np.asarray(result)


def threshold_sensitivities_at(
    largest: Ints, n_teachers: int, threshold: float, sigma_1: float, order: float
) -> Floats:
    """Local sensitivity of the threshold bit's bound at distance *exactly* d ([P18]'s code).

    Not monotone in d; `threshold_local_sensitivities` is what smooth sensitivity needs.

    Args:
      largest: (n_queries,) the largest count of each query.
    """
    rdp = threshold_rdp(np.arange(n_teachers + 1), threshold, sigma_1, order)[:, 0]
    change = np.abs(np.diff(rdp))
    local = np.maximum(np.append(change, 0.0), np.append(0.0, change))
    distance = np.arange(n_teachers + 1)
    result = np.zeros((len(largest), n_teachers + 1))
    for sign in (1, -1):
        reached = largest[:, None] + sign * distance
        inside = (reached >= 0) & (reached <= n_teachers)
        result = np.maximum(result, np.where(inside, local[reached.clip(0, n_teachers)], 0.0))
    return result


def threshold_local_sensitivities(
    largest: Ints, n_teachers: int, threshold: float, sigma_1: float, order: float
) -> Floats:
    """The largest local sensitivity of the threshold bit's bound *within* distance d."""
    exactly = threshold_sensitivities_at(largest, n_teachers, threshold, sigma_1, order)
    return np.maximum.accumulate(exactly, axis=1)


def smooth_sensitivity(local: Floats, beta: float) -> npt.NDArray[np.float64]:
    """max_d e^(-beta d) LS_d ([P18] Theorem 20) over the last axis; `local` must grow with d."""
    discount = np.exp(-beta * np.arange(local.shape[-1]))
    return np.asarray((local * discount).max(axis=-1))

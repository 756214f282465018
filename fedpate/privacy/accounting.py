"""What an event guarantees: the smallest of all valid (epsilon, delta) bounds, and which it is.

Every bound here is data-independent and holds for adaptive composition, so it may be published and
a budget may stop a run. Names of bounds:

  argmax_only    Rényi bounds of the released label and bit (`argmax_bound`), summed; not valid
                 towards anyone who sees noisy votes: those are GaussianVotes
  gaussian       closed form ([BW18], `gaussian`) when every piece is Gaussian
  pld            privacy loss distributions (`pld`), for Laplace, pure and mixed pieces
  bounded_range  Rényi bound of the exponential mechanism ([DDR20], `curves`)
  rdp            other Rényi bounds, summed
  pure           the sum of pure epsilons
  dpsgd_teachers the teachers are private themselves (DP-SGD): what their trainings cost, each once,
                 and by their votes whatever came from other teachers; epsilons and deltas add up
  none_asked     the empty event: epsilon 0
  non_private    something left without noise: infinite

The noise drawn may differ from the noise described by `event.slack` in total variation, on both
neighbouring inputs: (epsilon, d)-DP then becomes (epsilon, d + (1 + e^epsilon) slack)-DP. An
epsilon too large to afford that is infinite: it says that the coins themselves run out.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import combinations

import dp_accounting
import numpy as np
from scipy import optimize

from fedpate import _check
from fedpate.errors import ConfigError
from fedpate.privacy import costs, gaussian, pld
from fedpate.privacy.events import (
    BoundedRange,
    Event,
    LaplaceVotes,
    NoisyArgmax,
    NoisyThreshold,
    NonPrivate,
    Piece,
    by_votes,
    trainings,
)
from fedpate.privacy.rdp import ORDERS, epsilon_improved

_LARGEST_SCALE = 1e12  # votes; a target that needs more noise than this cannot be reached
_ACCURACY = 1e-5  # relative, of a calibrated scale
_FEW_TRAININGS = 4  # of private teachers: more are not looked at in every combination


@dataclass(frozen=True)
class Guarantee:
    """(epsilon, delta)-DP under replace-one, and the bound that shows it, with its Rényi order."""

    epsilon: float
    delta: float
    bound: str
    order: float | None = None


_Solver = Callable[[float], tuple[float, float | None]]  # delta -> epsilon, order


def guarantee(event: Event, delta: float) -> Guarantee:
    """The smallest valid bound.

    Raises:
      ConfigError: delta is not in (0, 1), or the noise's slack alone uses it up.
    """
    return min(bounds(event, delta).values(), key=lambda found: found.epsilon)


def bounds(event: Event, delta: float) -> dict[str, Guarantee]:
    """Every valid bound by its name; see `guarantee`."""
    return dict(_bounds(event, delta))


@lru_cache(maxsize=4096)
def _bounds(event: Event, delta: float) -> dict[str, Guarantee]:
    trained = trainings(event)
    if not trained:
        return _vote_bounds(event, delta)
    found = _vote_bounds(by_votes(event), delta)
    epsilon = min(_by_trainings(event, paid, delta) for paid in _subsets(trained))
    return {**found, "dpsgd_teachers": Guarantee(epsilon, delta, "dpsgd_teachers")}


def _by_trainings(event: Event, paid: dict[str, tuple[float, float]], delta: float) -> float:
    """Basic composition: the trainings in `paid`, and by its votes everything from other teachers.

    A training is (epsilon_t, delta_t)-DP and all that is computed from its teachers alone is
    post-processing, whatever is asked of them and when; (epsilon, delta) pairs add up under
    adaptive composition (Dwork, Roth 2014, Thm. 3.16).
    """
    left = delta - math.fsum(delta_ for _, delta_ in paid.values())
    epsilon = math.fsum(epsilon_ for epsilon_, _ in paid.values())
    rest = by_votes(event, paid)
    if not rest.pieces:
        return epsilon if left >= 0 else math.inf
    if left <= 2 * rest.slack:
        return math.inf
    return epsilon + min(found.epsilon for found in _vote_bounds(rest, left).values())


def _subsets(trained: dict[str, tuple[float, float]]) -> list[dict[str, tuple[float, float]]]:
    """The sets of trainings that may be paid for: all of them, or each of a few."""
    names = sorted(trained)
    sizes = range(1, len(names) + 1) if len(names) <= _FEW_TRAININGS else [len(names)]
    return [
        {name: trained[name] for name in chosen}
        for size in sizes
        for chosen in combinations(names, size)
    ]


def _vote_bounds(event: Event, delta: float) -> dict[str, Guarantee]:
    _check.open_unit(**{"privacy.delta": delta})
    if 2 * event.slack >= delta:
        raise ConfigError(
            f"privacy.delta must be > {2 * event.slack:g}, twice the statistical distance of the "
            f"noise, got {delta:g}"
        )
    found = {}
    for name, solver in _solvers(event).items():
        epsilon, order = _with_slack(solver, delta, event.slack)
        found[name] = Guarantee(epsilon, delta, name, order)
    return found


def _with_slack(solver: _Solver, delta: float, slack: float) -> tuple[float, float | None]:
    epsilon, order = solver(delta)
    if slack == 0 or epsilon in (0, math.inf):
        return epsilon, order
    # Any upper bound x of the answer will do for the price (1 + e^x) slack; half of delta gives x.
    generous, _ = solver(delta / 2)
    price = (1 + math.exp(min(generous, 700.0))) * slack
    return (math.inf, None) if price > delta / 2 else solver(delta - price)


def _solvers(event: Event) -> dict[str, _Solver]:
    pieces = event.pieces
    kinds = {type(piece) for piece, _ in pieces}
    if not pieces:
        return {"none_asked": lambda _: (0.0, None)}
    if NonPrivate in kinds:
        return {"non_private": lambda _: (math.inf, None)}
    solvers: dict[str, _Solver] = {_rdp_name(kinds): partial(_by_rdp, pieces)}
    if kinds <= set(costs.GAUSSIAN):
        solvers["gaussian"] = partial(_by_gaussian, pieces)
    else:
        solvers["pld"] = lambda delta: (pld.epsilon(pieces, delta), None)
    if not kinds & set(costs.GAUSSIAN):
        total = sum(costs.pure_epsilon(piece) * count for piece, count in pieces)
        solvers["pure"] = lambda _: (total, None)
    return solvers


def _rdp_name(kinds: set[type[Piece]]) -> str:
    if kinds & {NoisyArgmax, NoisyThreshold}:
        return "argmax_only"
    return "bounded_range" if BoundedRange in kinds else "rdp"


def _by_rdp(pieces: tuple[tuple[Piece, int], ...], delta: float) -> tuple[float, float]:
    curve = np.zeros(len(ORDERS))
    for piece, count in pieces:
        curve = curve + costs.rdp(piece) * count
    return epsilon_improved(ORDERS, curve, delta)


def _by_gaussian(pieces: tuple[tuple[Piece, int], ...], delta: float) -> tuple[float, None]:
    mus = [(costs.gaussian_mu(piece) or 0.0, count) for piece, count in pieces]
    # mu * mu becomes infinite where mu ** 2 would raise
    return gaussian.epsilon(math.sqrt(sum(mu * mu * count for mu, count in mus)), delta), None


def _quick_epsilon(event: Event, delta: float) -> float:
    """Least epsilon without the privacy loss distributions: an upper bound in microseconds."""
    if trainings(event):
        return guarantee(event, delta).epsilon
    solvers = [solver for name, solver in _solvers(event).items() if name != "pld"]
    return min(_with_slack(solver, delta, event.slack)[0] for solver in solvers)


def calibrate(make_event: Callable[[float], Event], target_epsilon: float, delta: float) -> float:
    """The smallest noise scale whose event meets the target: 1e-5 relative, rounded up, checked.

    Args:
      make_event: noise scale in votes -> event; more noise must not cost more.
      target_epsilon: > 0.
      delta: in (0, 1).

    Raises:
      ConfigError: no noise scale up to 1e12 votes is enough.
    """
    _check.positive(**{"privacy.target_epsilon": target_epsilon})
    _check.open_unit(**{"privacy.delta": delta})

    def excess(log_scale: float) -> float:
        epsilon = guarantee(make_event(math.exp(log_scale)), delta).epsilon
        return min(math.log(epsilon / target_epsilon), 700.0) if epsilon else -700.0

    high = 1.0
    while _quick_epsilon(make_event(high), delta) > target_epsilon:
        high *= 2
        if high > _LARGEST_SCALE:
            raise ConfigError(
                f"privacy.target_epsilon={target_epsilon:g} is out of reach: no noise scale up to "
                f"{_LARGEST_SCALE:g} votes gives it at privacy.delta={delta:g}"
            )
    low = high / 2
    while excess(math.log(low)) <= 0:
        low, high = low / 2, low
        if low < 1 / _LARGEST_SCALE:  # the price does not depend on the scale
            return high
    scale = math.exp(optimize.brentq(excess, math.log(low), math.log(high), xtol=_ACCURACY))
    while guarantee(make_event(scale), delta).epsilon > target_epsilon:
        scale *= 1 + _ACCURACY
    return scale


def affordable(
    make_event: Callable[[int], Event], already: Event, budget: float, delta: float, at_most: int
) -> int:
    """The largest number of queries, up to `at_most`, that keeps the total within the budget.

    Args:
      make_event: number of queries >= 1 -> event; more queries must not cost less.
      already: what the unit has been charged before.
      budget: epsilon that must not be passed; a total equal to it is within.
      delta: in (0, 1).
      at_most: >= 0.
    """

    def fits(n_queries: int) -> bool:
        total = already + make_event(n_queries)
        return guarantee(total, delta).epsilon <= budget

    if at_most < 1 or not fits(1):
        return 0
    if fits(at_most):
        return at_most
    low, high = 1, at_most  # fits(low), not fits(high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def as_dp_event(event: Event) -> dp_accounting.DpEvent:
    """The event in dp_accounting's words, so that any accountant can replay a ledger.

    Private teachers are not looked at: what they gave is priced by its votes.
    Replay with NeighboringRelation.ADD_OR_REMOVE_ONE: the sensitivities here already count a
    replacement. Label and bit are priced as the Gaussian they are computed from; pure and
    bounded-range pieces by their zCDP (epsilon^2 / 2, eta^2 / 8), which needs an RDP accountant.
    """
    event = by_votes(event)
    if not event.pieces:
        return dp_accounting.NoOpDpEvent()
    return dp_accounting.ComposedDpEvent(
        [dp_accounting.SelfComposedDpEvent(*_dp_event(piece, n)) for piece, n in event.pieces]
    )


def _dp_event(piece: Piece, count: int) -> tuple[dp_accounting.DpEvent, int]:
    mu = costs.gaussian_mu(piece)
    if mu is not None:
        return dp_accounting.GaussianDpEvent(1 / mu if mu else math.inf), count
    match piece:
        case LaplaceVotes(scale, moved):
            return dp_accounting.LaplaceDpEvent(scale / moved if moved else math.inf), 2 * count
        case BoundedRange(eta):
            return dp_accounting.dp_event.ZCDpEvent(eta * eta / 8), count
        case NonPrivate():
            return dp_accounting.NonPrivateDpEvent(), count
    epsilon = costs.pure_epsilon(piece)
    return dp_accounting.dp_event.ZCDpEvent(epsilon * epsilon / 2), count

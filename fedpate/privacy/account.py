"""What releasing labels from a matrix of votes costs: every price of one mechanism side by side.

  guaranteed      data-independent: what a ledger charges. A mechanism with a threshold test pays
                  for a test of every query and for an arg max of those that pass, which the tests
                  have made public; here their expected number
  at_most         the same if every query passes: what can be promised before asking
  data_dependent  looks at the votes: NOT RELEASABLE; `published` is the paper's own analysis with
                  the improved conversion, `published_classic` with the classic one, `exact` that of
                  the exact laws in both directions
  sanitized       the distribution of a reading of the data-dependent epsilon: NOT RELEASABLE, while
                  one value drawn by `sanitized` is. `mean` and `std` follow the paper, whose price
                  of the noise is too small (`fedpate.privacy.gnss`); `corrected` is what is drawn

Units: a patient moves one teacher's vote per query, a hospital those of all its teachers.
"""

import functools
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedpate import _check
from fedpate.errors import ConfigError
from fedpate.privacy import analyses, sanitize
from fedpate.privacy.accounting import bounds, guarantee
from fedpate.privacy.analyses import ORDERS, Divergences
from fedpate.privacy.events import Event
from fedpate.privacy.mechanism import GatedMechanism, Mechanism
from fedpate.privacy.noise import Entropy
from fedpate.privacy.rdp import epsilon_classic, epsilon_improved
from fedpate.privacy.sensitive import ExactDivergence, NotSanitizableError
from fedpate.records import Floats, Ints
from fedpate.rng import stream

Block = dict[str, Any]
NOT_RELEASABLE = ("answered", "data_dependent", "sanitized")
_POINTS = 25  # of the curves over the number of queries


def data_dependent(
    counts: Ints,
    mechanism: Mechanism,
    delta: float,
    *,
    votes_moved: int = 1,
    student: Floats | None = None,
) -> float | None:
    """The exact data-dependent epsilon for these votes; None where it is not known.

    Not releasable: it is itself private.

    Args:
      counts: (n_queries, n_classes) votes, also of queries that were not answered.
      mechanism: calibrated.
      delta: in (0, 1).
      votes_moved: 1 for a patient, the teachers per hospital for a hospital (two classes only).
      student: (n_queries, n_classes) for `InteractiveMax`; None is one that knows nothing.
    """
    return _epsilon(analyses.exact(counts, mechanism, votes_moved, student), delta)[0]


def sanitized(
    counts: Ints,
    mechanism: Mechanism,
    delta: float,
    entropy: Entropy,
    answered: npt.NDArray[np.bool_] | None = None,
) -> float | None:
    """One publishable reading of the data-dependent epsilon per patient; None where there is none.

    It is noisy both ways, includes its own cost, and every further reading costs more: draw it once
    per release. `answered` is needed for `ConfidentMax` with many teachers.
    """
    try:
        return sanitize.release(counts, mechanism, delta, entropy, answered).epsilon
    except (NotSanitizableError, ConfigError):
        return None


@dataclass(frozen=True)
class Curves:
    """Epsilon per patient after the first queries, and the consensus. Not releasable."""

    queries: list[int]  # 1 ... n_queries, at most 25 of them
    guaranteed: list[float]
    published: list[float] | None
    exact: list[float] | None
    consensus: list[int]  # queries by the share of the winning class: 20 bins over [0, 1]


@dataclass(frozen=True, eq=False)
class Account:
    """The prices of releasing one label per row of `counts`, computed when first asked for.

    Raises:
      ConfigError: delta is not in (0, 1), the mechanism is not calibrated, or a hospital has more
        teachers than there are.
    """

    counts: Ints  # (n_queries, n_classes), validated
    mechanism: Mechanism
    delta: float
    teachers_per_hospital: int | None = None
    student: Floats | None = None  # (n_queries, n_classes) predictions, for `InteractiveMax`
    seed: int = 0  # of the simulated number of answers

    def __post_init__(self) -> None:
        _check.open_unit(**{"privacy.delta": self.delta})
        if self.teachers_per_hospital is not None:
            _check.at_least(1, teachers_per_hospital=self.teachers_per_hospital)
            if self.teachers_per_hospital > self.teachers:
                raise ConfigError(
                    f"teachers_per_hospital must be at most the {self.teachers} teachers that "
                    f"voted, got {self.teachers_per_hospital}"
                )

    @property
    def teachers(self) -> int:
        """Number of teachers that voted."""
        return int(self.counts[0].sum())

    def to_json(self) -> Block:
        """The contract of `fedpate account --json`; a key that does not apply is None."""
        hospital = self.teachers_per_hospital
        return {
            "queries": len(self.counts),
            "teachers": self.teachers,
            "classes": self.counts.shape[1],
            "delta": self.delta,
            "relation": "replace_one",
            "mechanism": {"name": self.mechanism.name, **_fields(self.mechanism)},
            "answered": self.answered(),
            "epsilon": {
                "patient": self.unit(1),
                "hospital": None if hospital is None else self.unit(hospital),
            },
            "not_releasable": list(NOT_RELEASABLE),
        }

    def answered(self) -> Block:
        """Expected and, drawn with `seed`, realized number of answers. Not releasable."""
        draws = stream(self.seed, "account", "answered").random(len(self.counts))
        realized = int((draws < self._chances).sum())
        return {"expected": float(self._chances.sum()), "realized": realized}

    def unit(self, votes_moved: int) -> Block:
        """All prices for a unit that moves so many votes in every query."""
        n_queries = len(self.counts)
        found = bounds(self._event(n_queries, votes_moved), self.delta)
        best = min(found.values(), key=lambda one: one.epsilon)
        most = self.mechanism.event(n_queries, votes_moved, self.counts.shape[1])
        published, exact = self._divergences(votes_moved)
        by_votes = {
            "published": _epsilon(published, self.delta),
            "published_classic": _epsilon(published, self.delta, classic=True),
            "exact": _epsilon(exact, self.delta),
        }
        clean, why_not = self._sanitized(votes_moved)
        return {
            "guaranteed": best.epsilon,
            "guaranteed_bound": best.bound,
            "guaranteed_order": best.order,
            "at_most": guarantee(most, self.delta).epsilon,
            "gaussian": found["gaussian"].epsilon if "gaussian" in found else None,
            "bounds": {name: one.epsilon for name, one in found.items()},
            "data_dependent": {key: value for key, (value, _) in by_votes.items()},
            "data_dependent_orders": {key: order for key, (_, order) in by_votes.items()},
            "data_dependent_reasons": {"published": published.reason, "exact": exact.reason},
            "sanitized": clean,
            "sanitized_reason": why_not,
            "votes_moved": votes_moved,
        }

    def curves(self) -> Curves:
        """Cumulative epsilon per patient, and the distribution of the consensus."""
        total = len(self.counts)
        queries = np.unique(np.geomspace(1, total, _POINTS).round().astype(int)).tolist()
        published, exact = self._divergences(1)
        events = [self._event(n, 1) for n in queries]
        share = self.counts.max(axis=1) / self.teachers
        return Curves(
            queries=queries,
            guaranteed=[guarantee(event, self.delta).epsilon for event in events],
            published=_cumulative(published, queries, self.delta),
            exact=_cumulative(exact, queries, self.delta),
            consensus=np.histogram(share, bins=20, range=(0, 1))[0].tolist(),
        )

    def _event(self, n_queries: int, votes_moved: int) -> Event:
        """The price of the first queries, with an arg max for each expected answer only."""
        mechanism, n_classes = self.mechanism, self.counts.shape[1]
        if not isinstance(mechanism, GatedMechanism):
            return mechanism.event(n_queries, votes_moved, n_classes)
        answers = math.ceil(self._chances[:n_queries].sum())
        gates = mechanism.gate_event(n_queries, votes_moved, n_classes)
        return gates + mechanism.answer_event(answers, votes_moved, n_classes)

    @functools.cached_property
    def _chances(self) -> Floats:
        return np.exp(analyses.log_pr_answered(self.counts, self.mechanism, self.student))

    @functools.cached_property
    def _computed(self) -> dict[int, tuple[Divergences, Divergences]]:
        return {}

    def _divergences(self, votes_moved: int) -> tuple[Divergences, Divergences]:
        """Published and exact, per query; the exact one may take seconds, so it is kept."""
        if votes_moved not in self._computed:
            given = self.counts, self.mechanism, votes_moved, self.student
            self._computed[votes_moved] = analyses.published(*given), analyses.exact(*given)
        return self._computed[votes_moved]

    def _sanitized(self, votes_moved: int) -> tuple[Block | None, str | None]:
        if votes_moved > 1:
            return None, f"smooth sensitivity is for one moved vote, not {votes_moved}"
        given = self.counts, self.mechanism, self.delta, ORDERS
        try:
            ours = theirs = sanitize.distribution(*given)
            if ours.method != ExactDivergence.method:
                theirs = sanitize.published(*given)
        except (NotSanitizableError, ConfigError) as error:
            return None, str(error)
        return {**_flat(theirs), "corrected": _flat(ours)}, None


def _flat(found: sanitize.Distribution) -> Block:
    block = asdict(found)
    settings = block.pop("settings")
    if math.isinf(settings["sigma_ss"]):
        settings["sigma_ss"] = None  # no noise is needed: the divergence is constant
    return {**block, **settings}


def _fields(mechanism: Mechanism) -> Block:
    return {name: value for name, value in vars(mechanism).items() if not name.startswith("_")}


def _epsilon(
    found: Divergences, delta: float, *, classic: bool = False
) -> tuple[float | None, float | None]:
    """Epsilon of all queries and the order attained; None where there is no analysis."""
    if found.rdp is None:
        return None, None
    convert = epsilon_classic if classic else epsilon_improved
    return convert(ORDERS, found.rdp.sum(axis=0), delta)


def _cumulative(found: Divergences, queries: list[int], delta: float) -> list[float] | None:
    if found.rdp is None:
        return None
    sums = np.cumsum(found.rdp, axis=0)
    return [epsilon_improved(ORDERS, sums[n - 1], delta)[0] for n in queries]

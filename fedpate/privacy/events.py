"""What a mechanism costs, as data: no arithmetic, so that any accountant can replay a ledger.

An `Event` is a bag of pieces with counts. A piece says which random quantity leaves the coordinator
(or a hospital) and how far one privacy unit can move what it is computed from. The unit has already
been applied: `votes_moved` is 1 for a patient (whose records are in one shard, so one teacher) and
k for a hospital with k teachers. The neighbouring relation is replace-one: a moved vote leaves one
class and joins another. What may never change: the meaning of a kind's name and of its fields;
ledgers on disk hold them.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

from fedpate import _check
from fedpate.errors import LedgerError


@dataclass(frozen=True)
class NoisyArgmax:
    """The arg max of counts + i.i.d. N(0, noise_scale^2); nothing else leaves ([P18] GNMax)."""

    kind: ClassVar[str] = "noisy_argmax"
    noise_scale: float  # votes, standard deviation
    votes_moved: int


@dataclass(frozen=True)
class NoisyThreshold:
    """The bit [statistic + N(0, noise_scale^2) >= threshold]; a moved vote moves it by <= 1."""

    kind: ClassVar[str] = "noisy_threshold"
    noise_scale: float  # votes, standard deviation
    votes_moved: int


@dataclass(frozen=True)
class GaussianVotes:
    """The whole vector counts + i.i.d. N(0, noise_scale^2) leaves; L2 sensitivity sqrt(2) v."""

    kind: ClassVar[str] = "gaussian_votes"
    noise_scale: float  # votes, standard deviation
    votes_moved: int


@dataclass(frozen=True)
class LaplaceVotes:
    """The vector counts + i.i.d. Laplace(noise_scale) leaves: two coordinates move by v each."""

    kind: ClassVar[str] = "laplace_votes"
    noise_scale: float  # votes, the scale b of the Laplace law
    votes_moved: int


@dataclass(frozen=True)
class BoundedRange:
    """Log-likelihood ratios lie in an interval of length `eta` (exponential mechanism)."""

    kind: ClassVar[str] = "bounded_range"
    eta: float


@dataclass(frozen=True)
class PureDp:
    """Log-likelihood ratios are at most `epsilon` in absolute value (pure DP)."""

    kind: ClassVar[str] = "pure_dp"
    epsilon: float


@dataclass(frozen=True)
class NonPrivate:
    """Something left without noise: every epsilon is infinite."""

    kind: ClassVar[str] = "non_private"


@dataclass(frozen=True)
class FromPrivateTeachers:
    """`release`, computed from the votes of teachers that are private themselves.

    The unit's records are behind one teacher only, and what that teacher learned is (epsilon,
    delta)-DP for the unit, by one training, named `training`, whose result every piece of this name
    was computed from. So all of these pieces together cost at most (epsilon, delta), once: they are
    post-processing. Or they cost what their `release` costs, as if the teachers were not private.
    """

    kind: ClassVar[str] = "from_private_teachers"
    training: str
    epsilon: float
    delta: float
    release: str  # the piece as JSON: its kind and its fields

    @classmethod
    def of(cls, training: str, epsilon: float, delta: float, release: "Piece") -> Self:
        """Such a piece around the release of a vote."""
        fields = {"kind": release.kind, **asdict(release)}
        return cls(training, epsilon, delta, json.dumps(fields, sort_keys=True))

    @property
    def inner(self) -> "Piece":
        """The piece in `release`."""
        fields = json.loads(self.release)
        piece: Piece = KINDS[fields.pop("kind")](**fields)
        return piece


Piece = (
    NoisyArgmax
    | NoisyThreshold
    | GaussianVotes
    | LaplaceVotes
    | BoundedRange
    | PureDp
    | NonPrivate
    | FromPrivateTeachers
)
KINDS: dict[str, type[Any]] = {
    piece.kind: piece
    for piece in (
        NoisyArgmax,
        NoisyThreshold,
        GaussianVotes,
        LaplaceVotes,
        BoundedRange,
        PureDp,
        NonPrivate,
        FromPrivateTeachers,
    )
}


@dataclass(frozen=True)
class Event:
    """Pieces and how often each happened; adaptively composed. The empty event costs nothing.

    `slack` is the total statistical distance between the noise drawn and the noise described; an
    accountant pays for it out of delta.
    """

    pieces: tuple[tuple[Piece, int], ...] = ()
    slack: float = 0.0

    def __post_init__(self) -> None:
        for _, count in self.pieces:
            _check.at_least(1, count=count)
        _check.non_negative(slack=self.slack)

    def __add__(self, other: "Event") -> "Event":
        return compose([self, other])

    def to_json(self) -> str:
        """Canonical JSON: equal events give equal text."""
        pieces = [{"kind": p.kind, "count": n, **asdict(p)} for p, n in self.pieces]
        return json.dumps({"pieces": pieces, "slack": self.slack}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Event":
        """Read what `to_json` wrote.

        Raises:
          LedgerError: not an event, or a kind that this version does not know (never guessed).
        """
        try:
            raw = json.loads(text)
            pieces = []
            for fields in raw["pieces"]:
                count, kind = fields.pop("count"), fields.pop("kind")
                pieces.append((KINDS[kind](**fields), count))
            return cls(tuple(pieces), raw["slack"])
        except (KeyError, TypeError, ValueError) as error:
            raise LedgerError(
                "an event must be JSON with known kinds and fields; "
                f"this version knows {', '.join(sorted(KINDS))}"
            ) from error


def compose(events: Iterable[Event]) -> Event:
    """All events together: equal pieces merge their counts, in a canonical order."""
    counts: Counter[Piece] = Counter()
    slack = 0.0
    for event in events:
        slack += event.slack
        for piece, count in event.pieces:
            counts[piece] += count
    ordered = sorted(counts.items(), key=lambda item: (item[0].kind, repr(item[0])))
    return Event(tuple(ordered), slack)


def repeated(piece: Piece, count: int, slack: float = 0.0) -> Event:
    """One piece, `count` times; `slack` is for all of them together."""
    return Event(((piece, count),), slack)


def from_private_teachers(event: Event, training: str, epsilon: float, delta: float) -> Event:
    """The same releases, computed from teachers that are (epsilon, delta)-DP by one training."""
    pieces = [
        (FromPrivateTeachers.of(training, epsilon, delta, piece), n) for piece, n in event.pieces
    ]
    return Event(tuple(pieces), event.slack)


def trainings(event: Event) -> dict[str, tuple[float, float]]:
    """Name of each training of private teachers -> the (epsilon, delta) it costs.

    One name with two prices is priced at the larger of each.
    """
    found: dict[str, tuple[float, float]] = {}
    for piece, _ in event.pieces:
        if isinstance(piece, FromPrivateTeachers):
            epsilon, delta = found.get(piece.training, (0.0, 0.0))
            found[piece.training] = max(epsilon, piece.epsilon), max(delta, piece.delta)
    return found


def by_votes(event: Event, paid: Collection[str] = ()) -> Event:
    """What is left to be priced by its votes once the trainings in `paid` are paid for."""
    left = []
    for piece, n in event.pieces:
        if not isinstance(piece, FromPrivateTeachers):
            left.append(Event(((piece, n),)))
        elif piece.training not in paid:
            left.append(Event(((piece.inner, n),)))
    merged = compose(left)
    return Event(merged.pieces, event.slack if merged.pieces else 0.0)

"""Noisy maxima of soft votes: sums of probability vectors instead of counts.

A soft vote is a probability vector in whole parts of 1 / VOTE_PARTS (`fedpate.records`), so a tally
is made of integers again and the samplers of `fedpate.privacy.noise` draw for it exactly: noise of
scale s votes is noise of s * VOTE_PARTS parts.

What a unit can move. Let it control v teachers. Replacing their v vectors p by v vectors q changes
the tally, in votes, by d = sum(q - p), where d sums to zero and its positive entries sum to at most
v: the vectors have total mass v before and after. Hence every |d_c| <= v, L1 <= 2v, and

    L2^2 = sum of d+^2 + sum of d-^2 <= v^2 + v^2, so L2 <= sqrt(2) v:

no more than v moved hard votes, with the same extreme points. What is charged, and why it holds for
such a d:

  gnmax             the noisy vector is Gaussian with L2 sensitivity sqrt(2) v (`GaussianVotes`),
                    the arg max is post-processing of it. The cheaper price of the arg max alone
                    (`NoisyArgmax`) is proven for one moved hard vote and is not used.
  laplace           docs/proof-argmax-only.md, section 10, which takes any such d (`LaplaceVotes`)
  gumbel            log-likelihood ratios in an interval of length 2v / scale: each is the change of
                    its own entry, in [-v, v], plus one that all classes share (`BoundedRange`)
  permute_and_flip  2v / scale from the sensitivity v of every entry (`PureDp`)
  none              infinite

Mechanisms with a threshold, and randomized response, are for whole votes: they are refused.
"""

from dataclasses import dataclass, replace
from typing import Self

from fedpate.errors import ConfigError
from fedpate.privacy._mechanics import price
from fedpate.privacy.events import Event, GaussianVotes
from fedpate.privacy.mechanism import Mechanism
from fedpate.privacy.mechanisms import (
    GaussianMax,
    GumbelMax,
    LaplaceMax,
    NoNoise,
    PermuteAndFlip,
)
from fedpate.privacy.noise import Entropy
from fedpate.records import VOTE_PARTS, Floats, Release, Votes

SOFT = (GaussianMax, LaplaceMax, GumbelMax, PermuteAndFlip, NoNoise)


@dataclass(frozen=True)
class SoftVoting:
    """A mechanism of `SOFT` on soft votes; the guarantees of `Mechanism`, as derived above."""

    whole: GaussianMax | LaplaceMax | GumbelMax | PermuteAndFlip | NoNoise

    @property
    def name(self) -> str:
        """The name a user types."""
        return self.whole.name

    @property
    def noise_scale(self) -> float | None:
        """In votes."""
        return self.whole.noise_scale

    def event(self, n_queries: int, votes_moved: int, n_classes: int) -> Event:
        """Price of asking `n_queries`, for a unit that can replace `votes_moved` soft votes."""
        charged = self.whole.event(n_queries, votes_moved, n_classes)
        if isinstance(self.whole, GaussianMax) and n_queries:
            scale = self.whole.noise_scale
            assert scale is not None  # `event` above refuses an open scale
            piece = GaussianVotes(scale, votes_moved)
            return price(n_queries, votes_moved, n_classes, piece)
        return charged

    def release(self, votes: Votes, entropy: Entropy, student: Floats | None = None) -> Release:
        """Noisy arg max per query of a tally in parts."""
        if votes.parts != VOTE_PARTS:
            raise ValueError(f"soft votes must be in parts of 1 / {VOTE_PARTS}, got {votes.parts}")
        as_whole = replace(votes, parts=1)
        if isinstance(self.whole, NoNoise) or self.whole.noise_scale is None:
            return self.whole.release(as_whole, entropy, student)
        in_parts = self.whole.with_noise(self.whole.noise_scale * VOTE_PARTS)
        return in_parts.release(as_whole, entropy, student)

    def with_noise(self, noise_scale: float) -> Self:
        """The same mechanism at another noise scale, in votes."""
        return replace(self, whole=self.whole.with_noise(noise_scale))


def as_voted(mechanism: Mechanism, votes: str) -> Mechanism:
    """The mechanism for the votes of a run: `mechanism`, or the same on soft votes.

    Args:
      mechanism: of the registry.
      votes: "labels" or "probabilities".

    Raises:
      ConfigError: the mechanism needs whole votes.
    """
    if votes != "probabilities":
        return mechanism
    if not isinstance(mechanism, SOFT):
        names = ", ".join(sorted(cls.name for cls in SOFT))
        raise ConfigError(
            f"votes=probabilities needs a mechanism that takes parts of votes ({names}), "
            f"got mechanism={mechanism.name}"
        )
    return SoftVoting(mechanism)


def registered(mechanism: Mechanism) -> Mechanism:
    """The registry's mechanism behind one that `as_voted` returned."""
    return mechanism.whole if isinstance(mechanism, SoftVoting) else mechanism

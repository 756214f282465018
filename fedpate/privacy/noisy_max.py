"""Report-noisy-max mechanisms: independent noise on every count, and only the arg max leaves.

[MT07] McSherry, Talwar, Mechanism Design via Differential Privacy, FOCS 2007.
[P17] Papernot et al., Semi-supervised Knowledge Transfer (PATE), ICLR 2017, arXiv:1610.05755.
[P18] Papernot et al., Scalable Private Learning with PATE, ICLR 2018, arXiv:1802.08908.
[DDR20] Dong, Durfee, Rogers, Optimal Differential Privacy Composition for Exponential
    Mechanisms, ICML 2020, arXiv:1909.13830.
[MS20] McKenna, Sheldon, Permute-and-Flip, NeurIPS 2020, arXiv:2010.12603.
[D21] Ding et al., The Permute-and-Flip Mechanism is Identical to Report-Noisy-Max with
    Exponential Noise, 2021, arXiv:2105.07260.

Every guarantee is for a unit that moves v votes per query from one class to others (replace-one),
at any number of classes. A moved vote changes two counts by one, so v votes change counts by at
most v each, L1 2v, L2 v sqrt(2).
"""

# ruff: noqa: ARG002 - every mechanism takes what the contract gives, used or not

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from fedpate.privacy._mechanics import (
    blocks,
    check_optional_scale,
    noisy_winners,
    price,
    required,
    whole_counts,
)
from fedpate.privacy.events import BoundedRange, Event, LaplaceVotes, NoisyArgmax, PureDp
from fedpate.privacy.noise import Entropy, Exponential, Gaussian, Gumbel, Laplace, draw
from fedpate.records import Floats, Ints, Release, Votes


@dataclass(frozen=True)
class GaussianMax:
    """GNMax: the arg max of counts + N(0, noise_scale^2) ([P18] section 4.1).

    Formal guarantees per query:
      - the noisy vector is Gaussian-DP with mu = v sqrt(2) / noise_scale ([P18] Prop. 8 in RDP
        form), and the arg max is post-processing of it;
      - only the arg max leaves, which costs less; see `NoisyArgmax` and docs.
    """

    name: ClassVar[str] = "gnmax"
    noise_scale: float | None = None  # votes, standard deviation

    def __post_init__(self) -> None:
        check_optional_scale(**{"mechanism.noise_scale": self.noise_scale})

    @property
    def _scale(self) -> float:
        return required(**{"mechanism.noise_scale": self.noise_scale})

    def event(self, n_queries: int, votes_moved: int, n_classes: int) -> Event:
        """One noisy arg max per query."""
        return price(n_queries, votes_moved, n_classes, NoisyArgmax(self._scale, votes_moved))

    def release(self, votes: Votes, entropy: Entropy, student: Floats | None = None) -> Release:
        """Noisy arg max per query."""
        return Release(
            votes.query_ids, noisy_winners(whole_counts(votes), Gaussian(self._scale), entropy)
        )

    def with_noise(self, noise_scale: float) -> Self:
        """The same mechanism at another noise scale."""
        return replace(self, noise_scale=noise_scale)


@dataclass(frozen=True)
class LaplaceMax:
    """LNMax: the arg max of counts + Laplace(noise_scale) ([P17] section 3.1).

    Formal guarantees per query:
      - the noisy vector is a composition of two Laplace mechanisms of sensitivity v, in all
        (2v / noise_scale)-DP; with v = 1 and noise_scale = 1/gamma, [P17]'s 2 gamma;
      - `randomize` releases that vector (rounded, which is post-processing) at the same price.
    """

    name: ClassVar[str] = "laplace"
    noise_scale: float | None = None  # votes, the scale b of the Laplace law

    def __post_init__(self) -> None:
        check_optional_scale(**{"mechanism.noise_scale": self.noise_scale})

    @property
    def _scale(self) -> float:
        return required(**{"mechanism.noise_scale": self.noise_scale})

    def event(self, n_queries: int, votes_moved: int, n_classes: int) -> Event:
        """One noisy vote vector per query."""
        return price(n_queries, votes_moved, n_classes, LaplaceVotes(self._scale, votes_moved))

    def release(self, votes: Votes, entropy: Entropy, student: Floats | None = None) -> Release:
        """Noisy arg max per query."""
        return Release(
            votes.query_ids, noisy_winners(whole_counts(votes), Laplace(self._scale), entropy)
        )

    def randomize(self, counts: Ints, entropy: Entropy) -> Ints:
        """One hospital's (n_queries, n_classes) votes + rounded noise: integers of either sign."""
        noisy = counts.copy()
        for rows in blocks(*counts.shape):
            noisy[rows] += draw(Laplace(self._scale), counts[rows].shape, entropy).integers
        return noisy

    def with_noise(self, noise_scale: float) -> Self:
        """The same mechanism at another noise scale."""
        return replace(self, noise_scale=noise_scale)


@dataclass(frozen=True)
class GumbelMax:
    """The exponential mechanism ([MT07]): class j with probability ~ exp(count_j / noise_scale).

    Formal guarantees per query:
      - the arg max of counts + Gumbel(noise_scale) has exactly that law;
      - log-likelihood ratios lie in an interval of length 2v / noise_scale (bounded range,
        [DDR20]): each is the change of its own count, in [-v, v], plus that of the normalizer,
        which is the same for all classes.
    """

    name: ClassVar[str] = "gumbel"
    noise_scale: float | None = None  # votes, the scale of the Gumbel law

    def __post_init__(self) -> None:
        check_optional_scale(**{"mechanism.noise_scale": self.noise_scale})

    @property
    def _scale(self) -> float:
        return required(**{"mechanism.noise_scale": self.noise_scale})

    def event(self, n_queries: int, votes_moved: int, n_classes: int) -> Event:
        """One bounded-range choice per query."""
        return price(n_queries, votes_moved, n_classes, BoundedRange(2 * votes_moved / self._scale))

    def release(self, votes: Votes, entropy: Entropy, student: Floats | None = None) -> Release:
        """Noisy arg max per query."""
        return Release(
            votes.query_ids, noisy_winners(whole_counts(votes), Gumbel(self._scale), entropy)
        )

    def with_noise(self, noise_scale: float) -> Self:
        """The same mechanism at another noise scale."""
        return replace(self, noise_scale=noise_scale)


@dataclass(frozen=True)
class PermuteAndFlip:
    """Permute-and-flip ([MS20]), run as the arg max of counts + Exponential(noise_scale) ([D21]).

    Formal guarantees per query:
      - (2v / noise_scale)-DP ([MS20] section 4 with quality sensitivity v);
      - its expected shortfall is never above the exponential mechanism's at the same epsilon.
    """

    name: ClassVar[str] = "permute_and_flip"
    noise_scale: float | None = None  # votes, the mean of the exponential law

    def __post_init__(self) -> None:
        check_optional_scale(**{"mechanism.noise_scale": self.noise_scale})

    @property
    def _scale(self) -> float:
        return required(**{"mechanism.noise_scale": self.noise_scale})

    def event(self, n_queries: int, votes_moved: int, n_classes: int) -> Event:
        """One pure-DP choice per query."""
        return price(n_queries, votes_moved, n_classes, PureDp(2 * votes_moved / self._scale))

    def release(self, votes: Votes, entropy: Entropy, student: Floats | None = None) -> Release:
        """Noisy arg max per query."""
        law = Exponential(self._scale)
        return Release(votes.query_ids, noisy_winners(whole_counts(votes), law, entropy))

    def with_noise(self, noise_scale: float) -> Self:
        """The same mechanism at another noise scale."""
        return replace(self, noise_scale=noise_scale)

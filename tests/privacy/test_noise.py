import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import mechanism_laws as laws
from fedpate.errors import ConfigError
from fedpate.privacy.entropy import coins, uniform_below
from fedpate.privacy.noise import (
    MARGIN,
    Draw,
    Entropy,
    Exponential,
    Gaussian,
    Gumbel,
    Laplace,
    OsEntropy,
    SeededEntropy,
    draw,
    noisy_argmax,
    noisy_threshold,
    statistical_distance,
)

ACCEPT, REJECT = 1e-9, 1e-12
LAWS = [Gaussian, Laplace, Gumbel, Exponential]
SCIPY = {
    Gaussian: stats.norm,
    Laplace: stats.laplace,
    Gumbel: stats.gumbel_r,
    Exponential: stats.expon,
}
WORD = 2**64 - 1
every_law = pytest.mark.parametrize("law", LAWS)


class Crafted:
    """Entropy that gives chosen words first, then the operating system's."""

    name, guarantee = "crafted", False

    def __init__(self, *words):
        self.left = list(words)

    def words(self, n):
        given, self.left = self.left[:n], self.left[n:]
        return np.concatenate([np.array(given, np.uint64), OsEntropy().words(n - len(given))])


def split(numerator):
    return numerator >> 64, numerator & WORD


def exact(law, scale, u):
    """The quantile at u in (0, 1) by textbook formulas, at mpmath's working precision."""
    formulas = {
        Gaussian: lambda: mpmath.sqrt(2) * mpmath.erfinv(2 * u - 1),
        Laplace: lambda: mpmath.sign(u - 0.5) * -mpmath.log(1 - 2 * abs(u - mpmath.mpf("0.5"))),
        Gumbel: lambda: -mpmath.log(-mpmath.log(u)),
        Exponential: lambda: -mpmath.log(1 - u),
    }
    return scale * formulas[law]()


def exact_cdf(law, x):
    """The law at scale 1 by textbook formulas, at mpmath's working precision."""
    x = mpmath.mpf(x)
    return {
        Gaussian: lambda: mpmath.ncdf(x),
        Laplace: lambda: 1 - mpmath.exp(-x) / 2 if x > 0 else mpmath.exp(x) / 2,
        Gumbel: lambda: mpmath.exp(-mpmath.exp(-x)),
        Exponential: lambda: 1 - mpmath.exp(-x),
    }[law]()


def rounded_law(law, scale, values):
    """Probabilities of round(X) being each of `values`, the outer ones with their tails."""
    cdf = SCIPY[law](scale=scale).cdf
    edges = np.concatenate([[-np.inf], values[1:] - 0.5, [np.inf]])
    return np.diff(cdf(edges))


@every_law
@pytest.mark.parametrize("scale", [0.7, 4.0, 40.0])
def test_the_integers_have_the_rounded_law_at_the_scale_given(law, scale):
    integers = draw(law(scale), (25_000, 4), OsEntropy()).integers.ravel()
    span = int(8 * scale) + 1
    values = np.arange(-span, span + 1)
    observed = np.bincount(integers.clip(-span, span) + span, minlength=len(values))
    for factor, accepted in [(1.0, True), (0.8, False), (1.25, False)]:
        p_value = laws.chi_square(observed, rounded_law(law, scale * factor, values))
        assert p_value > ACCEPT if accepted else p_value < REJECT


@every_law
@pytest.mark.parametrize("scale", [1e-3, 40.0, 1e6])
def test_values_integers_and_cells_agree(law, scale):
    drawn = draw(law(scale), (1000,), OsEntropy())
    assert (np.abs(drawn.values - drawn.integers) <= 0.5 + 1e-12 * scale).all()
    assert stats.kstest(drawn.values, SCIPY[law](scale=scale).cdf).pvalue > ACCEPT


@every_law
def test_float64_quantiles_are_a_thousand_times_better_than_the_margin(law):
    rng = np.random.default_rng(7)
    tails = np.concatenate([2.0 ** -rng.uniform(1, 64, 300), 0.5 - 2.0 ** -rng.uniform(2, 50, 100)])
    with mpmath.workdps(60):
        for upper in (False, True):
            computed = law(3.0).quantile(tails, np.full(len(tails), upper))
            for tail, x in zip(tails, computed, strict=True):
                u = 1 - mpmath.mpf(tail) if upper else mpmath.mpf(tail)
                error = abs(exact(law, 3, u) - x)
                assert error < MARGIN * 1e-3 * (3 + abs(x))


@every_law
@given(numerator=st.integers(2**70, 2**128 - 2**70), scale=st.sampled_from([0.01, 3.0, 1e5, 1e11]))
def test_the_integer_is_the_rounded_quantile_of_all_the_bits(law, numerator, scale):
    """At scale 1e11 every cell is too close for float64, and mpmath decides."""
    drawn = draw(law(scale), (1,), Crafted(*split(numerator)))
    with mpmath.workdps(80):
        u = (mpmath.mpf(numerator) + mpmath.mpf("0.5")) / 2**128
        assert drawn.integers[0] == mpmath.floor(exact(law, scale, u) + mpmath.mpf("0.5"))


@every_law
@pytest.mark.parametrize("tail", [1, 5, 2**20 + 3, 2**63])
@pytest.mark.parametrize("upper", [False, True])
def test_the_far_tails_draw_more_bits_and_keep_their_precision(law, tail, upper):
    """U within 2^-64 of 0 or 1: the bits after the first 128 still move the integer."""
    more = [0x0123456789ABCDEF, 0xFEDCBA9876543210, 0x5555AAAA5555AAAA]
    numerator = 2**128 - 1 - tail if upper else tail
    drawn = draw(law(1000.0), (1,), Crafted(*split(numerator), *more))
    assert np.isnan(drawn.values[0])
    for word in more:
        numerator = numerator << 64 | word
    with mpmath.workdps(140):
        u = (mpmath.mpf(numerator) + mpmath.mpf("0.5")) / 2**320
        expected = mpmath.floor(exact(law, 1000, u) + mpmath.mpf("0.5"))
    assert drawn.integers[0] == expected


@every_law
@pytest.mark.parametrize(("next_word", "rounds_up"), [(0, False), (WORD, True)])
def test_a_cell_on_a_boundary_is_decided_by_the_bits_after_the_first_128(law, next_word, rounds_up):
    with mpmath.workdps(80):
        boundary = int(exact_cdf(law, mpmath.mpf("0.5")) * 2**128)  # X = 1/2 lies in this cell
    drawn = draw(law(1.0), (1,), Crafted(*split(boundary), next_word))
    assert drawn.integers[0] == int(rounds_up)


@every_law
def test_a_threshold_on_a_boundary_is_decided_by_the_bits_after_the_first_128(law):
    with mpmath.workdps(80):
        boundary = int(exact_cdf(law, mpmath.mpf("0.75")) * 2**128)
    for words, passes in [
        (split(boundary - 1), False),
        ((*split(boundary), 0), False),
        ((*split(boundary), WORD), True),
        (split(boundary + 1), True),
    ]:
        drawn = draw(law(1.0), (1,), Crafted(*words))
        assert noisy_threshold(np.array([3]), 3.75, drawn).tolist() == [passes]


def test_a_tie_to_the_last_of_128_bits_is_broken_by_the_bits_after():
    same = split(12345 << 100)
    # Each cell takes two more words: the first ones decide, or else the second ones.
    for words, winner in [
        ((5, 1, 9, 0), 1),
        ((9, 0, 5, 1), 0),
        ((7, 2, 7, 1), 0),
        ((7, 1, 7, 2), 1),
    ]:
        drawn = draw(Gaussian(4.0), (1, 2), Crafted(*same, *same, *words))
        assert noisy_argmax(np.array([[6, 6]]), drawn).tolist() == [winner]


def test_a_cell_keeps_the_bits_that_rounded_it_when_a_tie_needs_them_again():
    with mpmath.workdps(80):
        boundary = split(int(exact_cdf(Gaussian, mpmath.mpf("0.5")) * 2**128))
    # Both cells are rounded up by their next two words, which order them too; the words after
    # those would order them the other way round.
    big, small = (WORD, 0), (WORD - 2**50, 0)
    high, low = (WORD, WORD), (0, 0)
    for words, winner in [((*big, *small, *low, *high), 0), ((*small, *big, *high, *low), 1)]:
        drawn = draw(Gaussian(1.0), (1, 2), Crafted(*boundary, *boundary, *words))
        assert drawn.integers.tolist() == [[1, 1]]
        assert noisy_argmax(np.array([[2, 2]]), drawn).tolist() == [winner]


@every_law
@given(st.integers(2**120, 2**127), st.integers(1, 3), st.sampled_from([-1, 1]))
def test_scores_that_differ_by_less_than_float64_resolves_are_ordered_exactly(
    law, numerator, votes, sign
):
    """votes + X against 0 + (X + votes +- 2^-100): float64 would toss a coin."""
    with mpmath.workdps(80):
        x = exact(law, 1, (mpmath.mpf(numerator) + mpmath.mpf("0.5")) / 2**128)
        reached = x + votes + sign * mpmath.mpf(2) ** -100
        other = int(exact_cdf(law, reached) * 2**128)
    drawn = draw(law(1.0), (1, 2), Crafted(*split(numerator), *split(other)))
    assert noisy_argmax(np.array([[votes, 0]]), drawn).tolist() == [int(sign > 0)]


@every_law
@given(
    counts=st.lists(st.integers(0, 3), min_size=2, max_size=5),
    scale=st.sampled_from([1e-6, 1e-3, 0.3, 5.0, 1e6]),
    seed=st.integers(0, 10**6),
)
def test_the_arg_max_is_that_of_the_continuous_noise(law, counts, scale, seed):
    entropy, same = SeededEntropy(seed), SeededEntropy(seed)
    votes = np.array([counts])
    label = noisy_argmax(votes, draw(law(scale), votes.shape, entropy))[0]
    words = [int(word) for word in same.words(2 * len(counts))]
    with mpmath.workdps(80):
        cells = zip(words[::2], words[1::2], strict=True)
        uniforms = [(mpmath.mpf(high << 64 | low) + 0.5) / 2**128 for high, low in cells]
        scores = [n + exact(law, scale, u) for n, u in zip(counts, uniforms, strict=True)]
    assert label == max(range(len(counts)), key=scores.__getitem__)


@every_law
@given(
    statistic=st.floats(-50, 50),
    threshold=st.floats(-50, 50),
    scale=st.sampled_from([1e-3, 0.3, 5.0, 1e6]),
    seed=st.integers(0, 10**6),
)
def test_the_threshold_is_that_of_the_continuous_noise(law, statistic, threshold, scale, seed):
    drawn = draw(law(scale), (1,), SeededEntropy(seed))
    high, low = (int(word) for word in SeededEntropy(seed).words(2))
    with mpmath.workdps(80):
        x = exact(law, scale, (mpmath.mpf(high << 64 | low) + 0.5) / 2**128)
        expected = x >= mpmath.mpf(threshold) - mpmath.mpf(statistic)
    assert noisy_threshold(np.array([statistic]), threshold, drawn).tolist() == [expected]


@pytest.mark.parametrize("law", [Gaussian, Laplace])
@given(st.lists(st.integers(0, WORD), min_size=8, max_size=8), st.sampled_from([0.4, 7.0, 1e8]))
def test_complemented_bits_give_the_opposite_noise(law, words, scale):
    plain = draw(law(scale), (4,), Crafted(*words, *[3] * 32)).integers
    opposite = draw(law(scale), (4,), Crafted(*[WORD - w for w in words], *[WORD - 3] * 32))
    assert plain.tolist() == (-opposite.integers).tolist()


def test_entropy_that_is_not_random_is_noticed():
    with pytest.raises(RuntimeError, match="entropy is not random"):
        draw(Gumbel(1.0), (1,), Crafted(*[0] * 300))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf"), 1e-13, 1e13])
@every_law
def test_a_scale_that_cannot_be_drawn_exactly_is_refused(law, scale):
    with pytest.raises(ConfigError, match="noise_scale must be"):
        law(scale)


def test_seeded_entropy_repeats_and_the_operating_system_does_not():
    def integers(entropy: Entropy):
        return draw(Gaussian(40.0), (50,), entropy).integers.tolist()

    assert integers(SeededEntropy(1, "a")) == integers(SeededEntropy(1, "a"))
    assert integers(SeededEntropy(1, "a")) != integers(SeededEntropy(1, "b"))
    assert integers(SeededEntropy(1, "a")) != integers(SeededEntropy(2, "a"))
    assert integers(OsEntropy()) != integers(OsEntropy())
    assert (SeededEntropy(1).name, SeededEntropy(1).guarantee) == ("seeded", False)
    assert (OsEntropy().name, OsEntropy().guarantee) == ("os-entropy", True)


def test_memory_per_cell_is_bounded():
    drawn: Draw = draw(Gaussian(40.0), (1000, 10), OsEntropy())
    held = drawn.integers.nbytes + drawn.values.nbytes + drawn._words.nbytes
    assert held <= 32 * drawn.integers.size
    assert not drawn._refined


def test_the_statistical_distance_is_that_of_the_bits_that_may_be_drawn(monkeypatch):
    assert statistical_distance(10**9) == 0  # far below the smallest float64
    monkeypatch.setattr("fedpate.privacy.noise.MAX_BITS", 256)
    assert statistical_distance(0) == 0
    assert statistical_distance(30) == 30 * 2.0**-192


@given(bound=st.integers(1, 50))
def test_uniform_choices_stay_below_their_bound(bound):
    chosen = uniform_below(np.full(20, bound), OsEntropy())
    assert ((chosen >= 0) & (chosen < bound)).all()


@pytest.mark.parametrize("bound", [2, 3, 10])
def test_uniform_choices_are_uniform(bound):
    observed = np.bincount(uniform_below(np.full(30_000, bound), OsEntropy()), minlength=bound)
    assert laws.chi_square(observed, np.full(bound, 1 / bound)) > ACCEPT


def test_uniform_choices_refuse_the_words_that_would_favour_small_values():
    # 2^64 = 1 (mod 3): one word too many, the first, is drawn again.
    assert uniform_below(np.array([3, 3]), Crafted(0, 4, 5)).tolist() == [2, 1]
    # 2^64 = 2 (mod 2^63 - 1): here it is the first two.
    big = 2**63 - 1
    assert uniform_below(np.array([big]), Crafted(0, 1, 2 + big)).tolist() == [2]


def test_coins_are_exact_to_the_last_bit_of_their_probability():
    probability = 0.3 * 2.0**-20  # its bits reach beyond one word
    high, low = divmod(int(mpmath.mpf(probability) * 2**128), 2**64)
    assert low > 0
    assert coins(probability, 1, Crafted(high - 1)).tolist() == [True]
    assert coins(probability, 1, Crafted(high + 1)).tolist() == [False]
    assert coins(probability, 1, Crafted(high, low - 1)).tolist() == [True]
    assert coins(probability, 1, Crafted(high, low)).tolist() == [False]
    heads = coins(0.3, 100_000, OsEntropy()).sum()
    for p, accepted in [(0.3, True), (0.24, False), (0.375, False)]:
        p_value = stats.binomtest(int(heads), 100_000, p).pvalue
        assert p_value > ACCEPT if accepted else p_value < REJECT

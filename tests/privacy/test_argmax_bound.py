import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from exact_argmax import divergences, log_law
from fedpate.privacy.argmax_bound import TABLE, UNIT, argmax_rdp, threshold_rdp
from fedpate.privacy.certificate.boxes import cover_line, cover_plane
from fedpate.privacy.certificate.laws import SQRT2, laws
from fedpate.privacy.certificate.search import Covers, certify
from fedpate.privacy.rdp import ORDERS
from golden_values import expected, golden

ACCOUNTING = "accounting.json"
ROUNDING = 1 + 1e-6
scales = st.floats(np.log(0.5), np.log(500)).map(np.exp)


def at_order(rdp, order):
    """Between the orders of the table: (order - 1) D is convex in the order."""
    moments = np.interp(order, ORDERS, rdp * (ORDERS - 1))
    return moments / (order - 1)


def one_move(u, v, s, orders):
    """Divergence of the three-outcome laws at (u, v) and (u + s, v - s), in the worse direction."""
    a, b = (u - v) / SQRT2, np.array([(u + v) / SQRT2])
    with np.errstate(divide="ignore"):
        near, far = (np.log(laws(np.array([x]), b)[:, 0]) for x in (a, a + SQRT2 * s))
    return np.maximum(divergences(near, far, orders), divergences(far, near, orders))


@pytest.mark.parametrize("entry", golden(ACCOUNTING, "argmax_only"))
def test_golden_divergences_lie_below_the_supremum_and_near_it(entry):
    u, v, sigma, order = (entry["inputs"][name] for name in ("u", "v", "sigma", "order"))
    exact = one_move(u, v, 1 / sigma, [order])[0]
    assert exact == expected(entry)
    bound = at_order(argmax_rdp(sigma, 1), order)
    assert exact <= bound <= 1.03 * exact


@pytest.mark.parametrize("entry", golden(ACCOUNTING, "bit_only"))
def test_golden_bits_lie_below_the_supremum(entry):
    inputs = entry["inputs"]
    sigma, margin, order = inputs["sigma1"], inputs["margin_sd"], inputs["order"]

    def log_bit(x):
        return np.array([special.log_ndtr(x), special.log_ndtr(-x)])

    near, far = log_bit(margin), log_bit(margin + 1 / sigma)
    exact = max(divergences(p, q, [order])[0] for p, q in ((near, far), (far, near)))
    assert exact == expected(entry)
    bound = at_order(threshold_rdp(sigma, 1), order)
    assert exact <= bound
    if margin == 0:
        assert bound <= 1.1 * exact


def histogram(rng, n_classes, n_teachers):
    """Votes of all kinds: even, sparse, two rivals, nearly unanimous."""
    kind = rng.integers(4)
    if kind == 0:
        weights = rng.dirichlet(np.full(n_classes, rng.choice([0.05, 1, 50])))
    elif kind == 1:
        weights = np.full(n_classes, 0.2 / n_classes)
        weights[:2] += rng.dirichlet([5, 5]) * 0.8
    elif kind == 2:
        weights = np.full(n_classes, 0.02 / n_classes)
        weights[0] += 0.98
    else:
        weights = np.full(n_classes, 1 / n_classes)
    return rng.multinomial(n_teachers, weights / weights.sum())


@given(st.integers(2, 1000), st.integers(1, 1000), scales, st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_no_histogram_has_a_larger_divergence(n_classes, n_teachers, sigma, seed):
    rng = np.random.default_rng(seed)
    before = histogram(rng, n_classes, n_teachers)
    bound = argmax_rdp(sigma, 1) * ROUNDING + 1e-12
    ranked = np.argsort(-before)
    leaves = rng.choice([ranked[0], ranked[1], rng.choice(np.flatnonzero(before))])
    if before[leaves] == 0:
        leaves = ranked[0]
    joins = rng.choice([c for c in (*ranked[:3], ranked[-1]) if c != leaves])
    after = before.copy()
    after[leaves] -= 1
    after[joins] += 1
    log_p, log_q = log_law(before, sigma), log_law(after, sigma)
    assert (divergences(log_p, log_q, ORDERS) <= bound).all()
    assert (divergences(log_q, log_p, ORDERS) <= bound).all()


@given(st.floats(-8, 8), scales, st.integers(1, 50))
@settings(max_examples=200)
def test_no_margin_has_a_larger_divergence(margin, sigma, moved):
    bound = threshold_rdp(sigma, moved) * ROUNDING + 1e-12
    for fewer in {moved, 1}:
        near, far = (
            np.array([special.log_ndtr(x), special.log_ndtr(-x)])
            for x in (margin, margin + fewer / sigma)
        )
        assert (divergences(near, far, ORDERS) <= bound).all()
        assert (divergences(far, near, ORDERS) <= bound).all()


def test_a_histogram_comes_close_to_the_bound():
    sigma, before, after = 40.0, np.array([160, 160, 10]), np.array([159, 161, 10])
    exact = divergences(log_law(before, sigma), log_law(after, sigma), ORDERS)
    few = (ORDERS > 2) & (ORDERS < 10)
    assert (exact[few] >= 0.98 * argmax_rdp(sigma, 1)[few]).all()


@pytest.mark.parametrize(("sigma", "order"), [(40.0, 11.0), (4.0, 4.0), (100.0, 101.0), (1.0, 2.0)])
def test_the_table_is_what_an_optimizer_finds(sigma, order):
    row = int(np.abs(ORDERS - order).argmin())

    def less(where):
        return -one_move(*where, 1 / sigma, ORDERS[row : row + 1])[0]

    starts = [(0.75, 0.75), (1.2, 0.4), (2.0, 0.0), (3.0, 3.0)]
    found = max(-optimize.minimize(less, x, method="Nelder-Mead").fun for x in starts)
    assert found <= argmax_rdp(sigma, 1)[row] <= 1.003 * found


def test_a_sample_of_the_table_is_certified_anew():
    rng = np.random.default_rng(20180224)
    with np.load(TABLE) as table:
        shifts, entries = table["shifts"], np.stack([table["argmax"], table["bit"]]) * UNIT
    assert np.array_equal(np.load(TABLE)["orders"], ORDERS)
    for column in rng.choice(len(shifts), 3, replace=False):
        present = np.flatnonzero(entries[0, :, column])
        rows = rng.choice(present, min(6, len(present)), replace=False)
        orders = ORDERS[rows]
        covers = Covers(cover_plane(), cover_line())
        suprema = np.array(certify(shifts[column], orders, 3e-3, covers))
        again = suprema / (orders * (orders - 1) * shifts[column] ** 2)
        stored = entries[:, rows, column]
        # both are upper bounds of one number, at most 0.4 % and 0.3 % above it
        assert (np.abs(stored / again - 1) < 4.1e-3).all()


@given(st.floats(0.3, 2000), st.floats(1.0, 1.5))
@settings(max_examples=200)
def test_more_noise_never_costs_more(sigma, factor):
    for rdp in (argmax_rdp, threshold_rdp):
        assert (rdp(sigma * factor, 1) <= rdp(sigma, 1) * (1 + 1e-12)).all()


@given(st.floats(1e-3, 1e8), st.integers(1, 40))
def test_the_gaussian_is_the_cap_and_the_price_of_several_votes(sigma, moved):
    gaussian = ORDERS * (moved / sigma) ** 2
    assert (argmax_rdp(sigma, moved) <= gaussian * ROUNDING).all()
    assert (threshold_rdp(sigma, moved) <= gaussian / 2 * ROUNDING).all()
    if moved > 1:
        assert argmax_rdp(sigma, moved) == pytest.approx(gaussian, rel=1e-8)


def test_the_ratio_to_the_gaussian_is_as_published():
    # facts for sigma 40: 0.64 order/sigma^2 at small orders, 0.704 at 64, tending to 1
    ratio = argmax_rdp(40.0, 1) / (ORDERS / 1600)
    assert at_order(argmax_rdp(40.0, 1), 14) / (14 / 1600) == pytest.approx(0.6425, rel=2e-3)
    assert at_order(argmax_rdp(40.0, 1), 64) / (64 / 1600) == pytest.approx(0.704, rel=4e-3)
    assert (np.abs(ratio[(ORDERS > 1.5) & (ORDERS < 8)] - 0.6405) < 1e-3).all()
    assert ratio[ORDERS > 200] == pytest.approx(1)

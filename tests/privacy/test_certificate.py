"""Every step of docs/proof-argmax-only.md that a computer can check, against independent values."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from fedpate.privacy.certificate import search
from fedpate.privacy.certificate.boxes import A_MAX, B_MAX, INFINITE_B, UV_MIN, Boxes, cover_line
from fedpate.privacy.certificate.laws import SQRT2, changes, curvatures, laws

coordinates = st.tuples(st.floats(-6, 6), st.floats(-8, 8))
moves = st.tuples(st.floats(1e-4, 3), st.floats(1.02, 300)).filter(lambda m: m[0] * m[1] <= 4)


def point(a, b):
    return Boxes.of(np.array([[a], [a], [b], [b]], dtype=float))


def moment_at(a, b, s, order):
    """K at one point, from its definition; the certificate's own evaluation is not used."""
    before = law_by_quadrature(a, b)
    after = law_by_quadrature(a - SQRT2 * s, b)
    terms = order * np.log(after) + (1 - order) * np.log(before)
    return special.logsumexp(terms)


def law_by_quadrature(a, b):
    """{A, B, other} from the unrotated definition: u + X, v + Y and 0 compete."""
    u, v = (a + b) / SQRT2, (b - a) / SQRT2

    def wins(mine, theirs):
        def density(x):
            return stats.norm.pdf(x - mine) * stats.norm.cdf(x - theirs)

        peaks = sorted({max(0.0, x) for x in (mine, theirs, (mine + theirs) / 2)})
        edges = sorted({0.0, *(round(x + d, 2) for x in peaks for d in (0, 0.5, 2, 5, 12))})
        return sum(
            integrate.quad(density, x, y, epsabs=0, epsrel=1e-12)[0] for x, y in pairwise(edges)
        )

    return np.array([wins(u, v), wins(v, u), stats.norm.cdf(-u) * stats.norm.cdf(-v)])


@given(coordinates)
@settings(max_examples=30)
def test_the_rotated_law_is_the_law_of_the_three_way_race(where):
    a, b = (np.array([x]) for x in where)
    ours = laws(a, b)[:, 0]
    assert ours == pytest.approx(law_by_quadrature(*where), rel=1e-9, abs=1e-300)
    assert ours.sum() == pytest.approx(1, abs=1e-13)


@given(coordinates, st.floats(1e-6, 5))
@settings(max_examples=30)
def test_changes_are_differences_of_laws(where, delta):
    a, b = (np.array([x]) for x in where)
    difference = laws(a - delta, b) - laws(a, b)
    assert changes(a, b, delta) == pytest.approx(difference, rel=1e-9, abs=1e-15)


def derivatives(a, b, h=2e-3):
    """|L_aa|, |L_bb|, |L_aaa|, |L_abb| by central differences, to about 1e-6."""

    def law(i, j):
        return laws(np.array([a + i * h]), np.array([b + j * h]))[:, 0]

    aa = law(1, 0) - 2 * law(0, 0) + law(-1, 0)
    bb = law(0, 1) - 2 * law(0, 0) + law(0, -1)
    aaa = (law(2, 0) - 2 * law(1, 0) + 2 * law(-1, 0) - law(-2, 0)) / 2
    bend = [law(i, 1) - 2 * law(i, 0) + law(i, -1) for i in (1, -1)]
    return aa / h**2, bb / h**2, aaa / h**3, (bend[0] - bend[1]) / 2 / h**3


@given(coordinates, st.floats(1e-3, 1), st.floats(1e-3, 1), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=150)
def test_bounds_on_derivatives_hold_inside_the_box(corner, width, height, i, j):
    a, b = corner
    bounds = curvatures(np.array([[a], [a + width], [b], [b + height]]))
    for bound, value in zip(bounds, derivatives(a + i * width, b + j * height), strict=True):
        assert (np.abs(value) <= bound[:, 0] * (1 + 1e-4) + 3e-6).all()


def test_bounds_on_derivatives_are_not_idle():
    # at a point, where the triangle inequality is all that is lost
    for a, b in [(0.0, 1.0), (1.0, 0.5), (-2.0, 3.0)]:
        bounds = curvatures(np.array([[a], [a], [b], [b]]))
        for bound, value in zip(bounds, derivatives(a, b), strict=True):
            assert (bound[:2, 0] <= 3 * np.abs(value[:2]) + 0.25).all()


@given(coordinates)
@settings(max_examples=150)
def test_the_cumulants_are_as_lemma_2_says(where):
    (a, b), h = where, 1e-2

    def log_law(i, j):
        return np.log(laws(np.array([a + i * h]), np.array([b + j * h]))[:, 0])

    middle = log_law(0, 0)
    for second in (
        log_law(1, 0) - 2 * middle + log_law(-1, 0),
        log_law(0, 1) - 2 * middle + log_law(0, -1),
    ):
        assert (second / h**2 >= -1 - 1e-3).all()
        assert (second / h**2 <= 1e-3).all()
    aaa = log_law(2, 0) - 2 * log_law(1, 0) + 2 * log_law(-1, 0) - log_law(-2, 0)
    bend = [log_law(i, 1) - 2 * log_law(i, 0) + log_law(i, -1) for i in (1, -1)]
    assert (np.abs(aaa) / 2 / h**3 <= 2 + 1e-2).all()
    assert (np.abs(bend[0] - bend[1]) / 2 / h**3 <= 2 + 1e-2).all()


@given(
    st.tuples(st.floats(-6, 8), st.floats(-6, 8)),
    st.floats(1e-3, 1),
    st.floats(1e-3, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    moves,
)
@settings(max_examples=150)
def test_the_bound_over_a_box_holds_inside_it(corner, width, height, i, j, move):
    (a, b), (s, order) = corner, move
    box = Boxes.of(np.array([[a], [a + width], [b], [b + height]]))
    value, bound = search._bounds(box, s, np.array([order]))
    inside, _ = search._bounds(point(a + i * width, b + j * height), s, np.array([order]))
    assert value <= bound
    assert inside <= bound * (1 + 1e-9) + 1e-300


@given(coordinates, moves)
@settings(max_examples=30)
def test_the_corner_value_is_the_moment(where, move):
    s, order = move
    value, _ = search._bounds(point(*where), s, np.array([order]))
    exact = moment_at(*where, s, order)
    assert value[0, 0] == pytest.approx(exact, rel=1e-6, abs=1e-9 * order)


@given(
    st.tuples(st.floats(-6, 6), st.floats(-6, 8)),
    st.floats(1e-3, 1),
    st.floats(1e-3, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(1e-4, 3),
)
@settings(max_examples=150)
def test_ranges_of_the_ratios_hold_inside_the_box(corner, width, height, i, j, s):
    a, b = corner
    least, most = search._ratio_ranges(Boxes.of(np.array([[a], [a + width], [b], [b + height]])), s)
    inside = search._relative_changes(point(a + i * width, b + j * height), s)[:, 0, 0]
    slack = 1e-9 * (1 + np.abs(inside))
    assert (least[:, 0] <= inside + slack).all()
    assert (inside <= most[:, 0] + slack).all()


@given(
    st.floats(-20, 20),
    st.floats(-28, 14),
    st.floats(2e-3, 3.5),
    st.floats(0.006, 4),
)
@settings(max_examples=200)
def test_outside_the_boxes_the_closed_bounds_hold(a, b, s, scaled):
    order = scaled / s
    u, v = (a + b) / SQRT2, (b - a) / SQRT2
    if order <= 1.01 or (abs(a) <= A_MAX and b <= B_MAX and min(u, v) >= UV_MIN):
        return
    orders = np.array([order])
    line, _ = search._bounds(point(a, INFINITE_B), s, orders)
    bit = np.maximum(line[0], search._outside_line(s, orders))
    value, _ = search._bounds(point(a, b), s, orders)
    assert value[0, 0] <= search._outside_plane(s, orders, bit)[0] * (1 + 1e-9)


def test_the_search_ends_near_the_value_it_found():
    orders = np.array([2.0, 8.0, 60.0])
    coarse, _ = search.supremum(cover_line(), 0.05, orders, gap=1e-2)
    fine, boxes = search.supremum(cover_line(), 0.05, orders, gap=1e-4)
    value, _ = search._bounds(boxes, 0.05, orders)
    assert (fine <= coarse).all()
    assert (value.max(axis=1) <= fine).all()
    assert (fine <= value.max(axis=1) * (1 + 1.01e-4)).all()


def test_infinity_is_where_float64_puts_it():
    a = np.linspace(-A_MAX, A_MAX, 31)
    there = laws(a, np.full_like(a, INFINITE_B))
    assert there[0] == pytest.approx(special.ndtr(a), rel=1e-13)
    assert there[1] == pytest.approx(special.ndtr(-a), rel=1e-13)
    assert (there[2] == 0).all()

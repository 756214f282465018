"""Speed of the privacy core, as ratios against plain loops over queries and orders.

    python experiments/bench/bench_privacy.py [VOTES.npy]

The loops are straightforward implementations of the same published formulas, one query and one
order (or distance) at a time, written here; they are run on some of the queries, checked to give
the same numbers, and scaled linearly. Votes are made up unless a file is given. CPU time of one
thread, best of several runs; prints a Markdown table.
"""

import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported: one core

import numpy as np
from scipy import special

from fedpate.privacy.exact import ThresholdTest, exact_rdp
from fedpate.privacy.exact_laws import GaussianLaw
from fedpate.privacy.gnmax_curve import GnmaxCurve
from fedpate.privacy.histograms import merged, validated
from fedpate.privacy.noise import Gaussian, OsEntropy, draw, noisy_argmax
from fedpate.privacy.pate_bounds import confident_rdp, gnmax_log_q, gnmax_rdp
from fedpate.privacy.rdp import ORDERS
from fedpate.privacy.smooth_sensitivity import gnmax_local_sensitivities, smooth_sensitivity
from fedpate.records import Floats, Ints

QUERIES, TEACHERS, CLASSES = 10_000, 250, 10
SIGMA, THRESHOLD, SIGMA_1, ORDER, BETA = 40.0, 200.0, 150.0, 14.0, 0.46 / 14
GRID = np.linspace(1.5, 64, 100)


# --- loops: one query, one order ----------------------------------------------------------------


def log_1m(x: float) -> float:
    """log(1 - e^x)."""
    return math.log(-math.expm1(x)) if x > -1 else math.log1p(-math.exp(x))


def loop_log_q(counts: list[int], sigma: float) -> float:
    """[P18] Prop. 7."""
    winner = counts.index(max(counts))
    logs = [
        float(special.log_ndtr(-(counts[winner] - votes) / (math.sqrt(2) * sigma)))
        for j, votes in enumerate(counts)
        if j != winner
    ]
    top = max(logs)
    total = top + math.log(sum(math.exp(one - top) for one in logs))
    return min(total, math.log(1 - 1 / len(counts)))


def loop_dependent(log_q: float, sigma: float, order: float) -> float:
    """[P18] Theorem 6 with Prop. 10."""
    mu_2 = sigma * math.sqrt(-log_q)
    mu_1 = mu_2 + 1
    eps_1, eps_2 = mu_1 / sigma**2, mu_2 / sigma**2
    log_p = log_1m(log_q)
    log_a = (order - 1) * (log_p - log_1m((log_q + eps_2) * (1 - 1 / mu_2)))
    log_b = (order - 1) * (eps_1 - log_q / (mu_1 - 1))
    u, v = log_p + log_a, log_q + log_b
    top = max(u, v)
    return (top + math.log(math.exp(u - top) + math.exp(v - top))) / (order - 1)


def loop_rdp(log_q: float, sigma: float, order: float) -> float:
    """The smaller of Theorem 6, where it applies, and Prop. 8."""
    independent = order / sigma**2
    mu_2 = sigma * math.sqrt(-log_q)
    mu_1, eps_2 = mu_2 + 1, mu_2 / sigma**2
    if not (mu_1 > order and mu_2 > 1 and -log_q > eps_2):
        return independent
    if log_q > (mu_2 - 1) * eps_2 - mu_2 * (
        math.log1p(1 / (mu_1 - 1)) + math.log1p(1 / (mu_2 - 1))
    ):
        return independent
    return min(independent, loop_dependent(log_q, sigma, order))


def loop_theorem_6(votes: list[list[int]], orders: list[float]) -> list[list[float]]:
    """Per query and order."""
    result = []
    for counts in votes:
        log_q = loop_log_q(counts, SIGMA)
        result.append([loop_rdp(log_q, SIGMA, order) for order in orders])
    return result


def loop_confident(votes: list[list[int]], orders: list[float]) -> list[list[float]]:
    """[P18] Algorithm 1 in expectation, per query and order."""
    result = []
    for counts in votes:
        z = (max(counts) - THRESHOLD) / SIGMA_1
        log_yes, log_no = float(special.log_ndtr(z)), float(special.log_ndtr(-z))
        rarer, log_q = min(log_yes, log_no), loop_log_q(counts, SIGMA)
        row = []
        for order in orders:
            test = loop_rdp(rarer, math.sqrt(2) * SIGMA_1, order)
            row.append(test + math.exp(log_yes) * loop_rdp(log_q, SIGMA, order))
        result.append(row)
    return result


class LoopSensitivity:
    """[P18] Algorithms 3 to 5, with q_0 given."""

    def __init__(self, curve: GnmaxCurve) -> None:
        self.log_q0, self.log_q1 = curve.log_q0, curve.log_q1
        self.plateau = curve.plateau

    def _beta(self, log_q: float) -> float:
        return ORDER / SIGMA**2 if log_q >= self.log_q0 else loop_dependent(log_q, SIGMA, ORDER)

    def _moved(self, log_q: float, votes: int) -> float:
        x = special.erfcinv(2 * math.exp(log_q) / (CLASSES - 1)) + votes / SIGMA
        return math.log(min(1.0, (CLASSES - 1) / 2 * math.erfc(x)))

    def _sensitivity(self, log_q: float) -> float:
        if self.log_q1 <= log_q <= self.log_q0:
            return self.plateau
        here = self._beta(log_q)
        rise = self._beta(self._moved(log_q, -1)) - here
        return max(rise, here - self._beta(self._moved(log_q, 1)))

    def _step(self, votes: list[int], left: bool) -> None:
        second = 1 + votes[1:].index(max(votes[1:])) if left else 1
        votes[0] += 1 if left else -1
        votes[second] -= 1 if left else -1

    def smooth(self, counts: list[int]) -> float:
        """One walk that takes the sensitivity at every step."""
        votes = sorted(counts, reverse=True)
        local = [self.plateau] * (sum(votes) + 1)
        log_q = loop_log_q(votes, SIGMA)
        distance, left = 0, log_q > self.log_q0
        while log_q > self.log_q0 if left else log_q < self.log_q1:
            local[distance] = self._sensitivity(log_q)
            distance += 1
            if left and max(votes[1:]) == 0:
                break
            self._step(votes, left)
            log_q = loop_log_q(votes, SIGMA)
        return max(math.exp(-BETA * d) * value for d, value in enumerate(local))

    def smooth_as_written(self, counts: list[int]) -> float:
        """Algorithm 5 asks Algorithm 4 for each distance, and that walks there from the votes."""
        return max(
            math.exp(-BETA * d) * self._at_distance(counts, d) for d in range(sum(counts) + 1)
        )

    def _at_distance(self, counts: list[int], distance: int) -> float:
        votes = sorted(counts, reverse=True)
        log_q = loop_log_q(votes, SIGMA)
        left = log_q > self.log_q0
        for _ in range(distance):
            if not (log_q > self.log_q0 if left else log_q < self.log_q1):
                return self.plateau
            if left and max(votes[1:]) == 0:
                return self.plateau
            self._step(votes, left)
            log_q = loop_log_q(votes, SIGMA)
        outside = log_q > self.log_q0 if left else log_q < self.log_q1
        return self._sensitivity(log_q) if outside else self.plateau


# --- the package ------------------------------------------------------------------------------


def fast_theorem_6(votes: Ints) -> Floats:
    """(n_queries, n_orders)."""
    return gnmax_rdp(gnmax_log_q(votes, SIGMA), SIGMA, GRID)


def fast_confident(votes: Ints) -> Floats:
    """(n_queries, n_orders)."""
    return confident_rdp(votes, votes.max(axis=1), THRESHOLD, SIGMA_1, SIGMA, GRID)


def summed(analysis: Callable[[Ints], Floats], votes: Ints) -> Floats:
    """(n_orders,) the whole run's divergence: each different histogram is analysed once."""
    different = merged(votes)
    return different.multiplicity @ analysis(different.rows)


def fast_smooth(votes: Ints) -> Floats:
    """(n_queries,) smooth sensitivities."""
    different = merged(votes)
    local = gnmax_local_sensitivities(different.rows, GnmaxCurve(SIGMA, ORDER, CLASSES))
    return smooth_sensitivity(local, BETA)[different.index]


# --- the table --------------------------------------------------------------------------------


def made_up_votes() -> Ints:
    """As agreeing as the published MNIST votes: 70 % of queries above 200 of 250 votes."""
    rng = np.random.default_rng(0)
    top = rng.beta(4, 0.6, QUERIES)
    rest = rng.dirichlet(np.full(CLASSES - 1, 0.6), QUERIES) * (1 - top)[:, None]
    shares = np.column_stack([top, rest])
    return rng.permuted(rng.multinomial(TEACHERS, shares), axis=1)


def seconds(work: Callable[[], object], runs: int) -> float:
    """Least CPU time of several runs."""
    best = math.inf
    for _ in range(runs):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


@dataclass(frozen=True)
class Row:
    """One line of the table; `limit` is a ratio where there is a loop, else seconds."""

    what: str
    fast: float
    limit: float | None
    loop: float | None = None

    def __str__(self) -> str:
        if self.loop is None:
            measured, factor = f"{self.fast:.3g} s", (self.limit or math.nan) / self.fast
            limit = f"< {self.limit:g} s"
        else:
            ratio = self.loop / self.fast
            measured, factor = f"{ratio:.0f} x", ratio / (self.limit or math.nan)
            limit = "-" if self.limit is None else f">= {self.limit:g} x"
        distance = "-" if self.limit is None else f"{factor:.1f} x inside"
        if self.limit is not None and factor < 1:
            distance = f"{1 / factor:.1f} x OUTSIDE"
        loop = "-" if self.loop is None else f"{self.loop:.2f} s"
        cells = self.what, loop, f"{1000 * self.fast:.1f} ms", measured, limit, distance
        return f"| {' | '.join(cells)} |"


def bounds_rows(votes: Ints) -> list[Row]:
    """Theorem 6 and Confident: the whole run's divergence, and all of it per query."""
    rows, few = [], 200
    listed, orders = votes[:few].tolist(), GRID.tolist()
    for name, loop, fast, limit in (
        ("Theorem 6", loop_theorem_6, fast_theorem_6, 100),
        ("Confident, expected", loop_confident, fast_confident, 200),
    ):
        np.testing.assert_allclose(loop(listed, orders), fast(votes[:few]), rtol=1e-9, atol=1e-16)
        np.testing.assert_allclose(summed(fast, votes), fast(votes).sum(axis=0), rtol=1e-9)
        slow = seconds(lambda loop=loop: loop(listed, orders), 3) * len(votes) / few
        total = seconds(lambda fast=fast: summed(fast, votes), 15)
        matrix = seconds(lambda fast=fast: fast(votes), 15)
        rows += [
            Row(f"{name}, {len(votes):,} queries x 100 orders, summed", total, limit, slow),
            Row(f"{name}, the same, per query", matrix, None, slow),
        ]
    return rows


def smooth_rows(votes: Ints) -> list[Row]:
    """Smooth sensitivity of 1,000 queries at one order."""
    votes = votes[:1000]
    loop = LoopSensitivity(GnmaxCurve(SIGMA, ORDER, CLASSES))
    fast = seconds(lambda: fast_smooth(votes), 10)
    rows = []
    for name, work, few, limit in (
        ("Algorithms 4 and 5 as written", loop.smooth_as_written, 4, 100),
        ("one walk per query", loop.smooth, 100, None),
    ):
        listed = votes[:few].tolist()
        found = list(map(work, listed))
        np.testing.assert_allclose(found, fast_smooth(votes)[:few], rtol=1e-6)
        slow = seconds(lambda work=work, few_=listed: list(map(work, few_)), 2) * len(votes) / few
        rows.append(Row(f"smooth sensitivity, 1,000 queries; {name}", fast, limit, slow))
    return rows


def main() -> None:
    """Measure, and print the table."""
    votes = validated(np.load(sys.argv[1])) if len(sys.argv) > 1 else made_up_votes()
    if len(votes) < QUERIES:
        votes = np.vstack([votes, votes[: QUERIES - len(votes)]])
    rows = [*bounds_rows(votes), *smooth_rows(votes)]
    test, law = ThresholdTest(THRESHOLD, SIGMA_1), GaussianLaw(SIGMA)
    joint = seconds(lambda: exact_rdp(votes[:8500], law, ORDERS, test=test), 2)
    rows.append(Row(f"exact joint law, 8,500 queries x {len(ORDERS)} orders", joint, 10))
    cells, entropy = votes[:QUERIES], OsEntropy()

    def release() -> Ints:
        return noisy_argmax(cells, draw(Gaussian(SIGMA), cells.shape, entropy))

    rows.append(Row("secure noise and arg max, 100,000 cells", seconds(release, 5), 0.1))
    different = len(merged(votes).rows)
    print(f"{len(votes):,} queries, {different:,} different histograms\n")
    print("| what | loop | fedpate | measured | limit | distance |\n|---|---|---|---|---|---|")
    print("\n".join(map(str, rows)))


if __name__ == "__main__":
    main()

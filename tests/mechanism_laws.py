"""Exact laws of released labels, computed without fedpate: the oracles of the mechanism tests.

Every function takes one histogram of counts (n_classes,) and returns the probabilities of
(no answer, class 0, class 1, ...).
"""

import itertools

import numpy as np
from scipy import integrate, stats


def _answered(law):
    return np.concatenate([[0.0], law])


def noisy_max(counts, noise, reach):
    """Quadrature of int f(x - n_j) prod_i F(x - n_i) dx for a frozen scipy law `noise`."""
    kinks = sorted({float(n) for n in counts})
    ends = [kinks[0] - reach, *kinks, kinks[-1] + reach]

    def winning(j):
        def density(x):
            others = [noise.cdf(x - n) for i, n in enumerate(counts) if i != j]
            return noise.pdf(x - counts[j]) * np.prod(others)

        pieces = itertools.pairwise(ends)
        return sum(integrate.quad(density, a, b, epsabs=1e-13, limit=200)[0] for a, b in pieces)

    return _answered(np.array([winning(j) for j in range(len(counts))]))


def gaussian_max(counts, scale):
    return noisy_max(counts, stats.norm(scale=scale), 12 * scale)


def laplace_max(counts, scale):
    return noisy_max(counts, stats.laplace(scale=scale), 40 * scale)


def gumbel_max(counts, scale):
    weights = np.exp((np.asarray(counts) - max(counts)) / scale)
    return _answered(weights / weights.sum())


def permute_and_flip(counts, scale):
    """Visit classes in random order, take j with p_j: in all p_j int prod (1 - p_i t) dt."""
    accept = np.exp((np.asarray(counts) - max(counts)) / scale)
    law = []
    for j, p in enumerate(accept):
        others = np.delete(accept, j)
        polynomial = np.polynomial.Polynomial([1.0])
        for q in others:
            polynomial *= np.polynomial.Polynomial([1.0, -q])
        law.append(p * polynomial.integ()(1.0))
    return _answered(np.array(law))


def gated(statistic, threshold, bit_scale, answered, fallback):
    """Law `answered` where statistic + N(0, bit_scale^2) >= threshold, else the law `fallback`."""
    passes = stats.norm.sf((threshold - statistic) / bit_scale)
    return passes * answered + (1 - passes) * fallback


def confident(counts, scale, threshold, bit_scale):
    answered = gaussian_max(counts, scale)
    return gated(max(counts), threshold, bit_scale, answered, np.eye(len(answered))[0])


def interactive(counts, scale, threshold, bit_scale, confidence, student):
    answered = gaussian_max(counts, scale)
    statistic = np.max(np.asarray(counts) - sum(counts) * np.asarray(student))
    reinforced = 1 + int(np.argmax(student)) if max(student) > confidence else 0
    return gated(statistic, threshold, bit_scale, answered, np.eye(len(answered))[reinforced])


def plain(counts):
    top = np.asarray(counts) == max(counts)
    return _answered(top / top.sum())


def randomized_response(counts, flip):
    """Sum over every way that the votes can be randomized."""
    n_classes = len(counts)
    votes = np.repeat(np.arange(n_classes), counts)
    law = np.zeros(n_classes + 1)
    for outcome in itertools.product(range(n_classes), repeat=len(votes)):
        stays = (1 - flip) * (np.array(outcome) == votes) + flip / n_classes
        law += np.prod(stays) * plain(np.bincount(outcome, minlength=n_classes))
    return law


def chi_square(observed, law):
    """p-value of counts `observed` under `law`; outcomes expected under 5 times are merged."""
    observed, expected = np.asarray(observed, float), np.asarray(law) * np.sum(observed)
    if observed[expected == 0].any():
        return 0.0
    rare = expected < 5
    observed = np.append(observed[~rare], observed[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    if expected[-1] < 5:  # too little to test on its own
        order = np.argmin(expected[:-1])
        observed[order] += observed[-1]
        expected[order] += expected[-1]
        observed, expected = observed[:-1], expected[:-1]
    if len(expected) < 2:
        return 1.0
    return stats.chi2.sf(((observed - expected) ** 2 / expected).sum(), len(expected) - 1)

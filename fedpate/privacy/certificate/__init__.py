"""A proven upper bound on the Rényi divergence of a noisy arg max, and of a noisy threshold's bit.

docs/proof-argmax-only.md proves every step and uses the same letters; numbers in brackets are its
sections. A vote moves from class A to class B. In standard deviations of the noise, let u and v be
the counts of A and B above the best noisy score of the rest; the move takes (u, v) to
(u - s, v + s), with s = 1/sigma. Rotated, a = (u - v)/sqrt2 falls by delta = sqrt2 s, and
b = (u + v)/sqrt2 stays [3].

Nothing here is needed to use the bound: `fedpate.privacy.argmax_bound` reads the table that
experiments/argmax_table.py makes with it.
"""

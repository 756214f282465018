"""Make fedpate/privacy/tables/argmax.npz: certified suprema for `fedpate.privacy.argmax_bound`.

    python experiments/argmax_table.py          # 3 minutes on one core

The table is a function of this code alone; tests/privacy/test_argmax_bound.py certifies a sample of
its entries again. Entries are (order - 1) D_order / (order (order - 1) s^2), rounded up to a
multiple of 2e-5; 0 where order * s is outside the table's range, where the bound is the Gaussian's.
"""

import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from fedpate.privacy.argmax_bound import TABLE, UNIT
from fedpate.privacy.certificate.boxes import cover_line, cover_plane
from fedpate.privacy.certificate.search import LARGEST, Covers, certify
from fedpate.privacy.rdp import ORDERS

SMALLEST = 0.005  # order * s; below it stand more than 700,000 queries
LARGEST_SHIFT = 2.0  # noise of half a vote; with less, no useful epsilon is left to bound
STEP = 1.03  # between shifts; interpolation between them loses 0.06 %
RESTART = 40  # shifts
# (order * s up to, relative precision). A group shares its boxes, so like goes with like. Beyond 1
# only runs of a dozen queries have their best order.
GROUPS = ((0.1, 5e-4), (0.5, 5e-4), (1.0, 5e-4), (1.5, 1e-3), (2.5, 2e-3), (LARGEST, 4e-3))


def main() -> None:
    started = time.process_time()
    steps = np.log(LARGEST_SHIFT / (SMALLEST / ORDERS[-1])) / np.log(STEP)
    shifts = SMALLEST / ORDERS[-1] * STEP ** np.arange(int(steps) + 2)
    entries = np.zeros((2, len(ORDERS), len(shifts)), dtype=np.uint16)
    coarse = Covers(cover_plane(), cover_line())
    for (above, _), (up_to, gap) in pairwise([(SMALLEST, 0.0), *GROUPS]):
        for j, shift in enumerate(shifts):
            if j % RESTART == 0:  # boxes are only ever split, and the worst case moves with s
                covers = Covers(coarse.plane, coarse.line)
            scaled = ORDERS * shift
            chosen = (scaled > above) & (scaled <= up_to)
            if not chosen.any():
                continue
            orders = ORDERS[chosen]
            suprema = np.array(certify(float(shift), orders, gap, covers))
            ratios = suprema / (orders * (orders - 1) * shift**2)
            entries[:, chosen, j] = np.ceil(ratios / UNIT)
        print(f"order * s <= {up_to}: {time.process_time() - started:.0f} s", flush=True)
    Path(TABLE).parent.mkdir(exist_ok=True)
    np.savez_compressed(TABLE, orders=ORDERS, shifts=shifts, argmax=entries[0], bit=entries[1])
    print(f"{np.count_nonzero(entries)} entries, {Path(TABLE).stat().st_size} bytes")


if __name__ == "__main__":
    main()

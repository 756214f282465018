"""Example records for a federation to try out: breast cancer from scikit-learn, as CSV files."""

from collections.abc import Sequence
from pathlib import Path

from fedpate import rng

PUBLIC_RECORDS = 150  # for the coordinator
MOST_HOSPITALS = 10  # among which the other 419 are dealt


def deal(folder: Path, hospitals: Sequence[str]) -> None:
    """Write `public.csv` and one file per hospital; the column `label` has the answer."""
    from sklearn.datasets import load_breast_cancer

    table = load_breast_cancer(as_frame=True).frame.rename(columns={"target": "label"})
    order = rng.stream(0, "example").permutation(len(table))
    folder.mkdir(mode=0o700, exist_ok=True)
    table.iloc[order[:PUBLIC_RECORDS]].to_csv(folder / "public.csv", index=False)
    for index, name in enumerate(hospitals):
        own = order[PUBLIC_RECORDS + index :: len(hospitals)]
        table.iloc[own].to_csv(folder / f"{name}.csv", index=False)

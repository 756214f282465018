"""How right labels are at a guaranteed epsilon, by how many are asked: a table and a picture.

    fedpate simulate data=mnist teacher=cnn hospitals=10 teachers_per_hospital=25 mechanism=none \\
        queries=9000 baselines=none data.root=DIR hydra.run.dir=votes
    python experiments/label_curve.py votes/votes.npz --root DIR [--figure FILE.svg]

Reads the teachers' votes on all of MNIST's pool once, so any price can be looked at without
training again. The noise is calibrated for each epsilon and number of labels (GNMax, delta 1e-5,
replace-one) and drawn from a seed: an experiment on votes that are known, not a release.
"""

import argparse
from pathlib import Path

import numpy as np

from fedpate.data.sources import SOURCES
from fedpate.privacy.accounting import calibrate
from fedpate.privacy.mechanisms import GaussianMax
from fedpate.rng import stream

EPSILONS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
ASKED = (30, 50, 100, 150, 250, 400, 600, 1000)
DELTA, REPEATS = 1e-5, 3
FIGURE = Path(__file__).resolve().parent / "figures" / "mnist_labels.svg"


def accuracies(counts: np.ndarray, labels: np.ndarray, epsilon: float) -> list[float]:  # type: ignore[type-arg]
    """Share of right labels for each number in `ASKED`, averaged over the whole pool."""
    rng, found = stream(0, "label curve", epsilon), []
    n_classes = counts.shape[1]
    for asked in ASKED:
        scale = calibrate(
            lambda noise, n=asked: GaussianMax(noise).event(n, 1, n_classes), epsilon, DELTA
        )
        noisy = (counts + rng.normal(0, scale, counts.shape) for _ in range(REPEATS))
        found.append(float(np.mean([(one.argmax(axis=1) == labels).mean() for one in noisy])))
    return found


def draw(rows: dict[float, list[float]], path: Path) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fedpate", "font.size": 10}):
        figure = Figure(figsize=(6, 3.4), layout="constrained")
        axes = figure.add_subplot()
        for place, asked in enumerate(ASKED):
            values = [100 * row[place] for row in rows.values()]
            axes.plot(list(rows), values, "o-", ms=3, label=f"{asked:,} labels")
        axes.set_xlabel("guaranteed epsilon per patient, delta 1e-5")
        axes.set_ylabel("labels right, %")
        axes.legend(fontsize=8)
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("votes", type=Path)
    parser.add_argument("--root", default="data")
    parser.add_argument("--figure", type=Path, default=FIGURE)
    arguments = parser.parse_args()
    dataset = SOURCES["mnist"](root=arguments.root).load()
    assert dataset.fixed_split is not None
    true = dataset.labels[dataset.fixed_split[0]]
    with np.load(arguments.votes) as votes:
        counts, labels = votes["counts"], true[votes["query_ids"]]
    print("| epsilon | " + " | ".join(f"{asked:,}" for asked in ASKED) + " |")
    print("|---:" * (len(ASKED) + 1) + "|")
    rows = {}
    for epsilon in EPSILONS:
        rows[epsilon] = accuracies(counts, labels, epsilon)
        print(f"| {epsilon:g} | " + " | ".join(f"{100 * row:.1f}" for row in rows[epsilon]) + " |")
    draw(rows, arguments.figure)


if __name__ == "__main__":
    main()

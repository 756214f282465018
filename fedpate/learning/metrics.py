"""How good a model's answers are, against true labels that only a simulation has."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from fedpate.records import Floats, Ints


@dataclass(frozen=True, eq=False)
class Scores:
    """One model on one test set."""

    accuracy: float  # this and the next two in [0, 1]
    balanced_accuracy: float  # mean over the classes present of each one's recall
    auc: float | None  # two classes only, and both must be present
    confusion: Ints  # (n_classes, n_classes) records, by true class and answer

    @classmethod
    def of(cls, probabilities: Floats, labels: Ints) -> "Scores":
        """Score (n, n_classes) probabilities against (n,) labels; the arg max is the answer."""
        answers = probabilities.argmax(axis=1)
        return cls(
            accuracy(answers, labels),
            balanced_accuracy(answers, labels),
            auc(probabilities, labels),
            confusion(answers, labels, probabilities.shape[1]),
        )


def accuracy(answers: Ints, labels: Ints) -> float:
    """Share of equal labels; NaN for no records."""
    return float((answers == labels).mean()) if len(labels) else float("nan")


def balanced_accuracy(answers: Ints, labels: Ints) -> float:
    """Recall of each class that occurs in `labels`, averaged; NaN for no records."""
    if not len(labels):
        return float("nan")
    recalls = [(answers[labels == label] == label).mean() for label in np.unique(labels)]
    return float(np.mean(recalls))


def confusion(answers: Ints, labels: Ints, n_classes: int) -> Ints:
    """(n_classes, n_classes) how often each true class (row) got each answer (column)."""
    pairs = np.bincount(labels * n_classes + answers, minlength=n_classes * n_classes)
    return pairs.reshape(n_classes, n_classes)


def auc(probabilities: Floats, labels: Ints) -> float | None:
    """Area under the ROC curve of class 1; None unless there are two classes, both present."""
    if probabilities.shape[1] != 2 or len(np.unique(labels)) != 2:
        return None
    return float(roc_auc_score(labels, probabilities[:, 1]))

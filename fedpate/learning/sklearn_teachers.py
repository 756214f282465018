"""scikit-learn classifiers behind a closed list of names, as teachers and as students.

A model sees the preprocessed records as rows. A shard that lacks some classes is trained on those
it has; its answers are widened to all classes of the federation.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_sample_weight

from fedpate import rng
from fedpate.data.preprocessing import Preprocessing
from fedpate.errors import ConfigError
from fedpate.learning.fitted import one_hot
from fedpate.records import Features, Floats, Ints, LabelledData

if TYPE_CHECKING:
    from fedpate.learning.kinds import SklearnTeacher


def build(model: str, n_records: int, seed: int, regularization: float = 1.0) -> Any:
    """An unfitted classifier for so many records; one thread each, since many are fitted in turn.

    Args:
      model: one of `fedpate.learning.kinds.SKLEARN_MODELS`.
      n_records: of the shard; some defaults of scikit-learn cannot learn from a few records.
      seed: of the classifier's own randomness, 32 bits.
      regularization: 1 / C, for those of `fedpate.learning.kinds.REGULARIZED`.
    """
    match model:
        case "logistic_regression":
            return LogisticRegression(C=1 / regularization, max_iter=1000, random_state=seed)
        case "random_forest":
            return RandomForestClassifier(n_estimators=100, n_jobs=1, random_state=seed)
        case "hist_gradient_boosting":
            # The default of 20 records per leaf cannot split a shard of 30.
            leaf = max(2, min(20, n_records // 10))
            return HistGradientBoostingClassifier(
                min_samples_leaf=leaf, early_stopping=False, random_state=seed
            )
        case "svc":
            return SVC(C=1 / regularization, random_state=seed)
        case "gaussian_nb":
            return GaussianNB()
        case "knn":
            return KNeighborsClassifier(n_neighbors=min(5, n_records), n_jobs=1)
    raise ConfigError(f"model must be one of the closed list, got {model!r}")


@dataclass(frozen=True, eq=False)
class SklearnClassifier:
    """A fitted classifier, widened to all classes."""

    model: Any  # a fitted scikit-learn classifier whose classes_ are labels
    preprocessing: Preprocessing
    n_classes: int

    def votes(self, features: Features) -> Ints:
        """The model's own prediction of each record."""
        if not len(features):  # scikit-learn refuses to predict nothing
            return np.zeros(0, np.int64)
        return np.asarray(self.model.predict(self._rows(features)), np.int64)

    def probabilities(self, features: Features) -> Floats:
        """The model's probabilities; 1 for the predicted class where the model has none (svc)."""
        if not hasattr(self.model, "predict_proba"):
            return one_hot(self.votes(features), self.n_classes)
        table = np.zeros((len(features), self.n_classes))
        if not len(features):
            return table
        table[:, self.model.classes_] = self.model.predict_proba(self._rows(features))
        return table

    def _rows(self, features: Features) -> Any:
        return self.preprocessing.apply(features).reshape(len(features), -1)


def fit_sklearn(
    model: str,
    shard: LabelledData,
    preprocessing: Preprocessing,
    seed: int,
    *,
    balanced: bool = False,
    regularization: float = 1.0,
) -> SklearnClassifier:
    """Fit one classifier of the closed list.

    Args:
      model: a name that `build` knows.
      shard: at least two classes.
      preprocessing: applied to the records here and inside the result.
      seed: of the classifier's own randomness; any size, 32 bits of it are used.
      balanced: whether a record weighs inversely to its class's share of this shard.
      regularization: 1 / C, for a model that has it.
    """
    own_seed = rng.stream_seed(seed, "sklearn") % 2**32
    classifier = build(model, len(shard), own_seed, regularization)
    rows = preprocessing.apply(shard.features).reshape(len(shard), -1)
    with warnings.catch_warnings():
        # Separable small shards never converge to the last digit; their votes have long settled.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if balanced:
            weights = compute_sample_weight("balanced", shard.labels)
            classifier.fit(rows, shard.labels, sample_weight=weights)
        else:
            classifier.fit(rows, shard.labels)
    return SklearnClassifier(classifier, preprocessing, shard.n_classes)


def fit_all(
    teacher: "SklearnTeacher",
    shards: Sequence[LabelledData],
    preprocessing: Preprocessing,
    seeds: Sequence[int],
    finished: Callable[[int, SklearnClassifier], None],
) -> None:
    """One classifier per shard; `finished` gets each with its place in `shards`."""
    for place, (shard, seed) in enumerate(zip(shards, seeds, strict=True)):
        classifier = fit_sklearn(
            teacher.model,
            shard,
            preprocessing,
            seed,
            balanced=teacher.balanced,
            regularization=teacher.regularization,
        )
        finished(place, classifier)

"""Students that are taught by students: pseudo-labels, and an ensemble distilled to one network."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fedpate import _check, rng
from fedpate.data.preprocessing import Preprocessing
from fedpate.learning.pool_settings import check_shapes, net_of, pace_of, view_of
from fedpate.learning.released import answered_records, answered_rows, is_constant
from fedpate.learning.supervised import TorchStudent
from fedpate.learning.teachers import Progress
from fedpate.records import Floats, Ints, LabelledData, QueryBatch, Release

if TYPE_CHECKING:
    from fedpate.learning.fitted_student import FittedStudent


@dataclass(frozen=True)
class PseudoLabelStudent:
    """Self-training: the surest guesses about the pool become labels, and it is trained again.

    Lee, Pseudo-Label, ICML 2013 workshop; here in few rounds, of an ensemble (as `TorchStudent`),
    with the surest `share` of each guessed class, so that frequent classes do not crowd out rare
    ones. A released label is kept, right or wrong.
    """

    name: ClassVar[str] = "pseudo_label"
    members: int = TorchStudent.members
    channels: tuple[int, ...] = TorchStudent.channels
    hidden: tuple[int, ...] = TorchStudent.hidden
    table_hidden: tuple[int, ...] = TorchStudent.table_hidden
    epochs: int = TorchStudent.epochs
    table_epochs: int = TorchStudent.table_epochs
    repeats: int = 2  # trainings after the first
    share: float = 0.6  # of the guesses of each class that become labels, in the last training

    def __post_init__(self) -> None:
        check_shapes(self)
        for name in ("members", "epochs", "table_epochs", "repeats"):
            _check.at_least(1, **{f"student.{name}": getattr(self, name)})
        _check.open_unit(**{"student.share": self.share})

    def fit(
        self,
        pool: QueryBatch,
        release: Release,
        n_classes: int,
        preprocessing: Preprocessing,
        seed: int,
        *,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> "FittedStudent":
        """Train, guess, train again."""
        from fedpate.learning import fitted_student

        answered = answered_records(pool, release, n_classes)
        if is_constant(answered):
            return fitted_student.ConstantStudent(int(answered.labels[0]), n_classes)
        supervised = TorchStudent(
            self.members,
            self.channels,
            self.hidden,
            self.table_hidden,
            self.epochs,
            self.table_epochs,
        )
        labels = release
        for repeat in range(self.repeats + 1):
            last = progress if repeat == self.repeats else None  # each member is counted once
            fitted = supervised.fit(
                pool, labels, n_classes, preprocessing, seed, device=device, progress=last
            )
            if repeat < self.repeats:
                share = self.share * (repeat + 1) / self.repeats
                labels = with_guesses(pool, release, fitted.predict(pool.features), share)
        return fitted


def with_guesses(pool: QueryBatch, release: Release, guessed: Floats, share: float) -> Release:
    """The released labels, and the surest guesses of each class about the rest of the pool.

    Args:
      pool: all records.
      release: is kept as it is.
      guessed: (n_pool, n_classes) probabilities.
      share: of the guesses of each class that become labels.
    """
    known = answered_rows(pool, release)
    seen = np.isin(np.arange(guessed.shape[1]), release.labels[release.answered])
    guessed = np.where(seen, guessed, 0)  # no class that was never released
    classes, sure = guessed.argmax(axis=1), guessed.max(axis=1)
    free = np.setdiff1d(np.arange(len(pool)), known)
    chosen: list[Ints] = []
    for label in np.unique(classes[free]):
        own = free[classes[free] == label]
        order = np.argsort(-sure[own], kind="stable")
        chosen.append(own[order[: round(share * len(own))]])
    rows = np.concatenate([*chosen, np.zeros(0, np.int64)])
    return Release(
        np.append(release.query_ids[release.answered], pool.query_ids[rows]),
        np.append(release.labels[release.answered], classes[rows]),
    )


@dataclass(frozen=True)
class DistillStudent:
    """One network, taught the whole pool by an ensemble that was cross-fitted on the labels.

    A release has hard labels, and noise has made some of them wrong; the ensemble makes them soft
    again (`fedpate.learning.distillation`). For whoever wants one small network to ship.
    """

    name: ClassVar[str] = "distill"
    folds: int = 5  # each network of the ensemble leaves out one of so many parts of the labels
    repeats: int = 2  # of the cross-fitting: folds x repeats networks
    channels: tuple[int, ...] = (16, 32, 64)  # of the one network
    hidden: tuple[int, ...] = ()
    table_hidden: tuple[int, ...] = (64,)
    steps: int = 1500  # of the one network
    table_steps: int = 600
    batch_size: int = 128
    learning_rate: float = 0.006
    weight_decay: float = 0.05
    averaging: float = 0.98
    max_shift: float = 0.07
    max_turn: float = 12.0
    max_zoom: float = 0.15
    max_shear: float = 0.15
    noise: float = 0.1

    def __post_init__(self) -> None:
        check_shapes(self)
        _check.at_least(2, **{"student.folds": self.folds})
        for name in ("repeats", "steps", "table_steps", "batch_size"):
            _check.at_least(1, **{f"student.{name}": getattr(self, name)})
        _check.positive(**{"student.learning_rate": self.learning_rate})
        for name in ("weight_decay", "max_shift", "max_turn", "max_zoom", "max_shear", "noise"):
            _check.non_negative(**{f"student.{name}": getattr(self, name)})
        _check.unit(**{"student.averaging": self.averaging})

    def fit(
        self,
        pool: QueryBatch,
        release: Release,
        n_classes: int,
        preprocessing: Preprocessing,
        seed: int,
        *,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> "FittedStudent":
        """Cross-fit, then teach one network."""
        from fedpate.learning import distillation, fitted_student, parallel
        from fedpate.learning.fitted import TorchTeacher
        from fedpate.learning.problem import Problem

        answered = answered_records(pool, release, n_classes)
        if is_constant(answered):
            return fitted_student.ConstantStudent(int(answered.labels[0]), n_classes)
        targets = self._soft_targets(pool, release, answered, preprocessing, seed, device)
        shape = preprocessing.apply(answered.features[:1]).shape[1:]
        problem = Problem.of(net_of(self, shape, n_classes), answered, pool, preprocessing)
        images = bool(problem.net.blocks)
        recipe = distillation.SoftRecipe(
            pace_of(self, images=images), self.batch_size, view_of(self, images=images)
        )

        def train(soft: Floats, stopped: parallel.Stopped) -> TorchTeacher:
            trained = distillation.train(
                problem.net,
                problem.pool,
                distillation.as_tensor(soft),
                recipe,
                rng.stream(seed, "student"),
                device,
                stopped,
            )
            return TorchTeacher(problem.net, trained, preprocessing)

        networks = parallel.run_all(train, [targets])
        if progress is not None:
            progress(1)
        return fitted_student.NetStudent(networks)

    def _soft_targets(
        self,
        pool: QueryBatch,
        release: Release,
        answered: LabelledData,
        preprocessing: Preprocessing,
        seed: int,
        device: str,
    ) -> Floats:
        """(n_pool, n_classes): what networks say that have not seen the record's label."""
        from fedpate.learning import distillation

        own = rng.stream(seed, "student", "folds")
        n_folds = min(self.folds, len(answered))
        fold_of = np.stack(
            [distillation.folds(len(answered), n_folds, own) for _ in range(self.repeats)]
        )
        places = [(repeat, fold) for repeat in range(self.repeats) for fold in range(n_folds)]
        kept = [np.flatnonzero(fold_of[repeat] != fold) for repeat, fold in places]
        networks = TorchStudent().networks(
            [
                replace(answered, features=answered.features[rows], labels=answered.labels[rows])
                for rows in kept
            ],
            preprocessing,
            [rng.stream_seed(seed, "student", *place) for place in places],
            device,
            None,
        )
        tables = np.stack([network.probabilities(pool.features) for network in networks])
        tables = tables.reshape(self.repeats, n_folds, *tables.shape[1:])
        return distillation.out_of_fold(tables, fold_of, answered_rows(pool, release))

"""Students that learn from the released labels and from the coordinator's whole unlabeled pool."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from fedpate import _check, rng
from fedpate.data.preprocessing import Preprocessing
from fedpate.learning.pool_settings import check_common, net_of, pace_of, view_of
from fedpate.learning.released import answered_records, is_constant
from fedpate.learning.teachers import Progress
from fedpate.records import QueryBatch, Release

if TYPE_CHECKING:
    import numpy as np

    from fedpate.learning import fixmatch
    from fedpate.learning.fitted_student import FittedStudent
    from fedpate.learning.nets import Params
    from fedpate.learning.parallel import Stopped
    from fedpate.learning.problem import Problem

    TrainOne = Callable[[Problem, np.random.Generator, Stopped], Params]


@dataclass(frozen=True)
class FixMatchStudent:
    """Networks that have to recognize in disguise what they are sure of, on the whole pool.

    `fedpate.learning.fixmatch` says how. What a table cannot have (motions, light, covers) is
    ignored for tables, and the noise for images.
    """

    name: ClassVar[str] = "fixmatch"
    members: int = 2  # networks whose probabilities are averaged; one per core at a time
    channels: tuple[int, ...] = (16, 32, 64)  # of each convolution, for images
    hidden: tuple[int, ...] = ()  # widths of the dense layers before the classes, for images
    table_hidden: tuple[int, ...] = (64,)  # the same for tables
    steps: int = 1000
    table_steps: int = 400
    batch_size: int = 64  # labelled records per step
    pool_ratio: int = 4  # records of the pool per labelled one
    learning_rate: float = 0.006
    weight_decay: float = 0.05
    averaging: float = 0.98  # memory per step of the average of the weights, which is the student
    confidence: float = 0.8  # probability from which the average's class is a target
    smoothing: float = 0.0  # share of a label's mass that is spread over all classes
    bootstrap: float = 0.9  # weight of the average's opinion in a label's target, in the end
    alignment: float = 0.5  # how far class shares are drawn to those of the labels: 0 to 1
    pool_weight: float = 1.0  # of the pool's loss beside the labels'
    max_shift: float = 0.07  # strong views: share of its side by which an image is moved
    max_turn: float = 12.0  # degrees by which it is turned
    max_zoom: float = 0.15  # logarithm of the largest factor by which each axis is scaled
    max_shear: float = 0.15  # share of its distance from the middle by which a row slides
    max_contrast: float = 0.3  # logarithm of the largest factor on its intensities
    max_cover: float = 0.4  # side of the largest covered square, as a share of the image's
    noise: float = 0.3  # strong views of rows: standard deviation of the noise on each feature
    swapped: float = 0.1  # probability that a feature is taken from another record
    weak: float = 0.25  # how far weak views go: this share of the strong ones, nothing covered

    def __post_init__(self) -> None:
        check_common(self)
        for name in ("max_contrast", "pool_weight"):
            _check.non_negative(**{f"student.{name}": getattr(self, name)})
        for name in ("confidence", "smoothing", "bootstrap", "alignment"):
            _check.unit(**{f"student.{name}": getattr(self, name)})
        for name in ("max_cover", "swapped", "weak"):
            _check.unit(**{f"student.{name}": getattr(self, name)})

    def recipe(self, *, images: bool) -> "fixmatch.Recipe":
        """The training's numbers for this kind of records."""
        from fedpate.learning import fixmatch

        return fixmatch.Recipe(
            pace=pace_of(self, images=images),
            batch_size=self.batch_size,
            pool_ratio=self.pool_ratio,
            confidence=self.confidence,
            smoothing=self.smoothing,
            bootstrap=self.bootstrap,
            alignment=self.alignment,
            pool_weight=self.pool_weight,
            weak=view_of(self, self.weak, images=images),
            strong=view_of(self, images=images),
        )

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
        """FixMatch for each member."""
        from fedpate.learning import fixmatch

        def train(problem: "Problem", own: "np.random.Generator", stopped: "Stopped") -> "Params":
            recipe = self.recipe(images=bool(problem.net.blocks))
            return fixmatch.train(problem, recipe, own, device, stopped)

        return fit_members(self, train, pool, release, n_classes, preprocessing, seed, progress)


@dataclass(frozen=True)
class MixMatchStudent:
    """Networks whose answer between two records has to be between theirs, on the whole pool.

    `fedpate.learning.mixmatch` says how, and why this and not virtual adversarial training.
    """

    name: ClassVar[str] = "mixmatch"
    members: int = 2  # networks whose probabilities are averaged; one per core at a time
    channels: tuple[int, ...] = (16, 32, 64)  # of each convolution, for images
    hidden: tuple[int, ...] = ()  # widths of the dense layers before the classes, for images
    table_hidden: tuple[int, ...] = (64,)  # the same for tables
    steps: int = 1000
    table_steps: int = 400
    batch_size: int = 64  # labelled records per step
    pool_ratio: int = 2  # records of the pool per labelled one
    learning_rate: float = 0.006
    weight_decay: float = 0.05
    averaging: float = 0.98  # memory per step of the average of the weights, which is the student
    sharpening: float = 0.5  # temperature of the average's opinion
    mixing: float = 0.75  # parameter of the Beta distribution of mixtures
    smoothing: float = 0.1  # share of a label's mass that is spread over all classes
    pool_weight: float = 10.0  # of the pool's squared error beside the labels' cross-entropy
    max_shift: float = 0.07  # views: share of its side by which an image is moved
    max_turn: float = 12.0  # degrees by which it is turned
    max_zoom: float = 0.15  # logarithm of the largest factor by which each axis is scaled
    max_shear: float = 0.15  # share of its distance from the middle by which a row slides
    noise: float = 0.1  # views of rows: standard deviation of the noise on each feature

    def __post_init__(self) -> None:
        check_common(self)
        _check.positive(**{"student.sharpening": self.sharpening, "student.mixing": self.mixing})
        _check.unit(**{"student.smoothing": self.smoothing})
        _check.non_negative(**{"student.pool_weight": self.pool_weight})

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
        """MixMatch for each member."""
        from fedpate.learning import mixmatch

        def train(problem: "Problem", own: "np.random.Generator", stopped: "Stopped") -> "Params":
            images = bool(problem.net.blocks)
            recipe = mixmatch.MixRecipe(
                pace=pace_of(self, images=images),
                batch_size=self.batch_size,
                pool_ratio=self.pool_ratio,
                sharpening=self.sharpening,
                mixing=self.mixing,
                smoothing=self.smoothing,
                pool_weight=self.pool_weight,
                view=view_of(self, images=images),
            )
            return mixmatch.train(problem, recipe, own, device, stopped)

        return fit_members(self, train, pool, release, n_classes, preprocessing, seed, progress)


def fit_members(
    student: Any,
    train: "TrainOne",
    pool: QueryBatch,
    release: Release,
    n_classes: int,
    preprocessing: Preprocessing,
    seed: int,
    progress: Progress | None,
) -> "FittedStudent":
    """Networks that differ by their generators only; one class makes a constant student.

    Args:
      student: has `members`, `channels`, `hidden`, `table_hidden`.
      train: one network.
      pool, release, n_classes, preprocessing, seed, progress: as for `Student.fit`.
    """
    from fedpate.learning import fitted_student, parallel
    from fedpate.learning.fitted import TorchTeacher
    from fedpate.learning.problem import Problem

    answered = answered_records(pool, release, n_classes)
    if is_constant(answered):
        return fitted_student.ConstantStudent(int(answered.labels[0]), n_classes)
    shape = preprocessing.apply(answered.features[:1]).shape[1:]
    net = net_of(student, shape, n_classes)
    problem = Problem.of(net, answered, pool, preprocessing)

    def member(index: int, stopped: "Stopped") -> TorchTeacher:
        trained = train(problem, rng.stream(seed, "student", index), stopped)
        if progress is not None:
            progress(1)
        return TorchTeacher(net, trained, preprocessing)

    return fitted_student.NetStudent(parallel.run_all(member, range(student.members)))

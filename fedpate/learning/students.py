"""What the coordinator may train on a release: the closed list `STUDENTS`.

A student sees released labels and the coordinator's own pool, never a vote and never the test set.
A registered class is the schema of the group `student`: its fields are the settings that a user
types. Importing this module is cheap: torch and scikit-learn are imported when something trains.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from fedpate.data.preprocessing import Preprocessing
from fedpate.learning.self_taught import DistillStudent, PseudoLabelStudent
from fedpate.learning.semi_supervised import FixMatchStudent, MixMatchStudent
from fedpate.learning.supervised import SklearnStudent, TorchStudent
from fedpate.learning.teachers import Progress
from fedpate.records import QueryBatch, Release

if TYPE_CHECKING:
    from fedpate.learning.fitted_student import FittedStudent


@runtime_checkable
class Student(Protocol):
    """Settings of one kind of student."""

    name: ClassVar[str]

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
        """Learn from a release.

        Args:
          pool: the coordinator's unlabeled records; holds every released query.
          release: the labels; queries without an answer are left out.
          n_classes: number of classes of the federation.
          preprocessing: fitted on the pool.
          seed: the run's; the student takes its own stream of it.
          device: a torch device; scikit-learn ignores it.
          progress: called with the number of networks trained since the last call.

        Raises:
          NothingReleased: no query was answered.
          PredictionError: a released query that the pool does not have.
        """


STUDENTS: dict[str, type[Any]] = {
    cls.name: cls
    for cls in (
        TorchStudent,
        FixMatchStudent,
        MixMatchStudent,
        PseudoLabelStudent,
        DistillStudent,
        SklearnStudent,
    )
}

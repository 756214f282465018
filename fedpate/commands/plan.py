"""`fedpate plan`: before any training, what labels would cost and be worth."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedpate.privacy.plan import Question

HELP = """\
usage: fedpate plan [SETTING=VALUE ...] [--json]

From what is known (hospitals, teachers, patients) and what is wanted (labels, an epsilon, an
accuracy) to the mechanism, noise, threshold and number of labels with the best expected label
accuracy under the guaranteed price; a table of what other epsilons would give; and, in words, what
to make of it or what would have to change. Nothing is trained and no data is read.

settings
  hospitals=10 teachers_per_hospital=5 patients=2000 classes=10
  labels=100 label_accuracy=0.9 pool=1000
  privacy.target_epsilon=2 (per patient) privacy.hospital_epsilon=20 privacy.delta=1e-5
  teacher_accuracy=0.8 correlation=0.15 rival_share=0.5    what votes to expect
  pilot=VOTES.npy                                          or the votes of a pilot
  plot=FILE.svg                                            draw the frontier

examples
  fedpate plan labels=100 privacy.target_epsilon=2
  fedpate plan hospitals=10 patients=5000 labels=200
  fedpate plan privacy.target_epsilon=1 label_accuracy=0.9 teacher_accuracy=0.85
  fedpate plan hospitals=10 teachers_per_hospital=1 labels=100"""


@dataclass(frozen=True)
class Wanted:
    """The price that is wanted; None is for the plan to find."""

    delta: float = 1e-5
    target_epsilon: float | None = None  # per patient
    hospital_epsilon: float | None = None


@dataclass(frozen=True)
class PlanSettings:
    """What `fedpate plan` takes; `fedpate.privacy.plan.Question` checks it."""

    hospitals: int = 10
    teachers_per_hospital: int | None = None
    patients: int | None = None
    patients_per_teacher: int = 20
    classes: int = 10
    labels: int | None = None
    label_accuracy: float | None = None
    pool: int | None = None
    privacy: Wanted = field(default_factory=Wanted)
    teacher_accuracy: float = 0.8
    correlation: float = 0.15
    rival_share: float = 0.5
    pilot: str | None = None
    plot: str | None = None

    def question(self) -> "Question":
        """In the planner's terms.

        Raises:
          ConfigError, DataError: a setting or the pilot is refused.
        """
        from fedpate.commands._votes import read_votes
        from fedpate.privacy.plan import DEFAULT_TEACHERS, Question
        from fedpate.privacy.vote_model import Pilot, VoteModel, VoteSource

        votes: VoteSource = (
            VoteModel(self.teacher_accuracy, self.correlation, self.rival_share)
            if self.pilot is None
            else Pilot(read_votes(Path(self.pilot), "pilot"))
        )
        open_ended = self.teachers_per_hospital is None and self.patients is None
        return Question(
            hospitals=self.hospitals,
            teachers_per_hospital=DEFAULT_TEACHERS if open_ended else self.teachers_per_hospital,
            patients=self.patients,
            patients_per_teacher=self.patients_per_teacher,
            classes=self.classes,
            labels=self.labels,
            target_epsilon=self.privacy.target_epsilon,
            hospital_epsilon=self.privacy.hospital_epsilon,
            delta=self.privacy.delta,
            label_accuracy=self.label_accuracy,
            pool=self.pool,
            votes=votes,
        )


def main(args: Sequence[str]) -> int:
    """Make one plan.

    Raises:
      ConfigError, DataError: the question contradicts itself, or its pilot.
    """
    from fedpate.commands import _output, _settings
    from fedpate.privacy.plan import plan

    _, overrides, as_json = _settings.split(args, "")
    settings = _settings.compose("plan", PlanSettings, overrides, ())
    result = plan(settings.question()).to_dict()
    if settings.plot is not None:
        from fedpate.report.plots import frontier

        _output.write_file(Path(settings.plot), "plot", frontier(result))
    if as_json:
        _output.print_json(result)
        return 0
    from fedpate.report.analysis_tables import plan_tables

    _output.stdout().print(plan_tables(result))
    return 0

"""One hospital: it trains teachers on its own records and answers queries with votes.

Formal guarantees, whoever asks:
  - records, teachers and single votes stay; only `PredictionVectors` leave (`answer`);
  - the same query to the same teachers has the same answer, also when it is randomized
    (trust=local), so asking often averages nothing away;
  - nothing about the training leaves but the number of teachers.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from fedpate.data.preprocessing import Preprocessing
from fedpate.federation import plain
from fedpate.federation.answers import AnswerCache
from fedpate.federation.private_teachers import is_private, training_name
from fedpate.federation.refusals import Code, Refusal
from fedpate.federation.settings import TrainSettings
from fedpate.learning.command_teachers import CommandTeacher
from fedpate.learning.fitted import FittedTeacher
from fedpate.learning.own_models import Models, onnx_teachers
from fedpate.learning.store import TeacherStore
from fedpate.learning.teachers import Onnx, teacher_seed, train_teachers
from fedpate.learning.trained_once import TrainedOnce
from fedpate.learning.voting import count_votes
from fedpate.privacy.noise import Entropy
from fedpate.records import VOTE_PARTS, Ints, LabelledData, PredictionVectors, QueryBatch


def training_id(settings: TrainSettings, preprocessing: Preprocessing) -> str:
    """Names one training: the same settings and preprocessing have the same id everywhere.

    What was stated about the price of answers is no part of it: it changes no teacher.
    """
    told = replace(settings, stated=None).to_json()
    return sha256(f"{told}\n{preprocessing.hash()}".encode()).hexdigest()


@dataclass(frozen=True)
class Hospital:
    """A hospital's side of the federation, whatever carries its messages.

    `folder` is private and lives as long as the answers must be the same; `store` and `answers`
    save work and may be shared by runs.
    """

    name: str
    shards: Callable[[], Sequence[LabelledData]]  # patient-disjoint; loaded only when training
    store: TeacherStore
    folder: Path
    answers: AnswerCache
    entropy: Callable[[str], Entropy]  # batch hash -> where the noise for that batch comes from
    device: str | None = None  # what trains here; None: what the coordinator says
    models: Models = field(default_factory=Models)  # its own program and model, if it has any

    def train(self, settings: TrainSettings, preprocessing: Preprocessing) -> int:
        """Train one teacher per shard, or find them in the store; returns how many there are."""
        self.models.require(settings.teacher.name)
        if settings.teacher.name == Onnx.name:
            return self._remember(training_id(settings, preprocessing), self._adopted(settings))
        if is_private(settings.teacher):
            return self._train_once(settings, preprocessing)
        shards = self.shards()
        seeds = [teacher_seed(settings.seed, self.name, index) for index in range(len(shards))]
        device = self.device or settings.device
        train_teachers(
            settings.teacher, shards, preprocessing, seeds, device=device, store=self.store
        )
        keys = self._keys_of(settings, preprocessing, shards)
        return self._remember(training_id(settings, preprocessing), keys)

    def answer(
        self, batch: QueryBatch, settings: TrainSettings, training: str
    ) -> PredictionVectors:
        """Votes of this hospital's teachers; randomized here if `settings.mechanism` says so.

        Raises:
          Refusal: these teachers were never trained, or are gone.
        """
        keys = self._keys(training)
        soft = settings.votes == "probabilities"
        teachers, rows = self._name(keys, settings), batch.row_hashes()

        def count(new: Ints) -> Ints:
            return count_votes(
                self._teachers(keys),
                batch.features[new],
                settings.n_classes,
                device=self.device or settings.device,
                soft=soft,
            )

        votes = self.answers.recall(teachers, rows, settings.n_classes, count)
        if settings.mechanism is None:
            parts = VOTE_PARTS if soft else 1
            return PredictionVectors(batch.query_ids, votes, len(keys), parts=parts)

        mechanism = settings.mechanism

        def randomize(new: Ints) -> Ints:
            noisy: Ints = mechanism.randomize(votes[new], self.entropy(batch.hash()))
            return noisy

        scope = sha256(f"{teachers}\n{plain.dumps(mechanism)}".encode()).hexdigest()
        randomized = AnswerCache(self.folder / "randomized.sqlite", durable=True)
        noisy = randomized.recall(scope, rows, settings.n_classes, randomize)
        return PredictionVectors(batch.query_ids, noisy, len(keys), randomized=True)

    def teachers(self, settings: TrainSettings, training: str) -> tuple[str, int]:
        """What names the teachers of a training, and how many there are.

        Raises:
          Refusal: they were never trained.
        """
        keys = self._keys(training)
        return self._name(keys, settings), len(keys)

    def _train_once(self, settings: TrainSettings, preprocessing: Preprocessing) -> int:
        """Train private teachers, or find the very same ones again.

        Raises:
          Refusal: they were trained before and are not all here, or the records have changed.
        """
        shards, noise_seed = self.shards(), _noise_seed(settings)
        seeds = [teacher_seed(settings.seed, self.name, index) for index in range(len(shards))]
        keys = self._keys_of(settings, preprocessing, shards)
        once = TrainedOnce(
            self.store.folder, f"{self.name} {training_name(settings, preprocessing)}"
        )
        with once.alone():
            if not once.allows(keys, [self.store.get(key) is not None for key in keys]):
                raise Refusal(Code.TRAINED_ONCE)
            train_teachers(
                settings.teacher,
                shards,
                preprocessing,
                seeds,
                device=self.device or settings.device,
                store=self.store,
                noise_seed=noise_seed,
            )
            once.record(keys)
        return self._remember(training_id(settings, preprocessing), keys)

    def named_beforehand(self, settings: TrainSettings, preprocessing: Preprocessing) -> str:
        """What will name private teachers once they are trained; "" for other kinds."""
        if not is_private(settings.teacher):
            return ""
        return self._name(self._keys_of(settings, preprocessing, self.shards()), settings)

    def _keys_of(
        self, settings: TrainSettings, preprocessing: Preprocessing, shards: Sequence[LabelledData]
    ) -> list[str]:
        return [
            self.store.key(
                settings.teacher,
                shard,
                preprocessing,
                teacher_seed(settings.seed, self.name, index),
                _noise_seed(settings),
            )
            for index, shard in enumerate(shards)
        ]

    def _adopted(self, settings: TrainSettings) -> list[str]:
        """The keys of the hospital's own models, which are put into the store."""
        at_most, (shard, *_) = settings.teachers_per_hospital, self.shards()
        adopted = onnx_teachers(self.models.onnx_files(), settings.n_classes, at_most)
        keys = []
        for teacher in adopted:
            teacher.votes(shard.features[:1])  # a model that does not fit the records fails now
            named = f"onnx {settings.n_classes} ".encode()
            key = sha256(named + teacher.content).hexdigest()
            if self.store.get(key) is None:
                self.store.put(key, teacher)
            keys.append(key)
        return keys

    def _remember(self, training: str, keys: Sequence[str]) -> int:
        """Write down which teachers a training gave; their number."""
        path = self._training(training)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(keys), encoding="utf-8")
        draft.replace(path)
        return len(keys)

    def _training(self, training: str) -> Path:
        return self.folder / "trainings" / f"{training}.json"

    def _keys(self, training: str) -> list[str]:
        try:
            keys: list[str] = json.loads(self._training(training).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise Refusal(Code.UNTRAINED) from error
        return keys

    def _teachers(self, keys: Sequence[str]) -> list[FittedTeacher]:
        teachers = [teacher for key in keys if (teacher := self.store.get(key)) is not None]
        if len(teachers) < len(keys):
            raise Refusal(Code.UNTRAINED)
        return [
            teacher.by(self.models.program()) if isinstance(teacher, CommandTeacher) else teacher
            for teacher in teachers
        ]

    def _name(self, keys: Sequence[str], settings: TrainSettings) -> str:
        """Names what makes the votes: teachers, their program if any, labels or probabilities."""
        program = self.models.fingerprint(settings.teacher.name)
        made_by = [str(settings.n_classes), settings.votes, program]
        return sha256("\n".join([*keys, *made_by]).encode()).hexdigest()


def _noise_seed(settings: TrainSettings) -> int | None:
    """Of private teachers' noise: in a simulation only, and there only for research."""
    return None if settings.simulation is None else settings.simulation.noise_seed

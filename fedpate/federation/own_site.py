"""A real hospital as its node finds it: the site file of this start, and what lies beside it.

`fedpate hospital start` writes the file and names it in the node's configuration. It has the last
word on everything but what is asked: where the records are, which device trains, what is allowed.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fedpate.data import own_records
from fedpate.data.dealing import own_stream, patient_shards
from fedpate.data.files import listed
from fedpate.data.own_records import OwnData, OwnRecords
from fedpate.data.splits import first_of_each
from fedpate.errors import ConfigError, DataError
from fedpate.federation import hospital_log, plain, yaml_file
from fedpate.federation.answers import AnswerCache
from fedpate.federation.guard import GuardedHospital
from fedpate.federation.hospital import Hospital
from fedpate.federation.hospital_log import HospitalLog
from fedpate.federation.kit import STATE, HospitalKit
from fedpate.federation.near_duplicates import NearDuplicates
from fedpate.federation.policy import Policy
from fedpate.federation.private_teachers import is_private
from fedpate.federation.settings import TrainSettings
from fedpate.learning.own_models import Models
from fedpate.learning.store import TeacherStore
from fedpate.privacy.noise import OsEntropy
from fedpate.records import LabelledData

CONFIG = "site-config"  # in the node's configuration: the path of the site file of this start
SITE = "site.yaml"
LEDGER = "ledger.sqlite"
ASKED = "asked.sqlite"  # sketches of the questions, for near duplicates


@dataclass(frozen=True)
class Site:
    """What a hospital has said about itself."""

    kit: HospitalKit
    data: OwnData
    device: str
    models: Models = field(default_factory=Models)

    @classmethod
    def read(cls, path: Path) -> "Site":
        """Read the site file of a start, KIT/state/site.yaml.

        Raises:
          ConfigError: it is wrong, or not where a start puts it.
        """
        kit = HospitalKit.read(path.parent.parent)
        return cls.of(kit, yaml_file.read(path, SITE))

    @classmethod
    def of(cls, kit: HospitalKit, content: dict[str, Any]) -> "Site":
        """The site that a file's content describes; raises ConfigError as `read` does."""
        known = ("hospital", "data", "device", "models")
        yaml_file.require_keys(content, known, needed=("hospital", "data"), within=SITE)
        if content["hospital"] != kit.hospital:
            raise ConfigError(
                f"{SITE}.hospital must be {kit.hospital!r}, got {content['hospital']!r}"
            )
        fields = yaml_file.section(content, "data")
        fields = {**fields, "classes": _class_names(fields.get("classes"))}
        device = content.get("device") or "cpu"
        if not isinstance(device, str):
            raise ConfigError(f"{SITE}.device must be text, got {device!r}")
        try:
            data = plain.loads(OwnData, json.dumps(fields, default=str))
        except ConfigError as error:
            raise ConfigError(f"{SITE}: data.{error}") from error
        own = yaml_file.section(content, "models") if content.get("models") else {}
        try:
            return cls(kit, data, device, plain.build(Models, own, "models.").within(kit.folder))
        except ConfigError as error:
            raise ConfigError(f"{SITE}: {error}") from error

    @property
    def state(self) -> Path:
        """What this hospital keeps, readable by its owner only."""
        return self.kit.folder / STATE

    @property
    def owner(self) -> str:
        """In whose name ledger and log are kept."""
        return owner(self.kit)

    def records(self) -> OwnRecords:
        """All records; read once per process."""
        return own_records.load(self.data)

    def require_fit(self, rules: Policy) -> OwnRecords:
        """The records, if any run that the policy allows could use them.

        Raises:
          DataError, ConfigError: they cannot be used, or no allowed run fits them.
        """
        records, task = self.records(), rules.task
        if task.classes not in (None, records.n_classes):
            raise ConfigError(
                f"task.classes must be {records.n_classes}, the classes of --data, "
                f"got {task.classes} in policy.yaml"
            )
        if task.features is not None and task.features != (records.columns or ()):
            raise ConfigError(
                "task.features must be the columns of --data in their order: "
                f"{listed(records.columns or ())}"
            )
        fewest = rules.teachers.patients_per_teacher
        if records.n_patients < fewest:
            raise DataError(
                f"--data must hold at least {fewest} patients, teachers.patients_per_teacher in "
                f"policy.yaml, got {records.n_patients}"
            )
        return records

    def log(self) -> HospitalLog:
        """The audit log."""
        return log_of(self.kit)

    def hospital(self, settings: TrainSettings) -> GuardedHospital:
        """The hospital behind its policy, which is read anew for every request."""
        records, name = self.records(), self.kit.hospital

        def shards() -> list[LabelledData]:
            n_shards = settings.teachers_per_hospital
            shard = patient_shards(records.patients, n_shards, own_stream(settings.seed, name))
            rows = [np.flatnonzero(shard == index) for index in range(n_shards)]
            if is_private(settings.teacher):  # a patient must be a single record
                rows = [here[np.sort(first_of_each(records.patients[here])[0])] for here in rows]
            return [
                LabelledData(records.features[here], records.labels[here], records.n_classes)
                for here in rows
            ]

        rules = Policy.read(self.kit.policy)
        limited = rules.queries.near_duplicates is not None
        hospital = Hospital(
            name=name,
            shards=shards,
            store=TeacherStore(self.state / "teachers"),
            folder=self.state,
            answers=AnswerCache(self.state / "answers.sqlite", durable=False),
            entropy=lambda _: OsEntropy(),
            device=self.device,
            models=self.models,
        )
        return GuardedHospital(
            hospital=hospital,
            policy=rules,
            ledger=self.state / LEDGER,
            owner=self.owner,
            n_patients=records.n_patients,
            n_classes=records.n_classes,
            columns=records.columns,
            near=NearDuplicates(self.state / ASKED) if limited else None,
            approved=self.log().approved,
        )


def _class_names(classes: object) -> object:
    """Classes as a person writes them: in YAML `[0, 1]` is numbers and `[no, yes]` truth values.

    Raises:
      ConfigError: there are truth values, which do not tell how the records spell them.
    """
    if not isinstance(classes, list):
        return classes
    if any(isinstance(name, bool) for name in classes):
        raise ConfigError(
            f"{SITE}: data.classes must be names, got {listed([str(name) for name in classes])}; "
            "put yes, no, true, false, on and off in quotes"
        )
    return [str(name) if isinstance(name, int) else name for name in classes]


def owner(kit: HospitalKit) -> str:
    """In whose name a hospital's ledger and log are kept."""
    return f"{kit.hospital} in {kit.federation}"


def log_of(kit: HospitalKit) -> HospitalLog:
    """A hospital's audit log."""
    return HospitalLog(kit.folder / STATE / hospital_log.FILE, owner(kit))

"""A hospital's audit log: every request and every decision, append-only and hash-chained.

Kinds of entry, and the fields of their bodies (logs on disk hold them: none may change meaning):
  request   action, flower_run, fields {name: text or number as they came, cut to `LONGEST`}
  decision  action, flower_run, code (0: answered), why, policy (hash of the rules in force)
  approval  run, who: a person allows a run

A request is on the disk before it is looked at, a decision before its reply leaves. Nothing about a
patient is in it: what came is the coordinator's, what left are codes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from fedpate.errors import ConfigError, LedgerError
from fedpate.federation.refusals import REASONS, Code
from fedpate.federation.settings import TrainSettings
from fedpate.privacy.chain import Entry, Verification
from fedpate.privacy.chain_file import ChainFile
from fedpate.privacy.chain_format import ChainFormat

FORMAT = ChainFormat("hospital's log", 0x66706C31, version=1)
REQUEST, DECISION, APPROVAL = "request", "decision", "approval"
FILE = "log.sqlite"
LONGEST = 20_000  # characters of one field
ANSWERED = 0
_ID = 16  # characters of a run's name


def run_id(settings: str) -> str:
    """Names a run by all that it states: whoever asks for something else needs a new approval."""
    return sha256(settings.encode()).hexdigest()[:_ID]


@dataclass(frozen=True)
class HospitalLog:
    """The log of one hospital, opened anew for each entry."""

    path: Path
    owner: str

    def request(self, action: str, flower_run: int, fields: Mapping[str, object]) -> None:
        """Write down what came: the fields of a message, without its arrays.

        Raises:
          LedgerError: the log cannot be written; nothing may be answered.
        """
        kept = {name: _cut(value) for name, value in fields.items()}
        self._append(REQUEST, {"action": action, "flower_run": str(flower_run), "fields": kept})

    def decision(self, action: str, flower_run: int, code: int, policy: str | None) -> None:
        """Write down what became of it; raises LedgerError as `request` does."""
        why = REASONS[Code(code)] if code else "answered"
        fields = {"action": action, "flower_run": str(flower_run), "code": int(code)}
        self._append(DECISION, {**fields, "why": why, "policy": policy})

    def approve(self, run: str, who: str) -> None:
        """A person allows a run.

        Raises:
          ConfigError: no such run has asked.
        """
        if run not in self.runs():
            raise ConfigError(f"RUN must be one that has asked, see `hospital status`, got {run!r}")
        self._append(APPROVAL, {"run": run, "who": who})

    def approved(self) -> set[str]:
        """The runs that a person allowed."""
        return {entry.fields["run"] for entry in self.entries() if entry.kind == APPROVAL}

    def runs(self) -> dict[str, TrainSettings]:
        """Every run that has asked: its id, and what it stated."""
        found: dict[str, TrainSettings] = {}
        for entry in self.entries():
            text = entry.fields.get("fields", {}).get("settings")
            if entry.kind == REQUEST and isinstance(text, str) and run_id(text) not in found:
                try:
                    found[run_id(text)] = TrainSettings.from_json(text)
                except ConfigError:  # it was refused; its text is in the log
                    continue
        return found

    def entries(self) -> list[Entry]:
        """All entries, checked; none where nothing has been asked yet.

        Raises:
          LedgerError: the log was changed.
        """
        if not self.path.exists():
            return []
        file = ChainFile.read(self.path, FORMAT)
        try:
            return file.entries()
        finally:
            file.close()

    def _append(self, kind: str, fields: dict[str, Any]) -> None:
        with self._open() as file, file.writing():
            file.append(kind, fields)

    @contextmanager
    def _open(self) -> Iterator[ChainFile]:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = ChainFile.open(self.path, FORMAT, self.owner)
        try:
            yield file
        finally:
            file.close()


def verify(path: Path, expected_head: str | None = None) -> Verification | None:
    """Check a whole log; None if the file is something else."""
    try:
        file = ChainFile.read(path, FORMAT)
    except LedgerError:
        return None
    try:
        return file.verify(expected_head)
    finally:
        file.close()


def _cut(value: object) -> str | int | float | bool:
    if isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"

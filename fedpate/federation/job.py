"""A run on its way to an engine: its settings and folders, in a private file.

Flower's run configuration reaches every node and is stored, so it holds this file's path and
nothing else. A coordinator in another process reports how it ended through a file too.
"""

import dataclasses
import json
import os
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedpate import errors
from fedpate.errors import ConfigError, EngineError, FedPateError
from fedpate.federation import plain
from fedpate.federation.settings import Run
from fedpate.learning.own_models import Models

RUN_FILE_KEY = "run-file"  # in Flower's run configuration


@dataclass(frozen=True)
class Deployment:
    """What makes a run one of real hospitals."""

    federation: str
    hospitals: tuple[str, ...]  # those admitted
    ledger: str  # path of the federation's ledger
    submitter: str  # who asks


@dataclass(frozen=True)
class Job:
    """What a coordinator needs to know."""

    run: Run
    output: Path  # the run directory
    folder: Path | None  # private work folder; None: the coordinator makes one
    followed: bool = False  # whether another process follows through the files in `folder`
    deployment: Deployment | None = None  # None: a simulation

    def write(self, path: Path) -> None:
        """Write the file, readable by its owner only: it holds the noise seed."""
        fields = {
            "run": self.run.to_json(),
            "output": str(self.output),
            "folder": None if self.folder is None else str(self.folder),
            "followed": self.followed,
            "deployment": self.deployment and plain.dumps(self.deployment),
        }
        path.unlink(missing_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(fields, file)

    @classmethod
    def read(cls, path: Path) -> "Job":
        """Read what `write` wrote.

        Raises:
          ConfigError: there is no such file, or it is something else.
        """
        try:
            fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            folder, deployment = fields["folder"], fields["deployment"]
            return cls(
                Run.from_json(fields["run"]),
                Path(fields["output"]),
                None if folder is None else Path(folder),
                fields["followed"],
                None if deployment is None else plain.loads(Deployment, deployment),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"{RUN_FILE_KEY} must name a run file, got {str(path)!r}") from error

    @contextmanager
    def work_folder(self) -> Iterator[Path]:
        """The private work folder; one of its own is gone afterwards."""
        if self.folder is not None:
            yield self.folder
            return
        with tempfile.TemporaryDirectory(prefix="fedpate-") as folder:
            yield Path(folder)


def with_absolute_paths(run: Run) -> Run:
    """The same run for processes that work in other folders."""
    paths = {
        item.name: _absolute(getattr(run.data, item.name))
        for item in dataclasses.fields(run.data)
        if item.name in ("root", "path")
    }
    return dataclasses.replace(
        run,
        data=dataclasses.replace(run.data, **paths),
        store=_absolute(run.store),
        models=_located(run.models),
        hospital_overrides={
            name: dataclasses.replace(override, models=_located(override.models))
            for name, override in run.hospital_overrides.items()
        },
        privacy=dataclasses.replace(run.privacy, ledger=_absolute(run.privacy.ledger)),
    )


def _located(models: Models) -> Models:
    return Models(_absolute(models.command), _absolute(models.onnx))


def _absolute(path: str | None) -> str | None:
    return path and str(Path(path).expanduser().absolute())


@contextmanager
def reporting(path: Path) -> Iterator[None]:
    """Write down how what is inside ended; exceptions pass through."""
    ending: dict[str, Any] = {"ok": True}
    try:
        yield
    except FedPateError as error:
        arguments = error.__reduce__()[1]
        ending = {"error": type(error).__name__, "arguments": arguments}
        raise
    except BaseException:
        ending = {"bug": traceback.format_exc()}
        raise
    finally:
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(ending), encoding="utf-8")
        draft.replace(path)


def read_ending(path: Path) -> bool:
    """Whether the coordinator has ended well; False while there is no word of it.

    Raises:
      FedPateError: what the coordinator raised.
      EngineError: it ended with a bug, whose traceback is the message.
    """
    if not path.exists():
        return False
    ending = json.loads(path.read_text(encoding="utf-8"))
    if "bug" in ending:
        raise EngineError(f"the coordinator failed:\n{ending['bug']}")
    if "error" in ending:
        raise getattr(errors, ending["error"])(*ending["arguments"])
    return True

"""What a hospital brings itself: a program, a model. Its own settings name them, no request can.

A real hospital's `site.yaml` says `models.command` and `models.onnx`; in a simulation the settings
of these names do.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fedpate.errors import ConfigError

if TYPE_CHECKING:
    from fedpate.learning.onnx_teachers import OnnxTeacher


@dataclass(frozen=True)
class Models:
    """Where a hospital's own program and model are, on its own disk."""

    command: str | None = None  # an executable, for teacher=command
    # An ONNX file, for teacher=onnx: one teacher. Or a folder of such files: as many teachers,
    # each of which must have been trained on other patients.
    onnx: str | None = None

    def within(self, folder: Path) -> "Models":
        """The same with paths that start at `folder` unless they are absolute."""
        command, onnx = (
            None if path is None else str(folder / Path(path).expanduser())
            for path in (self.command, self.onnx)
        )
        return Models(command, onnx)

    def require(self, kind: str) -> None:
        """Refuse a kind of teacher whose program or model is not there.

        Raises:
          ConfigError: for `command` and `onnx` only.
        """
        if kind == "command":
            self.program()
        elif kind == "onnx":
            self.onnx_files()

    def program(self) -> Path:
        """The executable of teacher=command; raises ConfigError if there is none."""
        if self.command is None:
            raise ConfigError("teacher=command needs models.command, the program to call; got none")
        path = Path(self.command).expanduser()
        if not path.is_file() or not os.access(path, os.X_OK):
            raise ConfigError(f"models.command must be an executable file, got {self.command!r}")
        return path.absolute()

    def onnx_files(self) -> list[Path]:
        """The files of teacher=onnx by name; raises ConfigError if there is none."""
        if self.onnx is None:
            raise ConfigError("teacher=onnx needs models.onnx, a model's file; got none")
        path = Path(self.onnx).expanduser()
        files = sorted(path.glob("*.onnx")) if path.is_dir() else [path]
        if not files or not all(file.is_file() for file in files):
            raise ConfigError(
                f"models.onnx must be an ONNX file or a folder of some, got {self.onnx!r}"
            )
        return files

    def fingerprint(self, kind: str) -> str:
        """Changes with the program that makes a command teacher's votes; "" for other kinds."""
        if kind != "command":
            return ""
        program = self.program()
        content = hashlib.sha256(program.read_bytes()).hexdigest()
        return f"{program}:{content}"


def onnx_teachers(files: Sequence[Path], n_classes: int, at_most: int) -> "list[OnnxTeacher]":
    """One teacher per file.

    Raises:
      ConfigError: more files than teachers that were asked for.
      DataError: a file is not a model that can vote.
    """
    from fedpate.learning.onnx_teachers import OnnxTeacher

    if len(files) > at_most:
        raise ConfigError(
            f"models.onnx must hold at most teachers_per_hospital={at_most} models, "
            f"got {len(files)}"
        )
    return [OnnxTeacher(file.read_bytes(), n_classes) for file in files]

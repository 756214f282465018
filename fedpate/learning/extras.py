"""Libraries that a kind of teacher needs: their versions, and a refusal that says what to type."""

import functools
import importlib
import importlib.util
import os
from importlib import metadata
from types import ModuleType

from fedpate.errors import ConfigError

# library -> the distributions that bring it (the import name is the library's own)
DISTRIBUTIONS = {
    "xgboost": ("xgboost-cpu", "xgboost"),
    "lightgbm": ("lightgbm",),
    "keras": ("keras",),
    "opacus": ("opacus",),
    "tensorboardX": ("tensorboardX",),
    "mlflow": ("mlflow-skinny", "mlflow"),
    "optuna": ("optuna",),
}
EXTRAS = {
    "opacus": "dpsgd",
    "tensorboardX": "tensorboard",
    "optuna": "tune",
}  # extras that are not named after their library


@functools.cache  # a sweep asks thousands of times, and an answer reads a file
def version(library: str) -> str:
    """The installed version of a library: part of a stored teacher's key.

    Raises:
      ConfigError: it is not installed.
    """
    for distribution in DISTRIBUTIONS.get(library, (library,)):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    raise _missing(library)


def require(library: str, needed_by: str | None = None) -> None:
    """Refuse a setting whose library is not installed, without importing it.

    Args:
      library: a key of `DISTRIBUTIONS`.
      needed_by: the setting; None: the teacher that is named after the library's extra.

    Raises:
      ConfigError: it is not installed.
    """
    if library in DISTRIBUTIONS and importlib.util.find_spec(library) is None:
        raise _missing(library, needed_by)


def load(library: str) -> ModuleType:
    """Import an optional library.

    Raises:
      ConfigError: it is not installed, or Keras has another backend than torch already.
    """
    require(library)
    if library == "keras":
        os.environ.setdefault("KERAS_BACKEND", "torch")
    module = importlib.import_module(library)
    if library == "keras" and module.backend.backend() != "torch":
        raise ConfigError(
            "teacher=keras needs Keras on its torch backend: KERAS_BACKEND must be torch, "
            f"got {module.backend.backend()!r}"
        )
    return module


def _missing(library: str, needed_by: str | None = None) -> ConfigError:
    extra = EXTRAS.get(library, library)
    return ConfigError(
        f"{needed_by or f'teacher={extra}'} needs {library}, which is not installed: "
        f"pip install 'fedpate[{extra}]'"
    )

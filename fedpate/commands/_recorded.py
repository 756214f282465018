"""The settings of a finished simulation, from what Hydra recorded in its run directory."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fedpate.errors import ConfigError

if TYPE_CHECKING:
    from fedpate.federation.settings import Run


@contextlib.contextmanager
def recorded_run(folder: Path) -> "Iterator[Run]":
    """The run that a directory came from; inside, paths mean what they meant then.

    Raises:
      ConfigError: not the directory of a simulation that `fedpate simulate` finished.
    """
    from omegaconf import OmegaConf

    from fedpate import config

    recorded = folder / ".hydra"
    files = [recorded / "overrides.yaml", recorded / "hydra.yaml", folder / "summary.json"]
    if not all(file.is_file() for file in files):
        raise ConfigError(
            f"RUN_DIR must be the directory of a simulation that finished, got {folder}"
        )
    overrides = [str(text) for text in OmegaConf.load(files[0])]
    place = Path(str(OmegaConf.select(OmegaConf.load(files[1]), "hydra.runtime.cwd")))
    config.register()
    run = config.build(config.compose("config", overrides), overrides)
    with contextlib.chdir(place if place.is_dir() else Path.cwd()):
        yield run

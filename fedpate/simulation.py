"""`fedpate.simulate`: a simulated federation from Python, with the command line's own settings.

    fedpate.simulate(data="digits", hospitals=20, mechanism={"name": "laplace", "noise_scale": 20})

Settings are keywords. One that has parts is a dict of them; a group's option is its `name`, or the
value itself where nothing else of it is set. A dotted name of the command line is a keyword too:
`**{"mechanism.noise_scale": 20}`. The same schemas check them, with the same refusals.
"""

import os
import re
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import DictConfig, OmegaConf, open_dict

from fedpate import config
from fedpate._environment import keep_private
from fedpate.commands import _one_run
from fedpate.commands._run_directory import HYDRA, discard_unfinished
from fedpate.errors import ConfigError
from fedpate.federation.progress import LogProgress, Progress
from fedpate.result import Result

_WORD = re.compile(r"[A-Za-z_][\w.-]*")  # what Hydra reads as itself without quotes
_READ_OTHERWISE = ("null", "true", "false", "inf", "nan", "on", "off", "yes", "no")


def simulate(
    *,
    run_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Result:
    """Run one simulated federation and return its result.

    Args:
      run_dir: where the run directory goes, as `hydra.run.dir` on the command line; None: a
        temporary folder that goes when the result does, its ledger too.
      progress: is told about every stage; None: log lines of the logger `fedpate`.
      **settings: those of `fedpate simulate`; everything left out has its default.

    Returns:
      `summary`, `labels`, `student`, `plot()` and the directory itself.

    Raises:
      ConfigError: a setting that is unknown, of a wrong type or refused; nothing has run.
      FedPateError: bad data, over budget, too few hospitals: whatever ends a run in one line.
    """
    overrides = list(_overrides("", settings))
    if any(re.match(r"hydra\b", text) for text in overrides):
        raise ConfigError("hydra's own settings are the command line's; here there is run_dir")
    config.register()
    cfg = config.compose_with_hydra("config", overrides)
    with open_dict(cfg):
        hydra = cfg.pop("hydra")
    config.build(cfg, overrides)  # refused before anything is written
    keep_private()  # before Flower is imported
    folder = Path(
        tempfile.mkdtemp(prefix="fedpate-run-") if run_dir is None else run_dir
    ).absolute()
    since = time.time() - 1  # file systems round their clocks
    try:
        _record(folder, cfg, hydra, overrides)
        _one_run.simulate(cfg, overrides, folder, progress or LogProgress())
    except BaseException:
        discard_unfinished(folder, since)
        if run_dir is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    result = Result(folder)
    if run_dir is None:
        weakref.finalize(result, shutil.rmtree, folder, ignore_errors=True)
    return result


def _overrides(prefix: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """The settings as a user would type them; a group's option comes before its settings."""
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if not isinstance(value, Mapping):
            yield f"{name}={_typed(name, value)}"
            continue
        rest = dict(value)
        if "name" in rest:
            yield f"{name}={_typed(name, rest.pop('name'))}"
        yield from _overrides(f"{name}.", rest)


def _typed(name: str, value: Any) -> str:
    """A value in Hydra's grammar.

    Raises:
      ConfigError: neither a number, a text, a path, a truth value, None nor a list of these.
    """
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # a numpy number
        value = value.item()
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(_typed(name, item) for item in value)}]"
    if isinstance(value, str | os.PathLike):
        text = os.fspath(value)
        if isinstance(text, str):
            plain = _WORD.fullmatch(text) and text.lower() not in _READ_OTHERWISE
            return text if plain else QuotedString(text=text, quote=Quote.single).with_quotes()
    raise ConfigError(
        f"{name} must be a number, a text, true or false, None, a list or a dict of settings, "
        f"got {type(value).__name__}"
    )


def _record(folder: Path, cfg: DictConfig, hydra: DictConfig, overrides: list[str]) -> None:
    """What Hydra records of a run on the command line, for the report and `fedpate audit`.

    Raises:
      ConfigError: the folder cannot be written.
    """
    runtime = {"cwd": str(Path.cwd()), "choices": hydra.runtime.choices}
    place = folder / HYDRA
    try:
        place.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(cfg, place / "config.yaml")
        OmegaConf.save(OmegaConf.create(overrides), place / "overrides.yaml")
        OmegaConf.save(OmegaConf.create({"hydra": {"runtime": runtime}}), place / "hydra.yaml")
    except OSError as error:
        raise ConfigError(
            f"run_dir must be a folder that can be written, got {folder}: {error.strerror}"
        ) from error

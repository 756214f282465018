"""From what a user types to validated settings: the class is the schema.

Hydra composes `conf/` (values only) over the settings classes, so a mistyped key or type fails at
composition. A group's option names one class of a closed registry; nothing in a configuration can
name a Python path. `build` turns the composed configuration into the `Run` that everything below
works with; every refusal is one line that names the setting, the rule and the value.
"""

from collections.abc import Collection, Sequence
from typing import Any, TypeVar

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fedpate import config_errors
from fedpate._conf import CONF, HYDRA, options
from fedpate.errors import ConfigError
from fedpate.federation import plain
from fedpate.federation.settings import Run

__all__ = [
    "CONF",
    "NOISE_SETTINGS",
    "build",
    "compose",
    "compose_with_hydra",
    "explain",
    "options",
    "parse",
    "register",
    "settle_noise",
    "to_settings",
]

T = TypeVar("T")

NOISE_SETTINGS = ("mechanism.noise_scale", "mechanism.flip_probability")


def register(
    groups: Collection[str] = tuple(plain.GROUPS), root: str = "run", schema: type = Run
) -> None:
    """Make the schemas known to Hydra; call once before composing.

    Args:
      groups: the registries to read; naming few keeps a command from importing torch.
      root: the configuration's name; its schema is stored as `ROOT_schema`.
      schema: the dataclass that is the whole configuration.
    """
    store = ConfigStore.instance()
    store.store(name=f"{root}_schema", node=_fillable(schema))
    for group in groups:
        for name, cls in plain.registry(group).items():
            store.store(group=group, name=f"{name}_schema", node=_fillable(cls))


def compose(name: str, overrides: Sequence[str]) -> DictConfig:
    """Compose `conf/NAME.yaml` without Hydra's run directory, logging or sweeps.

    Raises:
      ConfigError: an unknown key or option, a wrong type, an override that cannot be read.
    """
    return _composed(name, overrides, with_hydra=False)


def compose_with_hydra(name: str, overrides: Sequence[str]) -> DictConfig:
    """As `compose`, with Hydra's own settings under `hydra`: the options chosen are among them."""
    return _composed(name, overrides, with_hydra=True)


def _composed(name: str, overrides: Sequence[str], *, with_hydra: bool) -> DictConfig:
    try:
        with hydra.initialize_config_dir(str(CONF), version_base=HYDRA):
            return hydra.compose(name, list(overrides), return_hydra_config=with_hydra)
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, name, overrides) from error


def explain(error: Exception, name: str, overrides: Sequence[str]) -> ConfigError:
    """Hydra's refusal of some overrides as one line, with what the user may have meant."""
    chosen = [text for text in overrides if _group_choice(text)]
    try:
        with hydra.initialize_config_dir(str(CONF), version_base=HYDRA):
            known = hydra.compose(name, chosen, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException):
        with hydra.initialize_config_dir(str(CONF), version_base=HYDRA):
            known = hydra.compose(name, return_hydra_config=True)
    choices = {
        group: option
        for group, option in known.hydra.runtime.choices.items()
        if (CONF / group).is_dir()
    }
    for text in chosen:
        group, _, choices[group] = text.partition("=")
    settings = OmegaConf.masked_copy(known, [key for key in map(str, known) if key != "hydra"])
    return config_errors.explain(error, config_errors.keys(settings), choices, options)


def build(cfg: DictConfig, overrides: Sequence[str] = ()) -> Run:
    """The validated run that a composed configuration describes.

    Args:
      cfg: composed over the `run` schema.
      overrides: what the user typed, to tell it from what a file says.

    Raises:
      ConfigError: a setting that its class refuses, or two that contradict each other.
    """
    return to_settings(settle_noise(cfg, overrides), Run)


def to_settings(cfg: DictConfig, cls: type[T]) -> T:
    """The settings object of a composed configuration; every class checks its own fields.

    Raises:
      ConfigError: a setting is refused, missing, or not one of the class's.
    """
    try:
        config_errors.require_known(cfg)
        settings = OmegaConf.to_object(cfg)
    except OmegaConfBaseException as error:
        raise config_errors.explain(error, config_errors.keys(cfg), {}, options) from error
    if not isinstance(settings, cls):
        raise TypeError(f"expected {cls.__name__}, composed {type(settings).__name__}")
    return settings


def settle_noise(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Noise is given by its scale or by its price: what was typed beats what a file says.

    A target in a file beats a scale in a file: the target's default is null, so somebody meant it,
    while every mechanism's file has a scale. Beside a target the scale stays, but only as a shape:
    calibration keeps the ratio of a mechanism's several scales.

    Raises:
      ConfigError: both were typed.
    """
    target = cfg.privacy.target_epsilon
    if target is None:
        return cfg
    given = {override.key_or_group: override.value() for override in parse(overrides)}
    typed = [key for key in NOISE_SETTINGS if given.get(key) is not None]
    if not typed:
        return cfg
    if given.get("privacy.target_epsilon") is not None:
        raise ConfigError(
            f"{typed[0]} and privacy.target_epsilon must not both be given, "
            f"got {given[typed[0]]} and {target:g}"
        )
    settled = cfg.copy()
    settled.privacy.target_epsilon = None
    return settled


def parse(overrides: Sequence[str]) -> list[Any]:
    """Hydra's own reading of overrides.

    Raises:
      ConfigError: one of them is not of the form KEY=VALUE.
    """
    try:
        return list(OverridesParser.create().parse_overrides(list(overrides)))
    except HydraException as error:
        raise config_errors.explain(error, set(), {}, options) from error


def _group_choice(override: str) -> bool:
    group, equals, option = override.partition("=")
    return bool(equals) and option in options(group)


def _fillable(cls: type) -> DictConfig:
    """A schema node of a frozen class that Hydra may fill."""
    node: DictConfig = OmegaConf.structured(cls)
    _make_writable(node)
    return node


def _make_writable(node: DictConfig) -> None:
    OmegaConf.set_readonly(node, False)
    for name in config_errors.fields(node):
        child = node._get_node(name)
        if isinstance(child, DictConfig):
            _make_writable(child)

"""Composes the points of a sweep as Hydra does, but only once what they have in common.

Hydra composes every point from its files: that takes longer than a point's votes. Points that
choose the same options of all groups differ in values only, which Hydra sets last.
"""

import copy
from collections.abc import Sequence

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig

from fedpate._conf import CONF


class Composer:
    """What `load_sweep_config` gives for the points of one sweep."""

    def __init__(self, loader: ConfigLoader, config: DictConfig) -> None:
        self._loader, self._config = loader, config
        self._parser = OverridesParser.create(config_loader=loader)
        self._common: dict[tuple[str, ...], DictConfig] = {}

    def __call__(self, overrides: Sequence[str]) -> DictConfig:
        """The settings of one point, Hydra's own under `hydra`.

        Raises:
          HydraException, OmegaConfBaseException: they cannot be composed.
        """
        parsed = self._parser.parse_overrides(list(overrides))
        if not all(map(_is_plain, parsed)):
            return self._loader.load_sweep_config(self._config, list(overrides))
        values = [override for override in parsed if not _is_choice(override)]
        cfg = copy.deepcopy(self._of([str(it.input_line) for it in parsed if _is_choice(it)]))
        ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
        cfg.hydra.overrides.task = list(overrides)
        how = cfg.hydra.job.config.override_dirname
        cfg.hydra.job.override_dirname = get_overrides_dirname(
            overrides=parsed,
            kv_sep=how.kv_sep,
            item_sep=how.item_sep,
            exclude_keys=how.exclude_keys,
        )
        return cfg

    def _of(self, choices: Sequence[str]) -> DictConfig:
        """What these options give before any value is set."""
        key = tuple(choices)
        if key not in self._common:
            self._common[key] = self._loader.load_sweep_config(self._config, list(choices))
        return self._common[key]


def _is_plain(override: Override) -> bool:
    """Whether it is KEY=VALUE of our own settings: no +KEY, ~KEY or hydra.KEY."""
    return override.type == OverrideType.CHANGE and not override.is_hydra_override()


def _is_choice(override: Override) -> bool:
    """Whether it chooses an option of a group."""
    return override.package is not None or (CONF / override.key_or_group).is_dir()

"""Verbs that take SETTING=VALUE but make no run directory: composed over a small schema."""

from collections.abc import Collection, Sequence
from typing import TypeVar

from fedpate import config
from fedpate.commands._arguments import unknown_option
from fedpate.errors import ConfigError

T = TypeVar("T")


def split(
    args: Sequence[str], positional: str, *, optional: bool = False
) -> tuple[str | None, list[str], bool]:
    """Tell apart a verb's file, its settings and `--json`.

    Args:
      args: the command line after the verb.
      positional: what the file is called in messages; empty for a verb without one.
      optional: whether the verb can do without it.

    Returns:
      The file (None without one), the overrides, whether `--json` was given.

    Raises:
      ConfigError: the file is missing, there are two, or an option is unknown.
    """
    options = [arg for arg in args if arg.startswith("--")]
    for option in options:
        if option != "--json":
            raise unknown_option(option, ["--json", "--help"], settings=True)
    words = [arg for arg in args if not arg.startswith("--")]
    overrides = [word for word in words if "=" in word or word.startswith("~")]
    files = [word for word in words if word not in overrides]
    most = 1 if positional else 0
    if len(files) > most or (len(files) < most and not optional):
        rule = f"one {positional}" if positional else "settings of the form KEY=VALUE only"
        got = " and ".join(map(repr, files)) or "none"
        raise ConfigError(f"this verb takes {rule}, got {got}")
    return (files[0] if files else None), overrides, bool(options)


def compose(
    name: str, schema: type[T], overrides: Sequence[str], groups: Collection[str] = ("mechanism",)
) -> T:
    """Settings of `conf/NAME.yaml` with overrides, as an object of its schema.

    Raises:
      ConfigError: anything that the schema or one of its classes refuses.
    """
    config.register(groups, name, schema)
    return config.to_settings(config.compose(name, overrides), schema)

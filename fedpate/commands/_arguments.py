"""Arguments of verbs: refusals in one line, with a suggestion, raised as `ConfigError`."""

import argparse
import difflib
from collections.abc import Sequence
from typing import NoReturn

from fedpate.errors import ConfigError

# Hydra's own options that `fedpate simulate` hands on, without and with a value.
HYDRA_FLAGS = ("-m", "--multirun", "--resolve", "--run", "-r", "--hydra-help")
HYDRA_OPTIONS = (
    *("-c", "--cfg", "-p", "--package", "-i", "--info", "-cd", "--config-dir"),
    *("-cn", "--config-name", "--experimental-rerun"),
)


class Parser(argparse.ArgumentParser):
    """`argparse` that raises instead of printing its usage, and that suggests a near option."""

    def error(self, message: str) -> NoReturn:
        """Refuse in one line."""
        _, required, missing = message.partition("the following arguments are required: ")
        raise ConfigError(f"{missing} must be given; see --help" if required else message)

    def _check_value(self, action: argparse.Action, value: str) -> None:
        if action.choices is not None and value not in action.choices:
            known = list(map(str, action.choices))
            name = action.metavar or (action.option_strings or [action.dest])[0]
            raise ConfigError(
                f"{name} must be one of {', '.join(known)}, got {value!r}{meant(value, known)}"
            )

    def read(self, args: Sequence[str]) -> argparse.Namespace:
        """Parse all of `args`.

        Raises:
          ConfigError: an unknown option, a missing or a wrong argument.
        """
        namespace, unknown = self.parse_known_args(list(args))
        if unknown:
            known = [text for action in self._actions for text in action.option_strings]
            raise unknown_option(unknown[0], known)
        return namespace


def meant(word: str, known: Sequence[str]) -> str:
    """The suggestion for a word that is none of the known ones, if one of them is near."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def unknown_option(word: str, known: Sequence[str], *, settings: bool = False) -> ConfigError:
    """An option that is not there, and what may have been meant.

    Args:
      word: as typed.
      known: the options there are.
      settings: whether the verb takes SETTING=VALUE, which people type as --setting.
    """
    name, _, value = word.partition("=")
    hint = meant(name, known)
    if settings and not hint:
        setting = name.lstrip("-").replace("-", "_")
        hint = f"; settings are written {setting}={value or 'VALUE'}"
    return ConfigError(f"{word} is not an option{hint}")


def take_flag(args: Sequence[str], flag: str) -> tuple[bool, list[str]]:
    """Whether `flag` is there, and the other arguments."""
    return flag in args, [arg for arg in args if arg != flag]


def take_option(args: Sequence[str], option: str) -> tuple[str | None, list[str]]:
    """The value after `option` (or `option=value`), and the other arguments.

    Raises:
      ConfigError: it has no value.
    """
    value, rest, words = None, list[str](), list(args)
    while words:
        word = words.pop(0)
        name, equals, given = word.partition("=")
        if name != option:
            rest.append(word)
            continue
        if not equals and (not words or words[0].startswith("-")):
            raise ConfigError(f"{option} must be followed by a value")
        value = given if equals else words.pop(0)
    return value, rest


def for_hydra(args: Sequence[str]) -> list[str]:
    """The same arguments, options first: Hydra refuses overrides on both sides of an option.

    Raises:
      ConfigError: an unknown option: Hydra's own refusal is a page of usage.
    """
    known = (*HYDRA_FLAGS, *HYDRA_OPTIONS, "--json", "--help")
    options, overrides, words = [], [], list(args)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            overrides.append(word)
            continue
        if word.partition("=")[0] not in known:
            raise unknown_option(word, known, settings=True)
        options.append(word)
        if word in HYDRA_OPTIONS and words:
            options.append(words.pop(0))
    return [*options, *overrides]

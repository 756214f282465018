"""What Hydra and OmegaConf refuse, as one line: the setting, the rule, the value, a suggestion."""

import dataclasses
import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue, ValidationError

from fedpate.errors import ConfigError

KINDS = {
    "Integer": "a whole number",
    "Float": "a number",
    "Boolean": "true or false",
    "String": "text",
}
Options = Callable[[str], Sequence[str]]


def keys(cfg: DictConfig, prefix: str = "") -> set[str]:
    """All settings of a configuration, dotted, groups included."""
    found = set()
    for key in map(str, cfg):
        name = f"{prefix}{key}"
        found.add(name)
        child = cfg._get_node(key)
        if isinstance(child, DictConfig) and not child._is_none():
            found |= keys(child, f"{name}.")
    return found


def explain(
    error: Exception, known: Collection[str], choices: Mapping[str, str], options: Options
) -> ConfigError:
    """One line for a user.

    Args:
      error: what Hydra or OmegaConf raised.
      known: the settings there are, dotted.
      choices: the option chosen in each group.
      options: the options of a group.
    """
    text, cause = str(error), error.__cause__ or error
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override)
    if isinstance(error, MissingConfigException):
        missing = re.search(r"Could not find '([^']+)/([^'/]+)'", text)
        if missing:
            return _unknown_option(missing[1], missing[2], options(missing[1]))
    overlay = re.search(r"In '(\w+)/(\w+)': .*full_key: (\S+)", text, re.DOTALL)
    if overlay:
        return _misfit(f"{overlay[1]}={overlay[2]}", overlay[3], choices)
    there = re.search(r"already at '([^']+)'", text)
    if there:
        return ConfigError(f"{there[1]} is a setting already: write it without the plus sign")
    refused = re.search(r"Could not (?:override|delete from config)[^']*'([^']+)'", text)
    if refused:
        return unknown_key(refused[1], known, choices)
    if isinstance(cause, ValidationError):
        return _wrong_type(cause)
    if isinstance(cause, MissingMandatoryValue):
        return ConfigError(f"{cause.full_key} must be given")
    if isinstance(cause, InterpolationResolutionError):
        return ConfigError(f"{cause.full_key} must not refer to what is not there: {_first(cause)}")
    ambiguous = re.search(r"Ambiguous value for argument '([^']+)'", text)
    if ambiguous:
        return ConfigError(
            f"{ambiguous[1]} lists several values: add -m to run each of them, or quote the value"
        )
    return ConfigError(_first(error))


def unknown_key(key: str, known: Collection[str], choices: Mapping[str, str]) -> ConfigError:
    """A key that is no setting, or none of the chosen option's."""
    group, _, name = key.partition(".")
    leaves = sorted(
        word for word in known if not any(other.startswith(f"{word}.") for other in known)
    )
    inside = {word.partition(".")[2]: word for word in leaves if word.startswith(f"{group}.")}
    if not name or group not in known:
        # A setting whose group was left out counts as near: noise_scale, mechanism.noise_scale.
        whole = {word: word for word in (*known, *choices)}
        near = {word.rpartition(".")[2]: word for word in leaves} | whole
        meant = _meant(key, whole, cutoff=0.8) or _meant(key, near)
        return ConfigError(f"{key} is not a setting{meant}")
    if group in choices:
        has = f"it has {', '.join(inside.values())}" if inside else "it has none"
        rule = f"{key} is not a setting of {group}={choices[group]} ({has})"
    else:
        rule = f"{key} is not a setting ({group} has {', '.join(inside.values())})"
    return ConfigError(rule + _meant(name, inside))


def _meant(word: str, names: Mapping[str, str], cutoff: float = 0.6) -> str:
    """The suggestion for `word` among short names, told by its full name."""
    near = difflib.get_close_matches(word, sorted(names), n=1, cutoff=cutoff)
    return f"; did you mean {names[near[0]]}?" if near else ""


def fields(node: DictConfig) -> set[str]:
    """The settings of the class that a node is filled over; empty where there is none."""
    cls = OmegaConf.get_type(node)
    return {f.name for f in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else set()


def require_known(cfg: DictConfig) -> None:
    """Refuse what `+KEY=VALUE` smuggled past the schema.

    Raises:
      ConfigError: a key that the class does not have.
    """
    for name, node in _structured(cfg, ""):
        for key in map(str, node):
            if key not in fields(node):
                raise unknown_key(f"{name}{key}", keys(cfg) - {f"{name}{key}"}, {})


def _structured(node: DictConfig, name: str) -> Iterator[tuple[str, DictConfig]]:
    if dataclasses.is_dataclass(OmegaConf.get_type(node)):
        yield name, node
        for key in map(str, node):
            child = node._get_node(key)
            if isinstance(child, DictConfig):
                yield from _structured(child, f"{name}{key}.")


def _misfit(overlay: str, key: str, choices: Mapping[str, str]) -> ConfigError:
    group = key.partition(".")[0]
    part = f"{group}={choices[group]}" if group in choices else group
    return ConfigError(f"{overlay} sets {key}, which does not fit {part}: leave out one of the two")


def _unreadable(override: str | None) -> ConfigError:
    if override is not None and re.fullmatch(r"[\w.]+", override):
        return ConfigError(f"{override!r} is not of the form KEY=VALUE, such as hospitals=20")
    return ConfigError(
        f"{override!r} is not of the form KEY=VALUE; a value with special characters "
        "needs quotes inside quotes: 'data.path=\"/a (1).csv\"'"
    )


def _unknown_option(group: str, option: str, known: Sequence[str]) -> ConfigError:
    if not known:
        return ConfigError(f"{group} is not a group of settings")
    return ConfigError(
        f"{group} must be one of {', '.join(known)}, got {option!r}"
        + _meant(option, {name: name for name in known})
    )


def _wrong_type(cause: ValidationError) -> ConfigError:
    wrong = re.match(r"Value '(.*)' of type '\w+' could not be converted to (\w+)", str(cause))
    if wrong:
        return ConfigError(
            f"{cause.full_key} must be {KINDS.get(wrong[2], wrong[2])}, got {wrong[1]!r}"
        )
    text = str(cause)
    not_a_bool = re.match(r"Value '(.*)' is not a valid bool", text)
    if not_a_bool:
        return ConfigError(f"{cause.full_key} must be true or false, got {not_a_bool[1]!r}")
    if "is not a ListConfig" in text:
        return ConfigError(f"{cause.full_key} must be a list, such as [1, 2]")
    if "is not Optional" in text:
        return ConfigError(f"{cause.full_key} must be given, got null")
    if "is not a subclass" in text:
        return ConfigError(f"{cause.full_key} has parts: set {cause.full_key}.PART=VALUE")
    return ConfigError(f"{cause.full_key}: {_first(cause)}")


def _first(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]

"""Settings classes to JSON and back, strictly, through the closed registries.

A field named after a group (`data`, `partition`, `teacher`, ...) and typed `Any` holds an instance
of one of the group's registered classes; in JSON it is an object whose key `name` is the name that
a user types. Nothing else can be named: no Python path, no callable.
"""

import dataclasses
import importlib
import json
import types
import typing
from typing import Any, TypeVar

from fedpate.errors import ConfigError

T = TypeVar("T")

GROUPS = {
    "data": ("fedpate.data.sources", "SOURCES"),
    "partition": ("fedpate.data.partition", "PARTITIONS"),
    "teacher": ("fedpate.learning.teachers", "TEACHERS"),
    "mechanism": ("fedpate.privacy.mechanisms", "MECHANISMS"),
    "student": ("fedpate.learning.students", "STUDENTS"),
    "tracking": ("fedpate.tracking.trackers", "TRACKERS"),
    "queries_by": ("fedpate.learning.selection", "SELECTORS"),
}
SCALARS = (str, int, float, bool, type(None))


def registry(group: str) -> dict[str, type[Any]]:
    """The classes that a group may name, by name; imported only when asked for (torch is slow)."""
    module, attribute = GROUPS[group]
    return dict(getattr(importlib.import_module(module), attribute))


def dumps(settings: Any) -> str:
    """Canonical JSON of a settings class: equal settings give equal text."""
    return json.dumps(_to_plain(settings), sort_keys=True, allow_nan=False)


def loads(cls: type[T], text: str) -> T:
    """Read what `dumps` wrote.

    Raises:
      ConfigError: not JSON, an unknown key or name, a wrong type, or a value that a class refuses.
    """
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise ConfigError("settings must be JSON, got text that is not") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"settings must be a JSON object, got {type(raw).__name__}")
    return build(cls, raw, "")


def _to_plain(part: Any) -> Any:
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        fields = {f.name: _to_plain(getattr(part, f.name)) for f in dataclasses.fields(part)}
        name = getattr(type(part), "name", None)
        return {"name": name, **fields} if isinstance(name, str) else fields
    if isinstance(part, tuple | list):
        return [_to_plain(item) for item in part]
    if isinstance(part, dict):
        return {key: _to_plain(item) for key, item in part.items()}
    return part


def build(cls: type[T], raw: dict[str, Any], prefix: str) -> T:
    """The instance of a settings class that plain data describe; see `loads`.

    Args:
      cls: the class.
      raw: its fields.
      prefix: what messages put before a field's name, such as "privacy.".
    """
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in raw:
        if key not in fields:
            raise ConfigError(f"{prefix}{key} is not a setting; known: {', '.join(sorted(fields))}")
    for key, item in fields.items():
        optional = (item.default, item.default_factory) != (dataclasses.MISSING,) * 2
        if key not in raw and not optional:
            raise ConfigError(f"{prefix}{key} must be given")
    return cls(**{key: _value(value, hints[key], f"{prefix}{key}") for key, value in raw.items()})


def registered(group: str, raw: Any) -> Any:
    """The instance that {name: NAME, SETTING: VALUE, ...} describes.

    Raises:
      ConfigError: no such name in the group, or a setting that its class refuses.
    """
    classes = registry(group)
    name = raw.get("name") if isinstance(raw, dict) else None
    if not isinstance(name, str) or name not in classes:
        raise ConfigError(f"{group} must be one of {', '.join(sorted(classes))}, got {name!r}")
    fields = {key: value for key, value in raw.items() if key != "name"}
    return build(classes[name], fields, f"{group}.")


def _value(value: Any, hint: Any, name: str) -> Any:
    """`value` as its declared type; only a whole number where a float is declared is converted."""
    group = name.rpartition(".")[2]
    if hint is Any and group in GROUPS:
        return None if value is None else registered(group, value)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in args:
            return None
        (inner,) = [arg for arg in args if arg is not type(None)]
        return _value(value, inner, name)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, dict):
        return build(hint, value, f"{name}.")
    if origin is tuple and isinstance(value, list):
        return tuple(_value(item, args[0], name) for item in value)
    if origin is dict and isinstance(value, dict):
        return {key: _value(item, args[1], f"{name}.{key}") for key, item in value.items()}
    if hint is Any and isinstance(value, dict):
        return value  # the class that declares it reads it
    if hint is float and type(value) is int:
        return float(value)
    if (hint is Any and type(value) in SCALARS) or type(value) is hint:
        return value
    expected = hint.__name__ if isinstance(hint, type) else str(hint)
    raise ConfigError(f"{name} must be of type {expected}, got {type(value).__name__}")

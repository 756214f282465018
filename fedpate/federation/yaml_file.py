"""YAML files that people write: strict, and refused in one line that names the place.

A key that is written twice, that is not known, or that is missing is an error: in a file that says
who may ask for what, a silent default is a hole.
"""

from collections.abc import Collection, Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from fedpate.errors import ConfigError

LARGEST = 1_000_000  # bytes; aliases could still unfold, so they are refused


def read(path: Path, what: str) -> dict[str, Any]:
    """The mapping in a YAML file.

    Args:
      path: the file.
      what: how messages call it.

    Raises:
      ConfigError: unreadable, not YAML, a key twice, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{what} must be a file that can be read, got {path}: {error.strerror}"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what} must be text in UTF-8, got {path}") from error
    return parse(text, f"{what} {path}")


def parse(text: str, what: str) -> dict[str, Any]:
    """The mapping in a YAML text; raises ConfigError as `read` does."""
    if len(text) > LARGEST:
        raise ConfigError(f"{what} must be at most {LARGEST} characters, got {len(text)}")
    try:
        content = yaml.load(text, _Strict)  # noqa: S506 - a subclass of SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(
            f"{what} must be YAML: {error.problem or error.context}{place}"
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{what} must be YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{what} must be a mapping of names to values")
    return content


def section(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The mapping under `name`; empty if it is not there."""
    value = content.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"{name} must be a mapping, got {value!r}")
    return value


def require_keys(
    content: Mapping[str, Any],
    known: Collection[str],
    needed: Collection[str] = (),
    within: str = "",
) -> None:
    """Refuse keys that are not known, and missing ones that are needed."""
    prefix = f"{within}." if within else ""
    for key in content:
        if key not in known:
            raise ConfigError(
                f"{prefix}{key} is not a setting; there are "
                + ", ".join(f"{prefix}{name}" for name in known)
            )
    for key in needed:
        if content.get(key) is None:
            raise ConfigError(f"{prefix}{key} must be given")


class _Strict(yaml.SafeLoader):
    """Plain data, each key once, no aliases."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.composer.ComposerError(
                problem="aliases are not allowed", problem_mark=self.get_mark()
            )
        node: yaml.Node | None = super().compose_node(parent, index)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value!r} is written twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)

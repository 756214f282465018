"""What could stand where the cursor is: verbs, actions, options, settings and their values.

Everything is read off what the command line itself uses, so nothing can be forgotten: the verbs'
help texts (options, actions, `key=one|other`), the classes of settings, and the files of conf/.
Neither PyTorch nor Flower nor Hydra is imported; a shell asks at every press of the Tab key.
"""

import dataclasses
import importlib
import re
from collections.abc import Iterator
from typing import Any

from fedpate import _conf
from fedpate.commands import VERBS
from fedpate.federation import plain

# Verbs that take SETTING=VALUE: the class of their settings.
RUN = ("fedpate.federation.settings", "Run")
SETTINGS = {
    "simulate": RUN,
    "bundle": RUN,
    "tune": RUN,
    "deploy": RUN,
    "plan": ("fedpate.commands.plan", "PlanSettings"),
    "account": ("fedpate.commands.account", "AccountSettings"),
    "audit": ("fedpate.commands.audit", "AuditSettings"),
    "sensitivity": ("fedpate.commands.sensitivity", "SensitivitySettings"),
}
HYDRA = {"simulate": ("hydra.run.dir", "hydra.sweep.dir")}
OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
VALUES = re.compile(r"(?<![\w.])([\w.]+)=([\w?]+(?:\|\s*[\w.?]+)+)")


def candidates(words: list[str]) -> list[tuple[str, str]]:
    """(word, description) of everything that the last of `words` may become.

    Args:
      words: of the command line after `fedpate`; the last one is being typed and may be empty.
    """
    *before, word = words
    if not before:
        found = [*VERBS.items(), ("--help", ""), ("--version", "")]
    elif before[0] not in VERBS:
        found = []
    else:
        found = [(text, "") for text in _of_verb(before[0], before[1:], word)]
    return [(text, does) for text, does in dict(found).items() if text.startswith(word)]


def _of_verb(verb: str, before: list[str], word: str) -> Iterator[str]:
    """Candidates after a verb; those of another beginning are left to the caller to drop."""
    text: str = importlib.import_module(f"fedpate.commands.{verb}").HELP
    if word.startswith("-"):
        yield from sorted({*OPTION.findall(text), "--help"})
        return
    key, equals, value = word.partition("=")
    if equals:
        earlier = value.rpartition(",")[0]  # of a sweep: mechanism=gnmax,la
        begun = f"{key}={earlier}," if earlier else f"{key}="
        yield from (f"{begun}{one}" for one in _values(verb, text, key))
        return
    if not before:
        yield from _actions(verb, text)
    if verb in SETTINGS:
        yield from _keys(verb, before, word)


def _actions(verb: str, text: str) -> list[str]:
    """`show` and `verify` of `usage: fedpate ledger show PATH`."""
    usage = re.findall(rf"^(?:usage:)? +fedpate {verb} ([a-z|]+)(?= |$)", text, re.MULTILINE)
    return sorted({action for words in usage for action in words.split("|")})


def _keys(verb: str, before: list[str], word: str) -> Iterator[str]:
    """Names of settings: those of a group only after its dot, or there would be too many."""
    group = word.partition(".")[0]
    for field in dataclasses.fields(_class(verb)):
        part, grouped = _part(field), _is_group(field)
        if grouped and "." in word:
            yield from _group_keys(field.name, before) if field.name == group else ()
        elif part is not None:
            yield from (f"{field.name}.{name}" for name in _names(part))
        else:
            yield from (f"{field.name}=", f"{field.name}.") if grouped else (f"{field.name}=",)
    if _class(verb).__name__ == RUN[1]:
        yield "experiment="
    yield from (f"{name}=" for name in HYDRA.get(verb, ()))


def _group_keys(group: str, before: list[str]) -> Iterator[str]:
    """Settings of the option that was chosen; of every option if none was."""
    classes = plain.registry(group)
    chosen = [word.partition("=")[2] for word in before if word.startswith(f"{group}=")]
    for cls in [classes[name] for name in chosen if name in classes] or classes.values():
        yield from (f"{group}.{name}" for name in _names(cls))


def _names(cls: type[Any]) -> Iterator[str]:
    """`delta=`, `budget.patient=`: all settings of a class, those of its parts too."""
    for field in dataclasses.fields(cls):
        part = _part(field)
        if part is None:
            yield f"{field.name}="
        else:
            yield from (f"{field.name}.{name}" for name in _names(part))


def _values(verb: str, text: str, key: str) -> list[str]:
    if verb in SETTINGS and (key in plain.GROUPS or key == "experiment"):
        return _conf.options(key)
    told = [values.split("|") for name, values in VALUES.findall(text) if name == key]
    if told:
        return [value.strip() for values in told for value in values]
    field = _field(_class(verb), key) if verb in SETTINGS else None
    return ["false", "true"] if field is not None and field.type is bool else []


def _field(cls: type[Any], key: str) -> "dataclasses.Field[Any] | None":
    head, _, rest = key.partition(".")
    for field in dataclasses.fields(cls):
        if field.name == head:
            part = _part(field)
            return _field(part, rest) if part is not None and rest else field
    return None


def _class(verb: str) -> type[Any]:
    module, name = SETTINGS[verb]
    cls: type[Any] = getattr(importlib.import_module(module), name)
    return cls


def _part(field: "dataclasses.Field[Any]") -> type[Any] | None:
    """The class of a setting that has parts."""
    return field.type if dataclasses.is_dataclass(field.type) else None  # type: ignore[return-value]


def _is_group(field: "dataclasses.Field[Any]") -> bool:
    return field.name in plain.GROUPS and field.type is Any

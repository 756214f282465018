"""The parts of the reference that are read off the code: help texts, settings, signatures.

python docs/generated.py cli|configuration|codes|api|hospital_story     prints one as Markdown
"""

import ast
import dataclasses
import importlib
import inspect
import re
import sys
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import notebook
from omegaconf import DictConfig, OmegaConf

from fedpate import cli as command_line
from fedpate import config
from fedpate.federation import plain
from fedpate.federation.refusals import REASONS
from fedpate.federation.settings import Run

MARKER = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
FIELD = re.compile(r"^ *(\w+):(?! *$)[^#]*(?:# (.*))?$")  # of a class or a YAML file

# What a Python user may rely on: module -> names, in the order of the page.
API = {
    "fedpate.simulation": ("simulate",),
    "fedpate.result": ("Result", "load"),
    "fedpate.mechanisms": ("release",),
    "fedpate.accountant": ("Price", "price", "calibrate", "account", "plan", "audit"),
    "fedpate.privacy.accounting": (
        *("Guarantee", "guarantee", "bounds", "calibrate", "affordable", "as_dp_event"),
    ),
    "fedpate.privacy.events": ("Event", "compose", "repeated"),
    "fedpate.privacy.mechanism": ("Mechanism", "LocalMechanism", "GatedMechanism"),
    "fedpate.privacy.account": ("Account", "data_dependent", "sanitized"),
    "fedpate.privacy.plan": ("Question", "plan", "evaluate"),
    "fedpate.privacy.ledger": ("PrivacyLedger",),
    "fedpate.privacy.audit": ("audit_mechanism", "Audit"),
    "fedpate.privacy.canaries": ("one_run_audit", "membership_auc"),
    "fedpate.privacy.sensitivity": ("column_sensitivity",),
    "fedpate.privacy.vote_sensitivity": ("vote_sensitivity",),
    "fedpate.records": ("Votes", "Release"),
    "fedpate.learning.fitted_student": ("load_student",),
}


def fill_in(page: str) -> str:
    """A page with its markers replaced."""
    return MARKER.sub(lambda found: str(globals()[found[1]]()), page)


def cli() -> str:
    """Every verb's own help text."""
    parts = []
    for verb, does in command_line.VERBS.items():
        text = importlib.import_module(f"fedpate.commands.{verb}").HELP
        does = does[0].upper() + does[1:]
        parts.append(f"## fedpate {verb}\n\n{does}.\n\n" + _fenced("text", text))
    return "\n\n".join(parts)


def configuration() -> str:
    """Every setting of a run, then every option of every group."""
    config.register()
    composed = config.compose("config", [])
    notes = _notes((config.CONF / "config.yaml").read_text(encoding="utf-8"))
    parts = ["## Settings of a run", _table("", Run, composed, notes)]
    for group in plain.GROUPS:
        parts.append(f"## {group}\n")
        parts += [_option(group, name) for name in config.options(group)]
    experiments = [f"- `experiment={name}`" for name in config.options("experiment")]
    return "\n\n".join([*parts, "## experiment\n", "Several settings at once.", *experiments])


def codes() -> str:
    """Why a hospital did not answer."""
    rows = [f"| {int(code)} | `{code.name}` | {reason} |" for code, reason in REASONS.items()]
    return "\n".join(["| code | name | meaning |", "|---|---|---|", *rows])


def api() -> str:
    """Signatures and docstrings, as they are in the code."""
    parts = []
    for module, names in API.items():
        parts.append(f"## {module}")
        for name in names:
            item = getattr(importlib.import_module(module), name)
            parts.append(f"### {name}\n\n" + _fenced("python", "\n\n".join(_described(name, item))))
    return "\n\n".join(parts)


def hospital_story() -> str:
    """The notebook, run."""
    return notebook.to_markdown(Path(__file__).parent / "tutorials" / "hospital_story.py")


def _option(group: str, name: str) -> str:
    text = (config.CONF / group / f"{name}.yaml").read_text(encoding="utf-8")
    head = [line[2:] for line in text.splitlines() if line.startswith("# ")]
    words = " ".join(line for line in head if not line.startswith(("@", "  ")))
    examples = [line.strip() for line in head if line.startswith("  ")]
    cls = plain.registry(group)[name]
    values = config.compose("config", [f"{group}={name}"])[group]
    parts = [f"### {group}={name}", words]
    if examples:
        parts.append(_fenced("bash", "\n".join(examples)))
    if dataclasses.fields(cls):
        parts.append(_table(f"{group}.", cls, values, _notes(text)))
    return "\n\n".join(parts)


def _table(prefix: str, cls: type[Any], values: DictConfig, notes: dict[str, str]) -> str:
    defaults: Any = OmegaConf.to_container(values, throw_on_missing=False)
    rows = ["| setting | type | default | |", "|---|---|---|---|"]
    for cells in _rows(prefix, cls, defaults, notes):
        row = " | ".join(cell.replace("|", "or") for cell in cells)
        rows += [f"| {row} |"]
    return "\n".join(rows)


def _rows(
    prefix: str, cls: type[Any], defaults: dict[str, Any], notes: dict[str, str]
) -> Iterator[tuple[str, str, str, str]]:
    """(setting, type, default, note) of each field; a class of settings in place of a field too."""
    notes = {**_notes(inspect.getsource(cls)), **notes}
    for field in dataclasses.fields(cls):
        name = f"{prefix}{field.name}"
        if name in plain.GROUPS:
            continue
        if dataclasses.is_dataclass(field.type):
            yield from _rows(f"{name}.", field.type, defaults[field.name], notes)
        else:
            default = _typed(defaults[field.name])
            yield f"`{name}`", _type(field.type), default, notes.get(field.name, "")


def _type(annotation: Any) -> str:
    plain_name = isinstance(annotation, type) and not typing.get_args(annotation)
    name = annotation.__name__ if plain_name else str(annotation)
    return name.replace("None", "null").replace("tuple[int, ...]", "list of int")


def _typed(value: Any) -> str:
    """A value as a user would type it."""
    if value == "???":
        return "must be given"
    text = "null" if value is None else str(value)
    return f"`{text.lower() if isinstance(value, bool) else text}`"


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"


def _notes(source: str) -> dict[str, str]:
    """Setting -> the comment on its line, or the comment lines above it."""
    notes, above = {}, []
    for line in source.splitlines():
        if line.strip().startswith("#"):
            above.append(line.strip()[2:])
            continue
        found = FIELD.match(line)
        if found and (note := found[2] or " ".join(above)):
            notes[found[1]] = note
        above = []
    return notes


def _described(name: str, item: Any) -> Iterator[str]:
    """One object's signature and docstring, then those of its public methods."""
    if not inspect.isclass(item):
        yield f"{_header(name, item)}\n{_docstring(item)}"
        return
    fields = dataclasses.fields(item) if dataclasses.is_dataclass(item) else ()
    signature = ", ".join(field.name for field in fields)
    yield f"class {name}({signature}):\n{_docstring(item)}"
    for key, value in vars(item).items():
        if key.startswith("_"):
            continue
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if inspect.isfunction(function):
            mark = "@property\n" if isinstance(value, property) else ""
            yield f"{mark}{_header(key, function)}\n{_docstring(function)}"


def _header(name: str, function: Any) -> str:
    """The signature as the source writes it: with short names of types."""
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    if not isinstance(node, ast.FunctionDef):
        raise TypeError(f"{name} is not a plain function")
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"def {name}({ast.unparse(node.args)}){returns}:"


def _docstring(item: Any) -> str:
    lines = (inspect.getdoc(item) or "").splitlines()
    quoted = ['"""' + lines[0], *lines[1:]] if lines else ['"""']
    if len(quoted) == 1:
        quoted[0] += '"""'
    else:
        quoted.append('"""')
    return "\n".join(f"    {line}".rstrip() for line in quoted)


if __name__ == "__main__":
    sys.stdout.write(globals()[sys.argv[1]]() + "\n")

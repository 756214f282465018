"""Every command that a page or a help text shows is one that fedpate understands.

Those of the walk-through pages are also run (`test_walkthroughs`).
"""

import importlib
import itertools
import re

import pytest

import doc_pages
from fedpate import cli, config
from fedpate.commands import _arguments, _settings
from fedpate.errors import ConfigError

# Verbs composed over a small schema, without and with a file: configuration, class, groups.
SMALL = {
    ("account", True): ("account", "AccountSettings", ("mechanism",)),
    ("audit", False): ("audit", "AuditSettings", ("mechanism",)),
    ("audit", True): ("audit_run", "RunAuditSettings", ()),
    ("plan", False): ("plan", "PlanSettings", ()),
    ("sensitivity", True): ("sensitivity", "SensitivitySettings", ()),
}
SHOWN = [
    pytest.param(args, id=f"{doc_pages.name(page)}: {' '.join(args)}")
    for page in doc_pages.pages()
    for args in doc_pages.commands(page)
]


def understand(args: list[str]) -> None:
    """Parse and compose one command as its verb would; runs nothing."""
    if args[0] in ("--help", "--version"):
        return
    verb, rest = args[0], args[1:]
    assert verb in cli.VERBS
    module = importlib.import_module(f"fedpate.commands.{verb}")
    for option in [word.partition("=")[0] for word in rest if word.startswith("-")]:
        assert re.search(rf"(?<![\w-]){re.escape(option)}\b", f"{module.HELP} --help"), option
    if "--help" in rest:
        return
    if verb == "simulate":
        options = [word for word in _arguments.for_hydra(rest) if word.startswith("-")]
        _understand_run([word for word in rest if word not in (*options, "job")], "-m" in options)
    elif verb == "bundle" and rest:
        _understand_run(_settings.split(rest, "DIR")[1], sweep=False)
    elif verb in {known for known, _ in SMALL} and rest:
        file, overrides, _ = _settings.split(rest, "FILE", optional=True)
        name, schema, groups = SMALL[verb, file is not None]
        _settings.compose(name, getattr(module, schema), overrides, groups)


def _understand_run(words: list[str], sweep: bool) -> None:
    overrides = config.parse(words)
    choices = [
        list(override.sweep_string_iterator()) if override.is_sweep_override() else [None]
        for override in overrides
    ]
    assert sweep or all(choice == [None] for choice in choices)
    config.register()
    for values in itertools.product(*choices):
        point = [
            word if value is None else f"{override.key_or_group}={value}"
            for word, override, value in zip(words, overrides, values, strict=True)
            if not override.key_or_group.startswith("hydra.")
        ]
        config.build(config.compose("config", point), point)


@pytest.mark.parametrize("args", SHOWN)
def test_a_command_on_a_page_is_understood(args):
    understand(args)


@pytest.mark.parametrize("verb", cli.VERBS)
def test_the_examples_in_a_help_text_are_understood(verb):
    shown = doc_pages.examples(importlib.import_module(f"fedpate.commands.{verb}").HELP)
    assert shown
    for args in shown:
        assert args[0] == verb
        understand(args)


@pytest.mark.parametrize(
    "args",
    [
        ["simulate", "mechanism.noise=3"],
        ["simulate", "mechanism=gnmax,laplace"],
        ["simulate", "-m", "mechanism=gnmax,laplase"],
        ["bundle", "my-app", "hospitals=-1"],
        ["plan", "label=3"],
        ["account", "mechanism=gnmax"],
        ["ledger", "show", "account.sqlite", "--epsilon", "1"],
        ["ledgers", "show", "account.sqlite"],
    ],
    ids=" ".join,
)
def test_what_a_page_must_not_show_is_noticed(args):
    with pytest.raises((AssertionError, ConfigError, KeyError)):
        understand(args)


def test_commands_are_found_wherever_a_page_shows_them(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Ask `fedpate plan labels=5` first; `fedpate VERB --help` is no command.\n\n"
        "```bash\ncd x\nfedpate simulate \\\n    seed=1  # a comment\n```\n\n"
        "```text\nfedpate simulate: refused\n```\n\n    python3 run.py fedpate audit trials=5\n"
    )
    assert doc_pages.commands(page) == [
        ["simulate", "seed=1"],
        ["audit", "trials=5"],
        ["plan", "labels=5"],
    ]

"""Completion: what may stand at the cursor, and the real shells that ask for it."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli_runs import fedpate
from fedpate import _conf, cli
from fedpate.commands import completion
from fedpate.federation import plain

HEAVY = {"flwr", "hydra", "matplotlib", "omegaconf", "pandas", "rich", "sklearn", "torch"}


def offered(line: str) -> list[str]:
    done = fedpate("completion", "--line", line)
    assert done.code == 0
    return [text.partition("\t")[0] for text in done.out.splitlines()]


def test_every_verb_is_offered_with_what_it_does():
    lines = fedpate("completion", "--line", "fedpate ").out.splitlines()
    assert [f"{verb}\t{does}" for verb, does in cli.VERBS.items()] == lines[: len(cli.VERBS)]
    assert offered("fedpate sim") == ["simulate"]
    assert offered("fedpate nothing ") == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fedpate simulate mech", ["mechanism=", "mechanism."]),
        ("fedpate simulate mechanism=l", ["mechanism=laplace"]),
        ("fedpate simulate mechanism=laplace mechanism.", ["mechanism.noise_scale="]),
        ("fedpate simulate mechanism.flip", ["mechanism.flip_probability="]),
        ("fedpate simulate -m mechanism=gnmax,lap", ["mechanism=gnmax,laplace"]),
        ("fedpate simulate privacy.budget.p", ["privacy.budget.patient="]),
        ("fedpate simulate verbose=", ["verbose=false", "verbose=true"]),
        ("fedpate simulate audit.leave_one_out=t", ["audit.leave_one_out=true"]),
        (
            "fedpate simulate privacy.on_budget=",
            ["privacy.on_budget=stop", "privacy.on_budget=truncate"],
        ),
        ("fedpate simulate hydra.r", ["hydra.run.dir="]),
        (
            "fedpate simulate experiment=",
            [f"experiment={name}" for name in _conf.options("experiment")],
        ),
        ("fedpate simulate data=csv data.pat", ["data.path=", "data.patient="]),
        ("fedpate ledger ", ["show", "verify"]),
        ("fedpate ledger show --d", ["--delta"]),
        ("fedpate plan label", ["labels=", "label_accuracy="]),
        ("fedpate account v.npy privacy.d", ["privacy.delta="]),
        ("fedpate sensitivity a.csv query=v", ["query=votes"]),
        ("fedpate completion z", ["zsh"]),
        ("fedpate report some/dir", []),
    ],
)
def test_a_beginning_becomes_what_it_may_become(line, words):
    assert offered(line) == words


@pytest.mark.parametrize("group", plain.GROUPS)
def test_every_option_of_every_group_and_all_its_settings_are_offered(group):
    named = offered(f"fedpate simulate {group}=")
    assert named == [f"{group}={option}" for option in _conf.options(group)]
    for name, cls in plain.registry(group).items():
        shown = offered(f"fedpate simulate {group}={name} {group}.")
        assert shown == [f"{group}.{field.name}=" for field in dataclasses.fields(cls)]


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_offers_the_options_in_its_help(verb):
    assert "--help" in offered(f"fedpate {verb} --")
    if "--json" in fedpate(verb, "--help").out:
        assert "--json" in offered(f"fedpate {verb} --j")


def test_a_shell_that_asks_waits_for_nothing_heavy():
    code = (
        "import sys; from fedpate.cli import main\n"
        "for line in ('', 'simulate mech', 'simulate data=', 'simulate teacher.', 'plan '):\n"
        "    main(['completion', '--line', f'fedpate {line}'])\n"
        f"print('HEAVY', sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY ['rich']"


@pytest.mark.parametrize("shell", completion.SCRIPTS)
def test_a_script_is_one_that_its_shell_can_read(shell, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(fedpate("completion", shell).out)
    done = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_shell_and_another_shell_are_refused_in_a_line():
    assert "completion needs a shell: bash, zsh, fish" in fedpate("completion").err
    assert fedpate("completion", "tcsh").code == 2


ASK = """
source "$1"
COMP_LINE=$2 COMP_POINT=${#2} COMP_TYPE=9
[[ -n $3 ]] && COMP_WORDBREAKS=$3
_fedpate fedpate "" ""
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "breaks", "replies"),
    [
        ("fedpate sim", "", ["simulate"]),
        ("fedpate simulate privacy.del", "", ["privacy.delta="]),
        (
            "fedpate simulate mechanism=la",
            " =:",
            ["laplace"],
        ),  # bash has taken = for the word's end
        ("fedpate simulate mechanism=la", " :", ["mechanism=laplace"]),
        ("fedpate simulate nothing_like_it", "", [""]),
    ],
)
def test_bash_completes(tmp_path, line, breaks, replies):
    script, program = tmp_path / "completion.bash", tmp_path / "fedpate"
    script.write_text(fedpate("completion", "bash").out)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fedpate "$@"\n')
    program.chmod(0o755)
    root = str(Path(cli.__file__).parents[1])
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
    }
    done = subprocess.run(
        ["bash", "--norc", "-c", ASK, "bash", script, line, breaks],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.stdout.splitlines() == replies
    assert "compopt: not currently executing completion function" in done.stderr or not done.stderr

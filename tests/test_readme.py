"""README.md says what is so: its commands exist and compose, its demo is what the demo prints."""

import re
import shlex
from pathlib import Path

import pytest

from cli_runs import fedpate
from fedpate import cli, config

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.partition("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith(("python3 run.py", "fedpate"))
]


def test_the_two_commands_come_first():
    assert COMMANDS[:2] == ["python3 run.py demo", "python3 run.py test"]
    assert len(COMMANDS) >= 9


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_one_that_there_is(command):
    words = shlex.split(command.removeprefix("python3 run.py "))
    if words[0] != "fedpate":
        assert f'"{words[0]}": {words[0]}' in (ROOT / "run.py").read_text()
        return
    verb, *args = words[1:]
    assert verb in cli.VERBS
    overrides = [arg for arg in args if "=" in arg]
    if verb in ("simulate", "bundle"):
        config.register()
        config.build(config.compose("config", overrides), overrides)
    if "--help" in args:
        assert fedpate(verb, *args).code == 0


def test_the_demo_prints_what_the_readme_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shown = re.search(r"```text\n(.*?)```", README, re.DOTALL)[1].splitlines()
    printed = [line.rstrip() for line in fedpate("simulate").out.splitlines()]
    assert shown[0] == printed[0]

    def row(lines: list[str], name: str) -> list[str]:
        return next(line.split() for line in lines if line.strip().startswith(name))

    for unit in ("patient", "hospital"):  # the guaranteed price follows from the settings alone
        assert row(shown, f"{unit} ")[:3] == row(printed, f"{unit} ")[:3]
    for name in ("released labels", "student", "pooled training", "majority class"):
        assert len(row(shown, name)) == len(row(printed, name))


def test_the_lines_of_python_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lines = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    assert len([line for line in lines.splitlines() if line]) <= 12
    exec(compile(lines, "README.md", "exec"), {})
    assert "epsilon per patient 5.4" in capsys.readouterr().out
    assert (tmp_path / "run.png").stat().st_size > 10_000


def test_the_first_screen_has_what_a_newcomer_needs_in_this_order():
    places = [
        README.index(words)
        for words in (
            *(
                "PATE as a federation",
                "python3 run.py demo",
                "guaranteed epsilon",
                "import fedpate",
            ),
            *("## Who sees what", "## What we claim", "## Things to try", "## What happens"),
        )
    ]
    assert places == sorted(places)


def test_every_file_that_the_readme_names_is_there():
    for path in re.findall(r"`((?:tests|docs|experiments)/[\w./-]+)`", README):
        assert (ROOT / path).exists(), path


def test_the_trust_table_and_the_meaning_of_epsilon_are_there():
    for words in (
        "**Smaller epsilon is more private.**",
        "per patient",
        "per hospital",
        "trust=local",
        "No record, no model",
        "flwr run",
    ):
        assert words in README

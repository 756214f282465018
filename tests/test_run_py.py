"""run.py: refuses an old Python in words, sets up once, hands on exit codes and signals."""

import ast
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def run_py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, looking at a project folder of its own; commands are recorded, not run."""
    spec = importlib.util.spec_from_file_location("run_py", ROOT / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text(name)
    venv = tmp_path / ".venv"
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", venv)
    monkeypatch.setattr(module, "STAMP", venv / "stamp.json")
    monkeypatch.setattr(module, "PYTHON", venv / "python")
    return module


class Commands:
    """Stands in for `call`: notes what would run; `-m venv` and virtualenv make the folder."""

    def __init__(self, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: list[str] = []
        self.install_code = 0
        self.venv = module.VENV
        monkeypatch.setattr(module, "call", self)
        monkeypatch.setattr(module, "quiet_call", lambda command: True)

    def __call__(self, command: list[object], **_: object) -> int:
        words = [str(word) for word in command]
        if words[-1] == str(self.venv):
            self.venv.mkdir()
            (self.venv / "python").touch()
            self.ran.append(words[2])
        elif "--editable" in words:
            self.ran.append("install")
            return self.install_code
        else:
            self.ran.append(" ".join(words[2:4]))
        return 0


@pytest.fixture
def commands(run_py: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(run_py, monkeypatch)


def test_an_old_python_can_read_the_file_and_is_refused_in_words():
    source = (ROOT / "run.py").read_text()
    ast.parse(source, feature_version=(3, 6))
    code = (
        "import runpy, sys; sys.version_info = (3, 9, 2); sys.argv = ['run.py', 'demo'];"
        f"runpy.run_path({str(ROOT / 'run.py')!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "needs Python 3.11 or later" in done.stderr
    assert "this is Python 3.9.2" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_first_setup_says_what_it_costs_and_the_second_does_nothing(run_py, commands, capsys):
    run_py.setup()
    assert commands.ran == ["venv", "install"]
    assert "downloads about" in capsys.readouterr().err
    run_py.setup()
    assert commands.ran == ["venv", "install"]
    assert capsys.readouterr().err == ""


def test_changed_requirements_are_installed_into_the_environment_that_is_there(run_py, commands):
    run_py.setup()
    (run_py.ROOT / "constraints.txt").write_text("changed")
    run_py.setup()
    assert commands.ran == ["venv", "install", "install"]


def test_an_interrupted_installation_goes_on_where_it_stopped(run_py, commands):
    commands.install_code = 1
    with pytest.raises(run_py.SetupError, match="the same command tries again"):
        run_py.setup()
    commands.install_code = 0
    run_py.setup()
    assert commands.ran == ["venv", "install", "install"]


def test_another_python_or_a_moved_folder_gets_a_new_environment(run_py, commands):
    run_py.setup()
    for key, value in (("python", "3.10"), ("root", "/elsewhere")):
        run_py.write_stamp({**run_py.wanted_stamp(), key: value})
        commands.ran.clear()
        run_py.setup()
        assert commands.ran == ["venv", "install"]


def test_an_environment_that_the_user_made_is_kept_if_it_works(run_py, commands, monkeypatch):
    run_py.VENV.mkdir()
    (run_py.VENV / "python").touch()
    run_py.setup()
    assert commands.ran == ["install"]


def test_without_ensurepip_virtualenv_is_installed_into_a_folder(run_py, commands, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        run_py.importlib.util, "find_spec", lambda name: name != "ensurepip" and found(name)
    )
    run_py.setup()
    assert commands.ran == ["pip install", "virtualenv", "install"]


def test_without_ensurepip_and_pip_it_says_what_to_install(run_py, commands, monkeypatch):
    monkeypatch.setattr(run_py.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(run_py, "quiet_call", lambda command: False)
    with pytest.raises(run_py.SetupError, match="apt install python3-venv"):
        run_py.setup()


def test_an_unknown_verb_is_refused_before_anything_is_installed(run_py, commands, capsys):
    assert run_py.main(["dmeo"]) == 2
    assert commands.ran == []
    assert "no verb 'dmeo'" in capsys.readouterr().err


def test_exit_codes_and_signals_are_handed_on(run_py):
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert run_py.call([sys.executable, "-c", "raise SystemExit(7)"]) == 7
        kill_itself = "import os; os.kill(os.getpid(), 9)"
        assert run_py.call([sys.executable, "-c", kill_itself]) == 128 + 9
    finally:
        signal.signal(signal.SIGTERM, before)


def test_bytecode_is_written_whatever_the_environment_says(run_py, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    before = signal.getsignal(signal.SIGTERM)
    try:
        code = "import sys; raise SystemExit(int(sys.dont_write_bytecode))"
        assert run_py.call([sys.executable, "-c", code]) == 0
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_child_that_tidies_up_after_a_signal_is_waited_for(tmp_path, number):
    ready, tidied = tmp_path / "ready", tmp_path / "tidied"
    child = (
        "import signal, sys, time, pathlib\n"
        "def tidy(*_):\n"
        f"    time.sleep(1); pathlib.Path({str(tidied)!r}).touch(); sys.exit(5)\n"
        "signal.signal(signal.SIGINT, tidy); signal.signal(signal.SIGTERM, tidy)\n"
        f"pathlib.Path({str(ready)!r}).touch(); time.sleep(60)\n"
    )
    parent = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import run; "
        f"sys.exit(run.call([sys.executable, '-c', {child!r}]))"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], start_new_session=True)
    deadline = time.monotonic() + 30
    while not ready.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    if number == signal.SIGINT:  # Ctrl-C reaches every process of the terminal
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    assert process.wait(timeout=30) == 5
    assert tidied.exists()


def test_constraints_pin_every_dependency_and_name_no_place():
    text = (ROOT / "constraints.txt").read_text()
    line = re.compile(r"[a-z0-9][a-z0-9.-]*==[0-9][\w.+!]*( ; [\w\s.<>=!'()-]+)?")
    pins = [entry for entry in text.splitlines() if entry]
    assert [entry for entry in pins if not line.fullmatch(entry)] == []
    assert "torch==2.14.1" in pins
    assert "torchvision==0.29.2" in pins
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = sum(project["optional-dependencies"].values(), project["dependencies"])
    names = {re.match(r"[\w.-]+", entry)[0].lower() for entry in wanted} - {"fedpate"}
    assert names - {entry.partition("==")[0] for entry in pins} == set()

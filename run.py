"""Everything from a fresh clone, with nothing but Python >= 3.11 and pip.

    python3 run.py demo              ten simulated hospitals, end to end, in under a minute
    python3 run.py fedpate ARGS...   the command line, e.g. `fedpate simulate hospitals=20`
    python3 run.py test [ARGS...]    the tests; ARGS go to pytest
    python3 run.py lint              ruff, mypy, import-linter
    python3 run.py setup             only make .venv, or bring it up to date

The first call makes .venv and installs fedpate and what it needs into it; later calls skip what is
already right. Only the standard library is used here, and every Python 3 from 3.6 on can read this
file, so that an old one is refused in words and not with a syntax error.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "fedpate needs Python 3.11 or later (its federation runtime, Flower, does); this is Python "
        + ".".join(map(str, sys.version_info[:3]))
        + ". Call a newer one, for example: python3.11 run.py demo"
    )

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "fedpate-setup.json"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
LINTERS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("lint-imports", "--no-logo"),
)
# Measured on Linux x86-64 with Python 3.11, where PyTorch brings its GPU libraries along; elsewhere
# estimated.
LINUX_DOWNLOAD, LINUX_DISK = "3.4 GB", 7.0
OTHER_DOWNLOAD, OTHER_DISK = "0.6 GB", 2.5


class SetupError(Exception):
    """A step of the set-up failed; the message says what to do."""


def main(argv: list) -> int:
    """Run one verb; returns the exit code to end with."""
    verb, rest = (argv[0], argv[1:]) if argv else ("help", [])
    if verb in ("help", "-h", "--help"):
        print(__doc__)
        return 0
    if verb not in VERBS:
        print(f"run.py: no verb {verb!r}; there are {', '.join(VERBS)}", file=sys.stderr)
        return 2
    try:
        setup()
    except SetupError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1
    return VERBS[verb](rest)


def demo(rest: list) -> int:
    """The default simulation."""
    return call([BIN / "fedpate", "simulate", *rest], cwd=ROOT)


def fedpate(rest: list) -> int:
    """The command line, in the caller's own folder: paths mean what the caller means."""
    return call([BIN / "fedpate", *rest])


def test(rest: list) -> int:
    """Pytest on a few cores; one thread in each, or the workers get in each other's way."""
    workers = str(min(4, os.cpu_count() or 1))
    command = [PYTHON, "-m", "pytest", "-n", workers, "--dist", "worksteal", *rest]
    return call(command, cwd=ROOT, env={"OMP_NUM_THREADS": "1"})


def lint(_rest: list) -> int:
    """All linters, also after one has failed; the first failure's exit code."""
    codes = [call([BIN / linter[0], *linter[1:]], cwd=ROOT) for linter in LINTERS]
    return next((code for code in codes if code), 0)


VERBS = {"demo": demo, "fedpate": fedpate, "test": test, "lint": lint, "setup": lambda _rest: 0}


def setup() -> None:
    """Make .venv right: nothing to do, or bring it up to date, or build it anew.

    Raises:
      SetupError: no pip, no network, a failing installation.
    """
    wanted, found = wanted_stamp(), read_stamp()
    if found == wanted and PYTHON.exists():
        return
    # No stamp: an environment that the user made, good if it works. A moved folder is not: its
    # scripts begin with the old path.
    moved = found is not None and any(found.get(key) != wanted[key] for key in ("python", "root"))
    if moved or not works(wanted["python"]):
        announce()
        make_environment()
    else:
        print("run.py: bringing .venv up to date", file=sys.stderr)
    # Until the installation is complete the stamp says what this environment is for, not what it
    # holds: an interrupted set-up goes on where it stopped.
    write_stamp({**wanted, "packages": None})
    command = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check"]
    if found is not None and found.get("packages") and not moved:
        command.append("--quiet")  # little is new: no page of what is satisfied already
    command += ["--constraint", ROOT / "constraints.txt", "--editable", f"{ROOT}[dev]"]
    if call(command) != 0:
        raise SetupError("the installation failed (see above); the same command tries again")
    write_stamp(wanted)


def wanted_stamp() -> dict:
    """What the environment has to be: this Python, this folder, these packages."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return {
        "python": "{}.{}".format(*sys.version_info),
        "root": str(ROOT),
        "packages": digest.hexdigest(),
    }


def read_stamp() -> "dict | None":
    """What the environment was made for; None where there is none."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) else None


def write_stamp(stamp: dict) -> None:
    """Record what the environment is."""
    STAMP.write_text(json.dumps(stamp, indent=1) + "\n")


def works(python: str) -> bool:
    """Whether .venv holds a pip and this version of Python."""
    code = "import pip, sys; sys.exit('{}.{}'.format(*sys.version_info) != sys.argv[1])"
    return PYTHON.exists() and quiet_call([PYTHON, "-c", code, python])


def announce() -> None:
    """Say beforehand what the first set-up costs."""
    linux = sys.platform == "linux"
    download, disk = (LINUX_DOWNLOAD, LINUX_DISK) if linux else (OTHER_DOWNLOAD, OTHER_DISK)
    print(
        f"run.py: first set-up, once: downloads about {download} (PyTorch above all), takes about "
        f"{disk:g} GB on disk in {VENV} and 2 to 5 minutes",
        file=sys.stderr,
    )
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < disk:
        print(f"run.py: warning: only {free:.1f} GB are free there", file=sys.stderr)


def make_environment() -> None:
    """A fresh virtual environment, also where the system's Python came without `ensurepip`."""
    if VENV.is_dir():
        print(f"run.py: removing {VENV}, made for another Python or folder", file=sys.stderr)
        shutil.rmtree(VENV)
    if all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        if call([sys.executable, "-m", "venv", VENV]) != 0:
            raise SetupError(f"could not make a virtual environment in {VENV} (see above)")
        return
    if not quiet_call([sys.executable, "-m", "pip", "--version"]):
        raise SetupError(
            "this Python has neither ensurepip nor pip; install one of them, "
            "on Debian or Ubuntu: apt install python3-venv"
        )
    with tempfile.TemporaryDirectory() as folder:
        # Into a folder: system Pythons forbid pip to install for themselves, and rightly so.
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder]
        if call([*command, "virtualenv"], env={"PIP_REQUIRE_VIRTUALENV": "0"}) != 0:
            raise SetupError("could not install virtualenv (see above)")
        if call([sys.executable, "-m", "virtualenv", VENV], env={"PYTHONPATH": folder}) != 0:
            raise SetupError(f"could not make a virtual environment in {VENV} (see above)")


def call(command: list, cwd: "Path | None" = None, env: "dict | None" = None) -> int:
    """Run a command to its end and return its exit code; signals are the child's to handle.

    Ctrl-C reaches the child too (same terminal), which then tidies up: it is waited for, not
    killed. SIGTERM reaches this process only and is passed on.
    """
    environment = {**os.environ, **(env or {})}
    # Without bytecode, importing torchvision takes ten seconds each time.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    child = subprocess.Popen([str(part) for part in command], cwd=cwd, env=environment)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    while True:
        try:
            code = child.wait()
        except KeyboardInterrupt:
            continue
        return code if code >= 0 else 128 - code  # as a shell reports a signal


def quiet_call(command: list) -> bool:
    """Whether a command runs at all."""
    command = [str(part) for part in command]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)

"""A real federation on this machine, to try out: real kits, certificates and processes.

All lies in one folder: `kits/` as `fedpate provision` makes them, `data/` with example records,
`logs/`, and `poc.json`, which says what was started. The processes carry a random mark in their
environment that finds all of them again, also those that they started themselves.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fedpate.errors import ConfigError, EngineError
from fedpate.federation.deployment.control import Control
from fedpate.federation.deployment.example import deal
from fedpate.federation.deployment.supervisor import alone_with, free_port, import_path
from fedpate.federation.engines import processes
from fedpate.federation.kit import CoordinatorKit
from fedpate.federation.provision import files, kits
from fedpate.federation.provision.federation_file import Coordinator, FederationFile

FEDERATION, COORDINATOR = "poc", "coordinator"
STATE, LOCK = "poc.json", "lock"
MARK = "FEDPATE_POC_MARK"  # environment of all its processes
READY_S = 240.0  # for everybody to join, on a slow machine
STOP_S = 60.0  # for a side to end by itself
TICK_S = 0.5

Say = Callable[[str], None]


@dataclass(frozen=True)
class Poc:
    """What runs, or ran, in a folder."""

    folder: Path
    mark: str
    hospitals: tuple[str, ...]
    pids: dict[str, int]  # side -> the process that was started for it

    @classmethod
    def read(cls, folder: Path) -> "Poc | None":
        """What was started in a folder; None if nothing ever was.

        Raises:
          ConfigError: the file that says so is not ours.
        """
        try:
            found = json.loads((folder / STATE).read_text(encoding="utf-8"))
            return cls(folder, found["mark"], tuple(found["hospitals"]), dict(found["pids"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"--folder must hold a {STATE} of ours, got {folder}") from error

    def write(self) -> None:
        """Remember it for `stop` and `status`."""
        found = {"mark": self.mark, "hospitals": self.hospitals, "pids": self.pids}
        files.write(self.folder / STATE, json.dumps(found).encode(), files.SECRET)

    @property
    def home(self) -> CoordinatorKit:
        """The coordinator's kit."""
        return CoordinatorKit.read(self.folder / "kits" / COORDINATOR)

    def running(self) -> list[int]:
        """The ids of all its processes."""
        return processes.marked(self.mark, MARK)

    def joined(self) -> list[str]:
        """The hospitals that the coordinator sees; none while it does not answer."""
        try:
            with Control(self.home) as control:
                return sorted(node.name for node in control.nodes() if node.online)
        except (EngineError, ConfigError):  # not yet up, or no more
            return []

    def command(self) -> str:
        """The command line of a first run on it."""
        settings = (
            *("data=csv", f"data.path={self.folder / 'data' / 'public.csv'}", "data.label=label"),
            *("data.pool_fraction=0.6", "data.test_fraction=0.35", "teachers_per_hospital=3"),
            *("queries=40", "mechanism.noise_scale=5"),
        )
        return " ".join(["fedpate deploy", str(self.folder / "kits" / COORDINATOR), *settings])


def start(folder: Path, hospitals: int | None, say: Say) -> Poc:
    """Start a federation in a folder, or the one that was stopped there; returns when all joined.

    Args:
      folder: made if needed.
      hospitals: how many; None for 3, or as many as the folder has.
      say: is told what happens.

    Raises:
      ConfigError: one is running there already, or the folder is not ours.
      EngineError: a side ended, or not everybody joined in time; nothing is left running.
    """
    with alone_with(folder / LOCK, "--folder", folder):
        poc = _prepared(folder, hospitals)
        started: dict[str, subprocess.Popen[bytes]] = {}
        try:
            _start_all(poc, started, say)
        except BaseException:
            _end(poc)
            for process in started.values():
                process.wait()
            raise
    return poc


def stop(folder: Path) -> bool:
    """End all processes of a folder's federation; whether there were any. Files stay.

    Raises:
      ConfigError: nothing was ever started there.
    """
    poc = _known(folder)
    was_running = bool(poc.running())
    _end(poc)
    return was_running


def status(folder: Path) -> Poc:
    """What was started in a folder; raises ConfigError if nothing ever was."""
    return _known(folder)


def _known(folder: Path) -> Poc:
    poc = Poc.read(folder)
    if poc is None:
        raise ConfigError(f"--folder must hold what `fedpate poc start` has started, got {folder}")
    return poc


def _prepared(folder: Path, hospitals: int | None) -> Poc:
    """Kits and example records; those of a federation that was stopped are used again."""
    before = Poc.read(folder)
    if before is None:
        if any(path.name != LOCK for path in folder.iterdir()):
            raise ConfigError(f"--folder must be new or empty, got {folder}")
        names = tuple(f"hospital-{number + 1}" for number in range(hospitals or 3))
        place = Coordinator("127.0.0.1", *_ports(), names=("localhost",))
        kits.provision(FederationFile(FEDERATION, place, names), folder / "kits")
        deal(folder / "data", names)
    elif before.running():
        raise ConfigError(
            f"a federation is running in {folder} already: `fedpate poc status` says who is there, "
            "`fedpate poc stop` ends it"
        )
    elif hospitals not in (None, len(before.hospitals)):
        raise ConfigError(
            f"--hospitals must be {len(before.hospitals)} as in {folder}, got {hospitals}; "
            "remove the folder, or name another one, to begin anew"
        )
    else:
        names = before.hospitals
    return Poc(folder, processes.new_mark(), names, {})


def _ports() -> tuple[int, str, int]:
    """(port, where it listens, the SuperLink's port)."""
    return free_port(), "127.0.0.1", free_port()


def _start_all(poc: Poc, started: dict[str, subprocess.Popen[bytes]], say: Say) -> None:
    """Start the coordinator, then the hospitals, and wait for all of them."""
    say(f"starting a coordinator and {len(poc.hospitals)} hospitals")
    (poc.folder / "logs").mkdir(mode=0o700, exist_ok=True)
    poc.write()  # from now on `stop` finds them, whatever happens here
    started[COORDINATOR] = _spawn(poc, COORDINATOR)
    for name in poc.hospitals:
        records = poc.folder / "data" / f"{name}.csv"
        started[name] = _spawn(poc, name, "--data", str(records))
    poc.pids.update({name: process.pid for name, process in started.items()})
    poc.write()
    _wait(poc, started, say)


def _spawn(poc: Poc, name: str, *arguments: str) -> subprocess.Popen[bytes]:
    """One side, in a session of its own: it outlives this command."""
    verb, kit = "coordinator" if name == COORDINATOR else "hospital", poc.folder / "kits" / name
    with log_of(poc, name).open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - our own command line
            [sys.executable, "-P", "-m", "fedpate", verb, "start", str(kit), *arguments],
            env={**os.environ, MARK: poc.mark, "PYTHONPATH": import_path()},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def log_of(poc: Poc, side: str) -> Path:
    """What a side says."""
    return poc.folder / "logs" / f"{side}.log"


def _wait(poc: Poc, started: dict[str, subprocess.Popen[bytes]], say: Say) -> None:
    """Until everybody has joined."""
    deadline, seen = time.monotonic() + READY_S, set[str]()
    while len(seen) < len(poc.hospitals):
        for name, process in started.items():
            if process.poll() is not None:
                raise EngineError(f"{name} ended: {_last_line(log_of(poc, name))}")
        if time.monotonic() > deadline:
            missing = sorted(set(poc.hospitals) - seen)
            raise EngineError(
                f"{', '.join(missing)} did not join within {READY_S:g} s; "
                f"the logs are in {poc.folder / 'logs'}"
            )
        for name in poc.joined():
            if name not in seen:
                say(f"{name} joined")
                seen.add(name)
        time.sleep(TICK_S)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else f"it said nothing in {log}"


def _end(poc: Poc) -> None:
    """Ask every side to stop, wait, and end whatever is left."""
    sides = set(poc.pids.values()) & set(poc.running())
    for pid in sides:
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while sides & set(poc.running()) and time.monotonic() < deadline:
        time.sleep(TICK_S / 5)
    processes.end_marked(poc.mark, MARK)

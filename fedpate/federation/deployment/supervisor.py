"""The processes of one side of a federation: started, watched, started again, ended.

What a process prints goes to its own log file; what an operator needs to know is said in words on
stderr. No process survives the supervisor: it ends them, and if it is killed they end themselves.
"""

import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import fedpate
from fedpate.errors import ConfigError
from fedpate.federation.engines import processes
from fedpate.federation.kit import LOCK, STATE

log = logging.getLogger("fedpate")

GRACE_S = 15.0  # to end by itself after SIGTERM
TICK_S = 0.2
LARGEST_LOG = 10_000_000  # bytes; a bigger one is put aside at the next start
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    # Old ports, on every interface, that no proxy stands before.
    "FLWR_INTERNAL_GRPC_CONTROL_API": "0",
    "FLWR_INTERNAL_GRPC_FLEET_API": "0",
}


@dataclass
class Process:
    """One process that has to run."""

    name: str
    module: str  # of fedpate.federation.deployment
    arguments: Sequence[str]
    restart_s: float  # between its end and its next start
    log_file: Path
    running: subprocess.Popen[bytes] | None = None
    due: float = field(default=0.0)
    starts: int = 0


class Supervisor:
    """All processes of one kit; use it as `with supervising(kit.folder) as supervisor`."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / STATE
        self._mark = processes.new_mark()
        self._processes: list[Process] = []
        self._stopping = False
        self._environment = {
            **os.environ,
            **QUIET,
            processes.MARK: self._mark,
            "FLWR_HOME": str(self.state / "flwr"),
            "PYTHONPATH": import_path(),
        }

    def add(self, name: str, module: str, *arguments: str, restart_s: float) -> Process:
        """Start a process and keep it running."""
        folder = self.state / "logs"
        folder.mkdir(exist_ok=True, mode=0o700)
        log_file = folder / f"{name}.log"
        if log_file.exists() and log_file.stat().st_size > LARGEST_LOG:
            log_file.replace(log_file.with_suffix(".log.1"))
        process = Process(name, module, arguments, restart_s, log_file)
        self._processes.append(process)
        self._start(process)
        return process

    def watch(self) -> None:
        """Start again what has ended, when its time has come."""
        for process in self._processes:
            if process.running is None:
                if time.monotonic() >= process.due:
                    self._start(process)
            elif process.running.poll() is not None:
                log.warning(
                    "%s ended (%s); it starts again in %g s; its log: %s",
                    process.name,
                    _how(process.running.returncode),
                    process.restart_s,
                    process.log_file,
                )
                process.running = None
                process.due = time.monotonic() + process.restart_s

    def run(self, tick: Callable[[], None]) -> None:
        """Watch, and call `tick` now and then, until SIGTERM or Ctrl-C."""
        while not self._stopping:
            self.watch()
            tick()
            time.sleep(TICK_S)

    @property
    def stopping(self) -> bool:
        """Whether a signal has asked us to stop."""
        return self._stopping

    def stop(self) -> None:
        """End all processes, the last one started first; none is left."""
        for process in reversed(self._processes):
            if process.running is None:
                continue
            process.running.terminate()
            try:
                process.running.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                process.running.kill()
                process.running.wait()
        processes.end_marked(self._mark)

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Ask `run` to come to an end."""
        if not self._stopping:
            log.info("%s: stopping", signal.Signals(number).name)
        self._stopping = True

    def _start(self, process: Process) -> None:
        descriptor = os.open(process.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as output:
            process.running = subprocess.Popen(  # noqa: S603 - our own command line
                [
                    *(sys.executable, "-P", "-m"),
                    f"fedpate.federation.deployment.{process.module}",
                    *process.arguments,
                ],
                cwd=self.state,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is ours to handle
            )
        process.starts += 1


@contextmanager
def supervising(folder: Path) -> Iterator[Supervisor]:
    """A supervisor that has the kit to itself, hears SIGTERM and Ctrl-C, and leaves no process.

    Raises:
      ConfigError: the kit is in use, or its folder cannot be written.
    """
    with alone_with(folder / STATE / LOCK, "KIT", folder):
        supervisor = Supervisor(folder)
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, supervisor.on_signal) for number in numbers}
        try:
            yield supervisor
        finally:
            supervisor.stop()
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def alone_with(lock: Path, setting: str, folder: Path) -> Iterator[None]:
    """Inside, no other process is alone with the same lock file.

    Raises:
      ConfigError: one is, or the file cannot be written; `setting` names `folder` then.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(f"{setting} must be writable, got {lock}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                f"{setting} must not be in use by another process, got {folder}"
            ) from error
        yield
    finally:
        os.close(handle)


def import_path() -> str:
    """`PYTHONPATH` with which a process in any folder imports this fedpate."""
    roots = [str(Path(fedpate.__file__).resolve().parents[1])]
    roots += [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return os.pathsep.join(str(Path(root).resolve()) for root in roots)


@contextmanager
def saying_on_stderr() -> Iterator[None]:
    """Within it, fedpate's log is an operator's: time in UTC, and words."""
    handler = logging.StreamHandler()
    formatter = logging.Formatter("%(asctime)sZ %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    before = (log.handlers, log.level, log.propagate)
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.handlers, log.propagate = before[0], before[2]
        log.setLevel(before[1])


def require_free(setting: str, host: str, port: int) -> None:
    """Refuse a port that another process has.

    Raises:
      ConfigError: it cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"{setting} must be free on this machine, got {host} port {port}: {error.strerror}"
            ) from error


def free_port() -> int:
    """A port on loopback that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

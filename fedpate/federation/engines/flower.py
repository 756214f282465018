"""engine=flower: Flower's own simulation runtime (Ray), started, watched and stopped by us.

A SuperLink of our own on a free loopback port, with its own FLWR_HOME and Ray folder inside the
run's private work folder, runs the thin bundle. `flwr run` exits with 0 whatever happens: how the
run ended comes from the coordinator's own file, or from `flwr list`. While the run lasts, other
users of this machine who find the port could submit code: Flower's Control API is open on loopback.
"""

import json
import logging
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import fedpate
from fedpate.errors import EngineError
from fedpate.federation import bundle
from fedpate.federation.engines import processes
from fedpate.federation.job import Job, read_ending
from fedpate.federation.progress import Progress, replay
from fedpate.federation.run_directory import unpaid_leaves_nothing
from fedpate.federation.server_app import ENDING, PROGRESS

log = logging.getLogger(__name__)

CONNECTION = "fedpate"
START_S = 120.0  # a SuperLink's start on a slow machine
FOLLOW_S = 0.2
LIST_S = 10.0  # between two questions to Flower: each is a new process
LONGEST_RAY_FOLDER = 40  # characters
MOST_ACTORS = 8  # each takes 0.7 GB with torch
# Linux can end the SuperLink when we are killed without a chance to clean up; runs end with it.
ENDING_WITH_US = (
    [
        sys.executable,
        "-c",
        "import ctypes, os, signal, sys; "
        "ctypes.CDLL(None).prctl(1, signal.SIGTERM); "  # PR_SET_PDEATHSIG
        "os.execv(sys.argv[1], sys.argv[1:])",
    ]
    if sys.platform == "linux"
    else []
)
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def run(job: Job, run_file: Path, n_hospitals: int, progress: Progress) -> None:
    """Run a job on Flower's simulation runtime; no process is left behind.

    Raises:
      EngineError: Flower did not start, failed, or went away.
      FedPateError: what the coordinator raised.
    """
    assert job.folder is not None
    runtime = Runtime(job.folder / "flower")
    with unpaid_leaves_nothing(job.output):
        try:
            runtime.start()
            run_id = runtime.submit(run_file, _federation_config(job, n_hospitals))
            _follow(runtime, run_id, job.folder, progress)
        except EngineError:
            if job.run.verbose:
                log.error("Flower's log:\n%s", runtime.log())
            raise
        finally:
            runtime.end()


class Runtime:
    """One SuperLink in simulation mode, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mark = processes.new_mark()
        self._superlink: subprocess.Popen[bytes] | None = None
        self._run_ids: list[str] = []
        self._ray = _short(folder / "ray")
        self._port = _free_port()
        self._log_file = folder / "superlink.out"
        root = str(Path(fedpate.__file__).resolve().parents[1])
        python_path = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        scripts = str(Path(sys.executable).parent)
        self._environment = {
            **os.environ,
            **QUIET,
            processes.MARK: self._mark,
            "FLWR_HOME": str(folder / "home"),
            "RAY_TMPDIR": str(self._ray),
            "PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)]),
            "PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in python_path),
        }

    def start(self) -> None:
        """Start the SuperLink and wait until it answers."""
        for path in (self._folder / "home", self._folder / "bundle", self._ray):
            path.mkdir(parents=True, mode=0o700)
        config = f'[superlink]\ndefault = "{CONNECTION}"\n\n[superlink.{CONNECTION}]\n'
        config += f'address = "127.0.0.1:{self._port}"\ninsecure = true\n'
        (self._folder / "home" / "config.toml").write_text(config, encoding="utf-8")
        arguments = ["--insecure", "--simulation", "--isolation", "subprocess"]
        arguments += ["--host", "127.0.0.1", "--port", str(self._port)]
        with self._log_file.open("wb") as output:
            self._superlink = subprocess.Popen(  # noqa: S603 - our own command line
                [*ENDING_WITH_US, self._script("flower-superlink"), *arguments],
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is ours to handle
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            self.require_alive()
            if time.monotonic() > deadline:
                raise EngineError(f"Flower's SuperLink did not answer within {START_S:g} s")
            time.sleep(FOLLOW_S)

    def submit(self, run_file: Path, federation_config: str) -> str:
        """`flwr run` the thin bundle; returns the run's id."""
        bundle.write(self._folder / "bundle", run_file)
        answer = self._flwr(
            "run",
            str(self._folder / "bundle"),
            CONNECTION,
            *("--federation-config", federation_config),
        )
        self._run_ids.append(str(answer["run-id"]))
        return self._run_ids[-1]

    def status(self, run_id: str) -> str:
        """What `flwr list` says, such as "running" or "finished:failed"."""
        runs = self._flwr("list", CONNECTION, "--run-id", run_id)["runs"]
        return str(runs[0]["status"])

    def require_alive(self) -> None:
        """Raise EngineError if the SuperLink has ended."""
        code = self._superlink.poll() if self._superlink else None
        if code is not None:
            raise EngineError(
                f"Flower's SuperLink ended with exit code {code}; verbose=true shows its log"
            )

    def end(self) -> None:
        """End the SuperLink and everything that it started."""
        processes.end_marked(self._mark)
        if self._superlink is not None:
            self._superlink.wait()
        shutil.rmtree(self._ray, ignore_errors=True)

    def log(self) -> str:
        """All that the SuperLink and the runs on it have printed."""
        printed = self._log_file.read_text(encoding="utf-8", errors="replace")
        for run_id in self._run_ids:
            printed += self._command("log", run_id, CONNECTION, "--show").stdout
        return printed

    def _answers(self) -> bool:
        try:
            with closing(
                urllib.request.urlopen(f"http://127.0.0.1:{self._port}/health", timeout=2)
            ) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _flwr(self, *arguments: str) -> dict[str, Any]:
        done = self._command(*arguments, "--format", "json")
        try:
            answer: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
        except ValueError:
            answer = {}
        if done.returncode or not answer.get("success"):
            log.debug("flwr %s: %s %s", arguments[0], done.stdout, done.stderr)
            raise EngineError(f"`flwr {arguments[0]}` failed with exit code {done.returncode}")
        return answer

    def _command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own command line
            [self._script("flwr"), *arguments],
            env=self._environment,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def _script(self, name: str) -> str:
        path = shutil.which(name, path=self._environment["PATH"])
        if path is None:
            raise EngineError(f"engine=flower needs the command {name}: install flwr[simulation]")
        return path


def _follow(runtime: Runtime, run_id: str, folder: Path, progress: Progress) -> None:
    """Show progress until the coordinator has ended; raises what it raised."""
    offset, asked = 0, time.monotonic()
    while True:
        ended = (folder / ENDING).exists()
        offset = replay(folder / PROGRESS, offset, progress)
        if ended:
            read_ending(folder / ENDING)
            return
        runtime.require_alive()
        if time.monotonic() > asked + LIST_S:
            status = runtime.status(run_id)
            if status.startswith("finished") and not (folder / ENDING).exists():
                raise EngineError(
                    f"Flower says that the run is {status!r}, the coordinator says nothing; "
                    "verbose=true shows the log"
                )
            asked = time.monotonic()
        time.sleep(FOLLOW_S)


def _federation_config(job: Job, n_hospitals: int) -> str:
    actors = max(1, min(os.cpu_count() or 1, n_hospitals, MOST_ACTORS))
    gpus = 1 / actors if job.run.device.startswith("cuda") else 0.0
    return bundle.federation_config(n_hospitals, actors, gpus)


def _short(folder: Path) -> Path:
    """A path under which Ray's sockets have names that fit: Unix allows about 100 characters."""
    if len(str(folder)) <= LONGEST_RAY_FOLDER:
        return folder
    return Path("/tmp") / f"fedpate-ray-{secrets.token_hex(4)}"  # noqa: S108 - made with mode 0700


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])

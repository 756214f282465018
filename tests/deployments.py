"""A real federation on this machine's loopback: real kits, real certificates, real processes."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE

from fedpate.federation.kit import CoordinatorKit, HospitalKit
from fedpate.federation.provision import kits
from fedpate.federation.provision.federation_file import Coordinator, FederationFile

PATIENCE_S = 100.0  # for a machine that has other things to do


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for listener in sockets:
        listener.bind(("127.0.0.1", 0))
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def provision(folder, *hospitals, **coordinator):
    """Kits of a federation on free ports; returns its file."""
    port, superlink_port = free_ports(2)
    place = Coordinator("127.0.0.1", port, "127.0.0.1", superlink_port, **coordinator)
    return provision_at(place, folder, *hospitals)


def provision_at(place, folder, *hospitals):
    """Kits of a federation whose coordinator is there; returns its file."""
    wanted = FederationFile("try-out", place, hospitals)
    kits.provision(wanted, folder)
    return wanted


class Running:
    """One `fedpate` command that runs until it is told to stop."""

    def __init__(self, log, *args, within=()):
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*within, sys.executable, "-m", "fedpate", *map(str, args)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def text(self):
        return self.log.read_text()

    def wait_for(self, words, times=1):
        deadline = time.monotonic() + PATIENCE_S
        while self.text().count(words) < times:
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, f"no {words!r} in:\n{self.text()}"
            time.sleep(0.1)

    def wait(self):
        """Its exit code, when it has ended by itself."""
        return self.process.wait(PATIENCE_S)

    def stop(self, sign=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(sign)
        return self.process.wait(PATIENCE_S)


class Federation:
    """A provisioned federation whose sides can be started and stopped."""

    def __init__(self, folder, *hospitals):
        self.folder = folder
        self.out = folder / "kits"
        self.file = self.provision(*hospitals)
        self.home = CoordinatorKit.read(self.out / "coordinator")
        self.data = folder / "records.csv"
        rows = "".join(f"{row % 2},{row}\n" for row in range(40))
        self.data.write_text(f"label,x\n{rows}")
        self.started = []

    def provision(self, *hospitals):
        return provision(self.out, *hospitals)

    def within(self, name):
        """What stands before the command line of this side: where it runs."""
        return ()

    def kit(self, name):
        return HospitalKit.read(self.out / name)

    def coordinator(self):
        running = self._start("coordinator", "coordinator", "start", self.home.folder)
        running.wait_for("is ready")
        return running

    def hospital(self, name, data=None):
        kit = self.out / name
        return self._start(name, "hospital", "start", kit, "--data", data or self.data)

    def command(self, *args):
        return self._start(args[0], *args)

    def _start(self, name, *args):
        log = self.folder / f"{name}-{len(self.started)}.out"
        running = Running(log, *args, within=self.within(name))
        self.started.append(running)
        return running

    def outside(self, method, path, headers=None, content=b""):
        return self._ask(self.home.port, method, path, headers, content)

    def inside(self, method, path, headers=None, content=b""):
        return self._ask(self.home.superlink_port, method, path, headers, content)

    def _ask(self, port, method, path, headers, content):
        return httpx.request(
            method,
            f"https://127.0.0.1:{port}{path}",
            headers={"content-type": PROTOBUF_MEDIA_TYPE, **(headers or {})},
            content=content,
            verify=ssl.create_default_context(cafile=str(self.home.folder / "ca.crt")),
            timeout=30,
        )

    def processes(self):
        """The ids of all processes that work on these kits."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if (
                        str(self.out).encode()
                        in (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                    ):
                        found.append(int(entry.name))
        return found

    def require_no_process(self):
        deadline = time.monotonic() + 20
        while self.processes():
            assert time.monotonic() < deadline, self.processes()
            time.sleep(0.2)

    def stop(self):
        for running in reversed(self.started):
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.stop()
        for pid in self.processes():  # only if a test failed
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

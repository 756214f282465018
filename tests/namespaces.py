"""Several hosts on this machine: network namespaces whose cables end in one switch (root only)."""

import contextlib
import ctypes
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

import pytest

from deployments import Federation, provision_at
from fedpate.federation.provision.federation_file import Coordinator

NETWORK = "10.77.0."
NUMBERS = count()  # a process may have several networks
ETH_P_ALL, ETH_P_IP, TCP = 3, 0x0800, 6
CLONE_NEWNET = 0x40000000
HANDSHAKE, APPLICATION = 22, 23  # types of TLS records


@cache
def why_not() -> str | None:
    """What this machine lacks; None if it can be several hosts."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need `ip` (iproute2)"
    probe = f"fedpate-{os.getpid()}-probe"
    try:
        ip("netns", "add", probe)
        ip("-n", probe, "link", "add", "switch", "type", "bridge")
    except subprocess.CalledProcessError as error:
        return f"network namespaces cannot be made here: {error.stderr.strip()}"
    finally:
        subprocess.run(["ip", "netns", "delete", probe], capture_output=True, check=False)
    return None


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Hosts:
    """Hosts by name; the first one has the address 10.77.0.1."""

    def __init__(self) -> None:
        if (reason := why_not()) is not None:
            pytest.skip(reason)
        self.addresses: dict[str, str] = {}
        self._mark = f"fedpate-{os.getpid()}-{next(NUMBERS)}"
        self._switch = self._namespace("switch")
        ip("-n", self._switch, "link", "add", "switch", "type", "bridge")
        ip("-n", self._switch, "link", "set", "switch", "up")

    def add(self, name: str) -> None:
        """A host with its cable plugged in."""
        number, space = len(self.addresses) + 1, self._namespace(name)
        port = f"port{number}"
        peer = ("peer", "name", port, "netns", self._switch)
        ip("link", "add", "cable", "netns", space, "type", "veth", *peer)
        ip("-n", self._switch, "link", "set", port, "master", "switch", "up")
        ip("-n", space, "address", "add", f"{NETWORK}{number}/24", "dev", "cable")
        ip("-n", space, "link", "set", "lo", "up")
        ip("-n", space, "link", "set", "cable", "up")
        self.addresses[name] = f"{NETWORK}{number}"

    def within(self, name: str) -> list[str]:
        """What to write before a command line that this host is to run."""
        return ["ip", "netns", "exec", self._name(name)]

    def cable(self, name: str, state: str) -> None:
        """Cut a host's cable (`down`) or mend it (`up`), at the switch."""
        number = list(self.addresses).index(name) + 1
        ip("-n", self._switch, "link", "set", f"port{number}", state)

    @contextlib.contextmanager
    def listening(self, name: str) -> Iterator["Capture"]:
        """Hears what goes through a host's cable while inside."""
        capture = Capture(self._packet_socket(name))
        reader = threading.Thread(target=capture.read)
        reader.start()
        try:
            yield capture
        finally:
            capture.ended.set()
            reader.join()

    def close(self) -> None:
        """Nothing of it is left; cables go with their namespaces."""
        for name in ("switch", *self.addresses):
            command = ["ip", "netns", "delete", self._name(name)]
            subprocess.run(command, capture_output=True, check=False)

    def _name(self, host: str) -> str:
        return f"{self._mark}-{host}"

    def _namespace(self, host: str) -> str:
        ip("netns", "add", self._name(host))
        return self._name(host)

    def _packet_socket(self, host: str) -> socket.socket:
        """Made in a thread of its own: a namespace is entered by a thread, not by a process."""
        made = []

        def enter() -> None:
            with (Path("/run/netns") / self._name(host)).open() as space:
                if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            made.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)))

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        made[0].bind(("cable", 0))
        made[0].settimeout(0.1)
        return made[0]


@dataclass(frozen=True)
class End:
    """One end of a connection."""

    address: str
    port: int


class Capture:
    """The TCP segments that were heard, by direction."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener, self.ended = listener, threading.Event()
        self.segments: defaultdict[tuple[End, End], list[tuple[int, bytes]]] = defaultdict(list)
        self.others: set[int] = set()  # IP protocols that are not TCP

    def read(self) -> None:
        """Until `ended`."""
        with self._listener:
            while not self.ended.is_set():
                with contextlib.suppress(TimeoutError):
                    self._take(self._listener.recv(1 << 17))

    def _take(self, frame: bytes) -> None:
        if int.from_bytes(frame[12:14]) != ETH_P_IP:  # ARP, and IPv6 looking for neighbours
            return
        packet = frame[14:]
        header, length = 4 * (packet[0] & 15), int.from_bytes(packet[2:4])
        if packet[9] != TCP:
            self.others.add(packet[9])
            return
        source, target = (socket.inet_ntoa(packet[at : at + 4]) for at in (12, 16))
        segment = packet[header:length]
        from_port, to_port, sequence = struct.unpack("!HHI", segment[:8])
        data = segment[4 * (segment[12] >> 4) :]
        if data:
            ends = End(source, from_port), End(target, to_port)
            self.segments[ends].append((sequence, data))

    def streams(self) -> dict[tuple[End, End], bytes]:
        """What each direction of each connection said, in order, once."""
        found = {}
        for ends, segments in self.segments.items():
            start, stream = segments[0][0], bytearray()
            for sequence, data in segments:
                at = (sequence - start) % (1 << 32)
                if at <= len(stream):  # else a hole, or what was sent before the capture began
                    stream[at : at + len(data)] = data
            found[ends] = bytes(stream)
        return found


def tls_records(stream: bytes) -> list[int]:
    """The types of the TLS records that a stream consists of; fails if it is anything else."""
    types, at = [], 0
    while at + 5 <= len(stream):
        kind, major, _, length = struct.unpack("!BBBH", stream[at : at + 5])
        assert kind in range(20, 24), f"no TLS record at byte {at} of {len(stream)}"
        assert major == 3
        types.append(kind)
        at += 5 + length
    return types


def require_tls_to_one_port(capture: Capture, client: str, server: str, port: int) -> None:
    """All that was heard are TLS connections of `client` to one port of `server`."""
    streams = capture.streams()
    assert len(streams) >= 2
    for ends, stream in streams.items():
        (there, here) = ends if ends[0].address == server else ends[::-1]
        assert (there, here.address) == (End(server, port), client)
        records = tls_records(stream)
        assert records[0] == HANDSHAKE
        assert APPLICATION in records
    assert not capture.others  # no question to a name server, no ping


class SpreadFederation(Federation):
    """A federation whose coordinator and hospitals are hosts of their own."""

    def __init__(self, folder: Path, *hospitals: str) -> None:
        self.hosts = Hosts()
        for name in ("coordinator", *hospitals):
            self.hosts.add(name)
        super().__init__(folder, *hospitals)

    def provision(self, *hospitals: str):
        address = self.hosts.addresses["coordinator"]
        return provision_at(Coordinator(address, 9092, address, 9091), self.out, *hospitals)

    def within(self, name: str) -> list[str]:
        return self.hosts.within(name if name in self.hosts.addresses else "coordinator")

    def stop(self) -> None:
        super().stop()
        self.hosts.close()

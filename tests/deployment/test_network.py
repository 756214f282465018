"""Coordinator and hospital on different hosts: what is in the cable, and a cable that is cut."""

import subprocess
import sys
import time
from subprocess import PIPE

import pytest

from faults import PATIENCE_S, until
from fedpate.data.federated import federate
from fedpate.data.partition import PARTITIONS
from fedpate.data.sources import SOURCES
from heart_sites import SEED, SETTINGS, TEACHERS, labels, lay_out_heart_files
from namespaces import End, Hosts, SpreadFederation, require_tls_to_one_port, tls_records

pytestmark = pytest.mark.processes

CUT_S = 30.0


@pytest.fixture(scope="module")
def capture_and_federation(tmp_path_factory):
    """The cable of north, heard from before its start; and its federation."""
    federation = SpreadFederation(tmp_path_factory.mktemp("network"), "north")
    try:
        coordinator = federation.coordinator()
        with federation.hosts.listening("north") as capture:
            federation.hospital("north")
            coordinator.wait_for("north joined")
            yield capture, federation
    finally:
        federation.stop()


def test_only_tls_to_the_coordinators_one_port_goes_through_the_cable(capture_and_federation):
    capture, federation = capture_and_federation
    here, there = (federation.hosts.addresses[name] for name in ("north", "coordinator"))
    assert here != there
    require_tls_to_one_port(capture, here, there, federation.home.port)
    everything = b"".join(capture.streams().values())
    for readable in (b"/v1/fleet", b"HTTP/", b"north", b"fedpate", b"flwr-"):
        assert readable not in everything


def test_a_cable_that_was_cut_for_half_a_minute_is_told_and_the_hospital_rejoins(
    capture_and_federation,
):
    _, federation = capture_and_federation
    coordinator, north = federation.started
    federation.hosts.cable("north", "down")
    time.sleep(CUT_S)
    coordinator.wait_for("north left")
    north.wait_for("is away; trying again")
    federation.hosts.cable("north", "up")
    coordinator.wait_for("north joined", times=2)
    north.wait_for("the coordinator is back")
    assert north.text().count("it starts again") == 0


@pytest.mark.data
@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")  # Flower's builder
def test_four_hospitals_on_four_hosts_give_the_labels_of_the_simulation(tmp_path, data_root):
    """Provisioned, started and asked as on separate machines; the cable of one is listened to."""
    files = lay_out_heart_files(data_root, tmp_path)
    federation = SpreadFederation(tmp_path, *files)
    hosts, root = federation.hosts, f"data.root={data_root}"
    try:
        federation.coordinator()
        simulated, deployed = tmp_path / "simulated", tmp_path / "deployed"
        with hosts.listening("hospital-0") as capture:
            for name, path in files.items():
                federation.hospital(name, path)
            one = federation.command(
                "simulate", *SETTINGS, root, "partition=natural", f"hydra.run.dir={simulated}"
            )
            assert one.process.wait(PATIENCE_S) == 0, one.text()
            run = federation.command(
                "deploy", federation.home.folder, *SETTINGS, root, f"hydra.run.dir={deployed}"
            )
            assert run.process.wait(PATIENCE_S) == 0, run.text()
        assert labels(deployed) == labels(simulated)
        addresses = hosts.addresses
        assert len(set(addresses.values())) == 5
        require_tls_to_one_port(
            capture, addresses["hospital-0"], addresses["coordinator"], federation.home.port
        )
        heard = b"".join(capture.streams().values())
        assert len(heard) > 20_000  # the questions and the votes went by
        assert b"\x93NUMPY" not in heard  # how arrays begin: questions, query ids, votes
        for row in asked_records(data_root):
            assert row not in heard
    finally:
        federation.stop()


def asked_records(data_root):
    """The bytes of every record that may have been asked about, as they are in a message."""
    data = federate(
        SOURCES["heart_disease"](str(data_root)), PARTITIONS["natural"](), None, TEACHERS, SEED
    )
    return [row.tobytes() for row in data.pool().features]


WAITS = """
import socket
with socket.create_server(("10.77.0.2", 9)) as server:
    print("ready", flush=True)
    server.accept()[0].recv(100)
"""
SENDS = "import socket; socket.create_connection(('10.77.0.2', 9)).sendall(b'north: \\x93NUMPY')"


def test_what_is_readable_would_be_heard():
    """The same ears, where two hosts speak plainly."""
    hosts = Hosts()
    try:
        hosts.add("coordinator")
        hosts.add("north")
        python = [sys.executable, "-S", "-c"]
        with hosts.listening("coordinator") as capture:
            waiting = subprocess.Popen([*hosts.within("north"), *python, WAITS], stdout=PIPE)
            with waiting:
                assert waiting.stdout.readline() == b"ready\n"
                subprocess.run([*hosts.within("coordinator"), *python, SENDS], check=True)
            until(lambda: capture.segments, "nothing was heard")
        ((ends, stream),) = capture.streams().items()
        assert ends[1] == End("10.77.0.2", 9)
        assert stream == b"north: \x93NUMPY"
        with pytest.raises(AssertionError, match="no TLS record at byte 0"):
            tls_records(stream)
    finally:
        hosts.close()

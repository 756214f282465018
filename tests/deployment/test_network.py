"""Coordinator and hospital on different hosts: what is in the cable, and a cable that is cut."""

import time

import pytest

from namespaces import APPLICATION, HANDSHAKE, SpreadFederation, tls_records

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
    streams = capture.streams()
    assert len(streams) >= 2
    for (source, target), stream in streams.items():
        server, client = sorted((source, target), key=lambda end: end.address)
        assert (server.address, server.port) == (there, federation.home.port)
        assert client.address == here
        records = tls_records(stream)
        assert records[0] == HANDSHAKE
        assert APPLICATION in records
    assert not capture.others  # no question to a name server, no ping
    everything = b"".join(streams.values())
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

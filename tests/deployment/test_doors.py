"""A real federation under attack, on loopback: real processes, certificates and keys."""

import datetime as dt
import os
import signal
import stat
import time
from pathlib import Path

import httpx
import pytest
from flwr.proto.control_pb2 import ListNodesResponse
from flwr.proto.fleet_pb2 import ActivateNodeRequest, RegisterNodeFleetRequest
from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES

from cli_runs import fedpate
from deployments import Federation
from fedpate.federation.deployment import door_check
from fedpate.federation.deployment.proxy import REFUSED
from fedpate.federation.deployment.signatures import public_pem, sign
from fedpate.federation.doors import PATHS
from fedpate.federation.provision import authority, kits

pytestmark = pytest.mark.processes

CONTROL = sorted(path for _, path in PROTOBUF_REQUEST_TYPES if path.startswith("/v1/control/"))
RUNTIME = sorted(path for _, path in PROTOBUF_REQUEST_TYPES if path.startswith("/v1/runtime/"))
# Flower answers these to anybody: how one would log in, were there accounts.
LOGIN = {"get-login-details", "get-auth-tokens", "refresh-auth-tokens"}


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """One coordinator with one of its three hospitals."""
    federation = Federation(tmp_path_factory.mktemp("doors"), "north", "south", "east")
    try:
        coordinator = federation.coordinator()
        federation.hospital("north")
        coordinator.wait_for("north joined")
        yield federation
    finally:
        federation.stop()


def stranger(tmp_path):
    """A key that nobody admitted, and its public half."""
    key = tmp_path / "stranger.key"
    key.write_bytes(authority.node_key())
    (tmp_path / "stranger.pub").write_bytes(authority.public_line(key.read_bytes(), "stranger"))
    return key, public_pem(tmp_path / "stranger.pub")


def now():
    return dt.datetime.now(dt.UTC)


def test_from_outside_there_is_no_control_and_no_runtime(federation):
    assert len(CONTROL) > 20
    assert len(RUNTIME) > 15
    for path in [*CONTROL, *RUNTIME, "/v1/fleet/register-node", "/v1/fleet/unregister-node"]:
        assert federation.outside("POST", path).status_code == 404, path
    for path in ("/", "/health", "/docs", "/openapi.json", "/v1/runtime/responses"):
        for method in ("GET", "POST"):
            assert federation.outside(method, path).status_code == 404, path


def test_from_outside_a_stranger_gets_in_nowhere(federation, tmp_path):
    key, public = stranger(tmp_path)
    for path in PATHS:
        assert federation.outside("POST", path).headers[REFUSED] == "signature"
    body = ActivateNodeRequest(public_key=public, heartbeat_interval=30).SerializeToString()
    answer = federation.outside("POST", "/v1/fleet/activate-node", sign(key, now()), body)
    assert (answer.status_code, answer.headers[REFUSED]) == (401, "key")
    body = RegisterNodeFleetRequest(public_key=public).SerializeToString()
    answer = federation.outside("POST", "/v1/fleet/register-node", sign(key, now()), body)
    assert answer.status_code == 404


def test_a_hospital_cannot_speak_for_another(federation):
    body = ActivateNodeRequest(
        public_key=public_pem(federation.home.nodes / "south.pub"), heartbeat_interval=30
    ).SerializeToString()
    signed = sign(federation.out / "north/node.key", now())
    assert federation.outside("POST", "/v1/fleet/activate-node", signed, body).status_code == 401


def test_a_local_user_without_the_secret_gets_401(federation, tmp_path):
    for path in CONTROL:
        if path.rpartition("/")[2] not in LOGIN:
            for headers in ({}, {"authorization": "Basic 00"}, {"authorization": "Bearer 00"}):
                answer = federation.inside("POST", path, headers=headers)
                assert answer.status_code == 401, (path, answer.text)
    for path in RUNTIME:
        assert federation.inside("POST", path).status_code in (401, 403), path
    key, public = stranger(tmp_path)
    body = RegisterNodeFleetRequest(public_key=public).SerializeToString()
    answer = federation.inside("POST", "/v1/fleet/register-node", sign(key, now()), body)
    assert 400 <= answer.status_code < 500


def test_the_coordinator_with_its_secret_is_let_in(federation):
    secret = (federation.home.folder / "state/control.secret").read_text()
    headers = {"authorization": f"Bearer {secret}"}
    answer = federation.inside("POST", "/v1/control/list-nodes", headers=headers)
    assert answer.status_code == 200
    nodes = ListNodesResponse.FromString(answer.content).nodes_info
    assert {node.name: node.status == "online" for node in nodes}["north"]
    assert federation.outside("POST", "/v1/control/list-nodes", headers).status_code == 404


def test_a_hospital_s_own_runtime_is_closed_to_local_users_too(federation):
    executor = next(
        line
        for line in map(command_line, federation.processes())
        if any("client_executor" in word for word in line)
    )
    for path in RUNTIME:
        answer = httpx.post(
            f"http://127.0.0.1:{int(executor[-1])}{path}",
            headers={"content-type": "application/protobuf"},
        )
        assert answer.status_code in (401, 403), path


def test_both_listen_where_they_should_and_nowhere_else(federation):
    loopback = {federation.home.superlink_port, federation.home.port}
    listening = {
        address
        for pid in federation.processes()
        for address in listeners(pid)
        if command_line(pid) and "superlink" in " ".join(command_line(pid))
    }
    assert {port for _, port in listening} & loopback == {federation.home.superlink_port}
    assert {host for host, _ in listening} == {"0100007F"}  # 127.0.0.1


def test_no_secret_is_in_a_command_line_or_a_log(federation):
    secrets = [path.read_text() for path in federation.out.rglob("*.secret")]
    for key in federation.out.rglob("*.key"):
        secrets += key.read_text().splitlines()[1:-1]
    assert len(secrets) > 20
    told = [" ".join(command_line(pid)) for pid in federation.processes()]
    assert len(told) >= 7
    told += [path.read_text() for path in federation.out.rglob("*.log")]
    told += [running.text() for running in federation.started]
    for secret in secrets:
        assert not any(secret in text for text in told)


def test_what_a_start_writes_is_for_its_owner_only(federation):
    for kit in ("coordinator", "north"):
        state = federation.out / kit / "state"
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        for path in state.rglob("*"):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or path.is_dir(), path


def test_a_kit_in_use_and_a_port_in_use_are_told_in_one_line(federation, tmp_path):
    refused = fedpate("coordinator", "start", federation.home.folder)
    assert refused.code == 2
    assert "KIT must not be in use by another process" in refused.err
    other = Federation(tmp_path, "west")
    config = other.home.folder / "kit.yaml"
    mine, taken = (f"port: {place.port}" for place in (other.home, federation.home))
    config.write_text(config.read_text().replace(mine, taken))
    refused = fedpate("coordinator", "start", other.home.folder)
    assert refused.code == 2
    assert "coordinator.port must be free on this machine" in refused.err
    other.require_no_process()


def test_a_hospital_with_a_key_that_is_not_admitted_stays_outside(federation):
    kit = federation.kit("east")
    right = (kit.folder / "node.key").read_bytes()
    (kit.folder / "node.key").write_bytes(authority.node_key())
    running = federation.hospital("east")
    try:
        running.wait_for("the coordinator does not admit this hospital's key", times=2)
        running.wait_for("it starts again in 30 s")
        assert "joined" not in running.text()
        assert "east joined" not in federation.started[0].text()
    finally:
        assert running.stop() == 0
        (kit.folder / "node.key").write_bytes(right)
    assert door_check.look(kit) == []


def test_a_hospital_that_is_revoked_is_shut_out_at_once_and_for_good(federation):
    coordinator, running = federation.started[0], federation.hospital("south")
    coordinator.wait_for("south joined")
    running.wait_for("south joined try-out")
    kits.provision(federation.file, federation.out, ["south"])
    coordinator.wait_for("south is shut out")
    running.wait_for("the coordinator does not admit this hospital's key")
    running.wait_for("it starts again in 30 s")
    assert running.stop() == 0
    findings = door_check.look(federation.kit("south"))
    assert len(findings) == 1
    assert "does not admit" in findings[0]
    assert door_check.look(federation.kit("north")) == []


def test_a_hospital_says_in_words_what_is_wrong(federation, tmp_path):
    other = Federation(tmp_path, "north")
    kit = other.kit("north")
    assert "cannot be reached" in door_check.look(kit)[0]
    config = kit.folder / "kit.yaml"
    config.write_text(config.read_text().replace(str(other.home.port), str(federation.home.port)))
    finding = door_check.look(other.kit("north"))
    assert len(finding) == 1
    assert "does not prove to be the coordinator of try-out" in finding[0]

    for seconds, words in ((-400, "s behind the coordinator's"), (400, "s ahead of the coord")):
        wrong = now() + dt.timedelta(seconds=seconds)
        findings = door_check.look(federation.kit("north"), wrong)
        assert words in findings[0]
        assert "refuses this machine's clock" in findings[1]


def test_a_coordinator_that_was_away_finds_its_hospitals_again(federation):
    north = federation.started[1]
    assert federation.started[0].stop() == 0
    north.wait_for("is away; trying again")
    coordinator = federation.coordinator()
    coordinator.wait_for("north joined")
    assert "is admitted" not in coordinator.text()  # it is in the database
    assert "cannot be admitted" not in coordinator.text()


def test_a_part_that_dies_is_started_again_and_a_killed_supervisor_leaves_nothing(federation):
    coordinator = federation.started[-1]
    proxy = next(pid for pid in federation.processes() if command_line(pid)[3:4] == [DOOR])
    os.kill(proxy, signal.SIGKILL)
    coordinator.wait_for("proxy ended (signal SIGKILL)")
    deadline = time.monotonic() + 60
    while door_check.look(federation.kit("north")):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    coordinator.stop(signal.SIGKILL)
    for running in federation.started:
        running.stop()
    federation.require_no_process()


DOOR = "fedpate.federation.deployment.proxy"


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    except OSError:
        return []


def listeners(pid):
    """(address in hexadecimal, port) of the TCP sockets on which a process listens."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        target = str(entry.readlink())
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                host, _, port = fields[1].partition(":")
                yield host, int(port, 16)

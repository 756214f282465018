"""The outer door alone: which requests it lets through, how big and how slow they may be."""

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
import threading
import time

import httpx
import pytest
from flwr.common.constant import TIMESTAMP_HEADER
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES
from hypothesis import given
from hypothesis import strategies as st

from deployments import provision
from fedpate.federation.deployment import proxy
from fedpate.federation.deployment.proxy import REFUSED, Proxy
from fedpate.federation.deployment.signatures import Admitted, NotAdmitted, sign
from fedpate.federation.doors import PATHS
from fedpate.federation.kit import CoordinatorKit

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
PULL = "/v1/fleet/pull-messages"


@pytest.fixture(scope="module")
def kits(tmp_path_factory):
    out = tmp_path_factory.mktemp("federation") / "kits"
    provision(out, "north", "south")
    return out


class Door:
    """A proxy whose SuperLink is a function."""

    def __init__(self, kits, limit=1000):
        self.passed = []
        nodes = kits / "coordinator" / "nodes"
        self.proxy = Proxy(Admitted(nodes), "https://inside", ssl.create_default_context(), limit)
        self.proxy._client = httpx.AsyncClient(
            base_url="https://inside", transport=httpx.MockTransport(self.superlink)
        )
        self.headers, self.error = {}, None

    async def superlink(self, request):
        self.passed.append((request.method, request.url.path, await request.aread(), request))
        if self.error:
            raise self.error

        async def answer():
            yield b"answer"

        return httpx.Response(200, headers=self.headers, content=answer())

    def ask(self, method, path, headers=None, content=b"x"):
        async def ask():
            transport = httpx.ASGITransport(self.proxy)
            async with httpx.AsyncClient(transport=transport, base_url="https://out") as client:
                return await client.request(method, path, headers=headers, content=content)

        return asyncio.run(ask())


def test_what_an_admitted_hospital_needs_passes_and_nothing_that_authorizes_elsewhere(kits):
    door = Door(kits)
    for path in PATHS:
        signed = sign(kits / "north/node.key", dt.datetime.now(dt.UTC))
        door.headers = {"server": "x", REFUSED: "key"}
        answer = door.ask("POST", path, {**signed, "authorization": "Bearer x", "cookie": "y"})
        assert (answer.status_code, answer.content) == (200, b"answer")
        assert not {"server", REFUSED} & set(answer.headers)
    assert {entry[1] for entry in door.passed} == set(PATHS)
    for method, _, body, request in door.passed:
        assert (method, body) == ("POST", b"x")
        assert not {"authorization", "cookie"} & set(request.headers)
        assert request.headers[FLEET_HTTP_SIGNATURE_HEADER]


def test_every_other_path_and_method_of_flower_is_not_there_even_for_a_hospital(kits):
    door = Door(kits)
    signed = sign(kits / "north/node.key", dt.datetime.now(dt.UTC))
    others = {path for _, path in PROTOBUF_REQUEST_TYPES} - PATHS
    assert {"/v1/fleet/register-node", "/v1/control/start-run", "/v1/runtime/acquire-task"} < others
    tricks = [
        "/v1/fleet/../control/start-run", "//v1/fleet/get-run", "/v1/fleet/get-run/",
        "/V1/FLEET/get-run", "/v1/fleet//get-run", "/v1/fleet/get-run?x=1", "/health", "/docs",
    ]  # fmt: skip
    for path in [*others, *tricks]:
        assert door.ask("POST", path, signed).status_code == 404, path
    for method in ("GET", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"):
        assert door.ask(method, PULL, signed).status_code == 404
    assert door.passed == []


def test_nobody_else_gets_in_and_the_reason_is_told_but_no_more(kits, tmp_path):
    door = Door(kits)
    other = tmp_path / "kits"
    provision(other, "north")
    now = dt.datetime.now(dt.UTC)
    signed = sign(kits / "north/node.key", now)
    stranger = sign(other / "north/node.key", now)
    south = sign(kits / "south/node.key", now)
    cases = {
        "signature": [
            {},
            {TIMESTAMP_HEADER: signed[TIMESTAMP_HEADER]},
            {**signed, TIMESTAMP_HEADER: now.replace(microsecond=1).isoformat()},
            {**signed, FLEET_HTTP_SIGNATURE_HEADER: south[FLEET_HTTP_SIGNATURE_HEADER]},
            {**signed, FLEET_HTTP_SIGNATURE_HEADER: "not base 64"},
            {**signed, FLEET_HTTP_SIGNATURE_HEADER: ""},
            {**signed, TIMESTAMP_HEADER: "yesterday"},
            {**signed, TIMESTAMP_HEADER: now.replace(tzinfo=None).isoformat()},
        ],
        "key": [stranger, {**signed, FLEET_HTTP_PUBLIC_KEY_HEADER: ""}],
        "clock": [
            sign(kits / "north/node.key", now - dt.timedelta(seconds=310)),
            sign(kits / "north/node.key", now + dt.timedelta(seconds=10)),
        ],
    }
    for reason, headers in ((reason, case) for reason, all_ in cases.items() for case in all_):
        answer = door.ask("POST", PULL, headers)
        assert (answer.status_code, answer.headers[REFUSED]) == (401, reason)
        assert answer.content == b""
    assert door.passed == []


def test_a_key_that_is_taken_away_is_refused_at_the_next_request(tmp_path):
    provision(tmp_path / "kits", "north", "south")
    door = Door(tmp_path / "kits")
    signed = sign(tmp_path / "kits/north/node.key", dt.datetime.now(dt.UTC))
    assert door.ask("POST", PULL, signed).status_code == 200
    (tmp_path / "kits/coordinator/nodes/north.pub").unlink()
    assert door.ask("POST", PULL, signed).headers[REFUSED] == "key"


@given(
    st.dictionaries(
        st.sampled_from(
            [FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER, TIMESTAMP_HEADER]
        ),
        st.text(st.characters(max_codepoint=255), max_size=30),
    )
)
def test_no_headers_but_a_hospital_s_own_are_admitted(kits, headers):
    with pytest.raises(NotAdmitted):
        Admitted(kits / "coordinator/nodes").require(headers, NOW)


@pytest.mark.parametrize(
    ("age", "admitted"), [(-4.9, True), (-5.1, False), (304, True), (306, False)]
)
def test_the_window_of_a_signature_is_flower_s_own(kits, age, admitted):
    headers = sign(kits / "north/node.key", NOW - dt.timedelta(seconds=age))
    door = Admitted(kits / "coordinator/nodes")
    if admitted:
        assert door.require(headers, NOW) == "north"
    else:
        with pytest.raises(NotAdmitted, match="the clock of north differs from ours by"):
            door.require(headers, NOW)


def test_bodies_are_bounded_and_have_a_length(kits):
    door = Door(kits, limit=1000)

    def ask(**request):
        signed = sign(kits / "north/node.key", dt.datetime.now(dt.UTC))
        return door.ask("POST", PULL, signed, **request).status_code

    async def chunks():
        yield b"x"

    assert ask(content=b"x" * 1000) == 200
    assert ask(content=b"x" * 1001) == 413
    assert ask(content=chunks()) == 411
    assert [len(body) for _, _, body, _ in door.passed] == [1000]


def test_a_superlink_that_is_away_is_told_as_such_so_that_nodes_try_again(kits):
    door = Door(kits)
    for error, status in ((httpx.ConnectError("x"), 503), (httpx.ReadTimeout("x"), 504)):
        door.error = error
        signed = sign(kits / "north/node.key", dt.datetime.now(dt.UTC))
        assert door.ask("POST", PULL, signed).status_code == status


@pytest.fixture
def serving(kits, monkeypatch):
    monkeypatch.setattr(proxy.Impatient, "header_timeout", 0.5)
    kit = CoordinatorKit.read(kits / "coordinator")
    server = proxy.server(kit)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield kit
    server.should_exit = True
    thread.join()


def test_who_says_nothing_or_speaks_plainly_is_not_kept_waiting_for(serving):
    trusted = ssl.create_default_context(cafile=str(serving.folder / "ca.crt"))
    for words in (b"", b"POST /v1/fleet/get-run HTTP/1.1\r\nhost: x\r\n"):
        began = time.monotonic()
        with (
            socket.create_connection(("127.0.0.1", serving.port), timeout=10) as plain,
            trusted.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            secure.sendall(words)
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                assert secure.recv(1) == b""
        assert time.monotonic() - began < 5
    with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as plain:
        plain.sendall(b"POST /v1/fleet/get-run HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"HTTP/1.1 2" not in plain.recv(1000)
    answer = httpx.post(f"https://127.0.0.1:{serving.port}/", verify=trusted)
    assert answer.status_code == 404
    assert "server" not in answer.headers


def test_only_the_federation_s_own_authority_is_believed(serving):
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.post(f"https://127.0.0.1:{serving.port}{PULL}")

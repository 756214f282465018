"""The coordinator's outer door: a TLS proxy to the few paths that an admitted hospital needs.

Whatever is not a POST to one of `doors.PATHS` gets 404; whatever is not signed by an admitted key
gets 401 before a byte of its body is read; a body over the limit gets 413. Bodies stream through in
both directions, so memory does not grow with them. Run as `python -m ...proxy KIT`.
"""

import asyncio
import datetime as dt
import logging
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from fedpate.federation.deployment import child
from fedpate.federation.deployment.signatures import Admitted, NotAdmitted
from fedpate.federation.doors import ANSWER_TIMEOUT_S, BODY_LIMIT, BODY_TIMEOUT_S, PATHS
from fedpate.federation.kit import CoordinatorKit

log = logging.getLogger("fedpate.door")

REFUSED = "x-fedpate-refused"  # header of a 401: key, clock or signature
HEADER_TIMEOUT_S = 10.0  # a connection that asks nothing is closed
MOST_CONNECTIONS = 1000
LOG_EVERY_S = 60.0  # the same refusal of the same address

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# Hop by hop, or ours to say. What authorizes elsewhere does not pass.
_DROPPED = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer"),
    *("transfer-encoding", "upgrade", "host", "authorization", "cookie", "forwarded"),
}


class BodyError(Exception):
    """A request's body is not what the door lets through."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Proxy:
    """The ASGI application.

    Args:
      admitted: who may come in.
      upstream: the SuperLink's address, such as https://127.0.0.1:9091.
      verify: trusts the SuperLink's certificate.
      body_limit: bytes.
    """

    def __init__(
        self,
        admitted: Admitted,
        upstream: str,
        verify: ssl.SSLContext,
        body_limit: int = BODY_LIMIT,
    ) -> None:
        self._admitted = admitted
        self._limit = body_limit
        self._logged: dict[tuple[str, str], float] = {}
        self._client = httpx.AsyncClient(
            base_url=upstream,
            verify=verify,
            trust_env=False,  # no proxy of the environment stands between us and ourselves
            timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=5.0),
            limits=httpx.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=20),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        if scope["method"] != "POST" or scope["path"] not in PATHS or scope["query_string"]:
            await _answer(send, 404)
            return
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        try:
            name = self._admitted.require(headers, dt.datetime.now(dt.UTC))
        except NotAdmitted as error:
            self._note((scope.get("client") or ("?",))[0], str(error))
            await _answer(send, 401, {REFUSED: error.reason})
            return
        try:
            await self._pass(scope["path"], headers, receive, send)
        except BodyError as error:
            log.warning("%s sent a body that is refused with %d", name, error.status)
            await _answer(send, error.status)
        except httpx.TimeoutException:
            await _answer(send, 504)
        except httpx.TransportError:
            await _answer(send, 503)

    async def _pass(self, path: str, headers: dict[str, str], receive: Receive, send: Send) -> None:
        length = headers.get("content-length")
        if length is None or not length.isdigit():
            raise BodyError(411)
        if int(length) > self._limit:
            raise BodyError(413)
        kept = {key: value for key, value in headers.items() if key not in _DROPPED}
        request = self._client.build_request("POST", path, headers=kept, content=_body(receive))
        response = await self._client.send(request, stream=True)
        try:
            # Flower tells its nodes to stop with a 401, and so may we: the reason is ours alone.
            out = [
                (key, value)
                for key, value in response.headers.raw
                if key.lower().decode("latin-1") not in {*_DROPPED, "date", "server", REFUSED}
            ]
            await send(
                {"type": "http.response.start", "status": response.status_code, "headers": out}
            )
            async for chunk in response.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await response.aclose()

    def _note(self, address: str, text: str) -> None:
        """Log a refusal, but not each of a flood."""
        now = time.monotonic()
        if now - self._logged.get((address, text), -LOG_EVERY_S) >= LOG_EVERY_S:
            if len(self._logged) > MOST_CONNECTIONS:
                self._logged.clear()
            self._logged[address, text] = now
            log.warning("refused %s: %s", address, text)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await self._client.aclose()
        await send({"type": "lifespan.shutdown.complete"})


class Impatient(H11Protocol):
    """Closes a connection that asks nothing: uvicorn alone would wait for ever."""

    header_timeout = HEADER_TIMEOUT_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The handshake is over, the wait begins."""
        super().connection_made(transport)
        self.loop.call_later(self.header_timeout, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.abort()


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    """The request's body; its size is checked by its length, which the server enforces."""
    deadline = asyncio.get_running_loop().time() + BODY_TIMEOUT_S
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                event = await receive()
        except TimeoutError as error:
            raise BodyError(408) from error
        if event["type"] == "http.disconnect":
            raise BodyError(400)
        yield event.get("body", b"")
        if not event.get("more_body"):
            return


async def _answer(send: Send, status: int, headers: dict[str, str] | None = None) -> None:
    lines = [(key.encode(), value.encode()) for key, value in (headers or {}).items()]
    lines += [(b"content-length", b"0"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": b""})


def server(kit: CoordinatorKit) -> uvicorn.Server:
    """The proxy of a kit, ready to run."""
    trusted = ssl.create_default_context(cafile=str(kit.folder / "ca.crt"))
    upstream = f"https://127.0.0.1:{kit.superlink_port}"
    return uvicorn.Server(
        uvicorn.Config(
            Proxy(Admitted(kit.nodes), upstream, trusted),
            host=kit.listen,
            port=kit.port,
            http=Impatient,
            ws="none",
            ssl_certfile=kit.folder / "server.crt",
            ssl_keyfile=str(kit.folder / "server.key"),
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=75,  # SuperNodes ask every few seconds
            timeout_graceful_shutdown=5,
            server_header=False,
            proxy_headers=False,
            access_log=False,
            log_config=None,
        )
    )


def main() -> None:
    """Serve until SIGTERM."""
    child.begin()
    server(CoordinatorKit.read(Path(sys.argv[1]))).run()


if __name__ == "__main__":
    main()

"""The coordinator's own way into its SuperLink: who is admitted, who is there."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from types import TracebackType
from typing import Self

import httpx
from flwr.app.user_config import UserConfig
from flwr.common.serde import fab_to_proto, user_config_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    UnregisterNodeRequest,
)
from flwr.supercore.constant import NodeStatus
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.fab import Fab
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext

from fedpate.errors import EngineError
from fedpate.federation.deployment import secrets
from fedpate.federation.kit import STATE, CoordinatorKit

log = logging.getLogger("fedpate.coordinator")


@dataclass(frozen=True)
class Node:
    """A hospital as the SuperLink knows it."""

    id: int
    name: str
    key: bytes  # PEM
    online: bool


class Bearer:
    """Shows the secret with every request."""

    def __init__(self, secret: bytes) -> None:
        self._header = f"Bearer {secret.decode('ascii')}"

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        """Add the header."""
        context.request.headers["authorization"] = self._header
        return call_next(context)


class Control:
    """The SuperLink's Control API with this start's secret."""

    def __init__(self, kit: CoordinatorKit) -> None:
        self._refused: set[bytes] = set()
        secret = secrets.read(kit.folder / STATE, secrets.CONTROL)
        self.client = ControlHttpClient.from_server_address(
            f"127.0.0.1:{kit.superlink_port}",
            insecure=False,
            root_certificates=(kit.folder / "ca.crt").read_bytes(),
            interceptors=[RuntimeVersionHttpInterceptor("flwr CLI"), Bearer(secret)],
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()

    def nodes(self) -> list[Node]:
        """All hospitals that are registered.

        Raises:
          EngineError: the SuperLink does not answer, or refuses.
        """
        try:
            known = self.client.ListNodes(ListNodesRequest()).nodes_info
        except httpx.HTTPError as error:
            raise EngineError(f"the SuperLink does not list its nodes: {error}") from error
        return [
            Node(node.node_id, node.name, node.public_key, node.status == NodeStatus.ONLINE)
            for node in known
            if node.status != NodeStatus.UNREGISTERED
        ]

    def admit(self, admitted: Mapping[bytes, str], nodes: Sequence[Node]) -> None:
        """Make the SuperLink's list of keys that of the kit.

        Args:
          admitted: public key (PEM) -> hospital.
          nodes: what the SuperLink has now.
        """
        registered = {node.key: node for node in nodes}
        for key, node in registered.items():
            if key not in admitted:
                self.client.UnregisterNode(UnregisterNodeRequest(node_id=node.id))
                log.info("%s is shut out", node.name)
        for key, name in admitted.items():
            if key in registered or key in self._refused:
                continue
            try:
                self.client.RegisterNode(RegisterNodeRequest(public_key=key, name=name))
            except httpx.HTTPStatusError:
                self._refused.add(key)  # Flower never takes a key again that it has given up
                log.error("%s cannot be admitted: its key was shut out; give it a new kit", name)
                continue
            log.info("%s is admitted", name)

    def submit(self, bundle: bytes, settings: UserConfig) -> int:
        """Start a run of a bundle; returns its id.

        Args:
          bundle: as Flower packs it.
          settings: over the bundle's own run configuration; reaches every hospital.

        Raises:
          EngineError: the SuperLink does not take it.
        """
        fab = Fab(sha256(bundle).hexdigest(), bundle, {})
        request = StartRunRequest(
            fab=fab_to_proto(fab), override_config=user_config_to_proto(settings)
        )
        try:
            return int(self.client.StartRun(request).run_id)
        except httpx.HTTPError as error:
            raise EngineError(f"the SuperLink does not take the run: {error}") from error

    def stop(self, run_id: int) -> None:
        """Have Flower forget a run that has not ended; what cannot be stopped has ended."""
        with suppress(httpx.HTTPError):
            self.client.StopRun(StopRunRequest(run_id=run_id))

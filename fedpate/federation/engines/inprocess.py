"""engine=inprocess: the ClientApp is called directly, one hospital after the other.

Messages are copied as a wire would. Teachers of all hospitals are trained together, as stacked
models, when the training messages are sent (`prepare`); the handlers then find them in the store.
"""

from collections.abc import Callable, Iterable, Sequence

from flwr.app import Message, RecordDict
from flwr.clientapp import ClientApp

from fedpate.federation.engines.local_grid import (
    LocalGrid,
    across_the_wire,
    deliver,
    number,
    received,
)

Prepare = Callable[[Sequence[tuple[int, str, RecordDict]]], None]  # (partition, action, request)


class InProcessGrid(LocalGrid):
    """A grid whose nodes are function calls; a node works when its reply is pulled."""

    def __init__(self, app: ClientApp, n_nodes: int, prepare: Prepare | None = None) -> None:
        super().__init__(n_nodes)
        self._app, self._prepare = app, prepare
        self._pending: dict[str, tuple[int, bytes]] = {}  # message id -> (node, message)
        if prepare is not None:
            self.reports = frozenset({"teachers"})

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Keep copies until they are asked for."""
        messages = list(messages)
        if self._prepare is not None:
            self._prepare([self._addressed(message) for message in messages])
        ids = []
        for message in messages:
            ids.append(number(message))
            node = message.metadata.dst_node_id
            self._pending[ids[-1]] = (node, across_the_wire(message))
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """One reply at a time, so that the caller can show progress."""
        for message_id in message_ids:
            if message_id in self._pending:
                node, data = self._pending.pop(message_id)
                return [received(deliver(self._app, data, self.contexts[node]))]
        return []

    def _addressed(self, message: Message) -> tuple[int, str, RecordDict]:
        context = self.contexts[message.metadata.dst_node_id]
        partition = context.node_config["partition-id"]
        assert isinstance(partition, int)
        return partition, message.metadata.message_type, message.content

"""Flower's `Grid` on one machine without its daemons: what our two own engines share."""

import math
import pickle
import secrets
import time
from abc import abstractmethod
from collections.abc import Iterable

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.run import Run as FlowerRun

CLIENT_APP_RAISED = 2  # Flower's code


class LocalGrid(Grid):
    """Simulated nodes with random ids; `partition-id` says which hospital a node is.

    Subclasses carry the messages (`push_messages`, `pull_messages`).
    """

    reports: frozenset[str] = frozenset()  # stages whose progress the grid shows itself

    def __init__(self, n_nodes: int) -> None:
        self._run = FlowerRun.create_empty(secrets.randbits(62))
        nodes = [secrets.randbits(62) for _ in range(n_nodes)]
        self.contexts = {
            node: Context(
                run_id=self._run.run_id,
                node_id=node,
                node_config={"partition-id": index, "num-partitions": n_nodes},
                state=RecordDict(),
                run_config={},
            )
            for index, node in enumerate(nodes)
        }

    def set_run(self, run: FlowerRun) -> None:
        """Take another run's identity."""
        self._run = run

    @property
    def run(self) -> FlowerRun:
        """The run, of which only the id means anything here."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """As Flower's own grids do (deprecated there in favour of `Message`)."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """All nodes: they are there from the beginning."""
        return list(self.contexts)

    @abstractmethod
    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Accept messages, each of which gets an id."""

    @abstractmethod
    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Some replies that have come; empty if none has."""

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Push, then pull until all replies are there or the time is up."""
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        open_ = set(self.push_messages(list(messages)))
        replies: list[Message] = []
        while open_ and time.monotonic() < deadline:
            found = list(self.pull_messages(open_))
            open_ -= {reply.metadata.reply_to_message_id for reply in found}
            replies += found
        return replies


def number(message: Message) -> str:
    """Give a message its id, as Flower's grids do when it is pushed."""
    message_id = secrets.token_hex(16)
    message.metadata.__dict__["_message_id"] = message_id
    return message_id


def across_the_wire(message: Message) -> bytes:
    """Everything in a message as bytes, so that no two parties ever share an object."""
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


def received(data: bytes) -> Message:
    """A message of our own making: the bytes never left this machine's processes."""
    message: Message = pickle.loads(data)  # noqa: S301
    return message


def deliver(app: ClientApp, data: bytes, context: Context) -> bytes:
    """Let the app handle a message; an exception becomes an error without text."""
    message = received(data)
    try:
        reply = app(message, context)
    except Exception:  # noqa: BLE001 - as a SuperNode does; the app's own handlers log
        reply = Message(Error(CLIENT_APP_RAISED), reply_to=message)
    return across_the_wire(reply)

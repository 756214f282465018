"""Runs this hospital's ClientApp: always the installed one, whatever a bundle says.

Flower's `flwr-clientapp` unpacks the bundle that the coordinator sent and imports what it names.
Here nothing of it is unpacked or imported: a bundle that is not the thin bundle of the installed
version is refused with a code, and for the thin one the installed app is called. One process serves
all messages, so torch is imported once and not once per message.

Run as `python -m ...client_executor KIT PORT`.
"""

import logging
import sys
from pathlib import Path

from flwr.app import Context, Error, Message
from flwr.common.constant import SubStatus
from flwr.proto.task_pb2 import Task
from flwr.supercore.constant import TaskType
from flwr.supercore.heartbeat import HeartbeatSender, make_task_heartbeat_fn_http
from flwr.supercore.interceptors import RuntimeTokenHttpInterceptor, RuntimeVersionHttpInterceptor
from flwr.supercore.retry import make_simple_http_retry_invoker
from flwr.supercore.run import RunNotRunningException
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supernode.runtime.run_clientapp import pull_task_input, push_message, push_task_output

from fedpate.errors import FedPateError
from fedpate.federation import site, wire
from fedpate.federation.client_app import app
from fedpate.federation.deployment import child, secrets, thin
from fedpate.federation.deployment.acquire import acquire_forever
from fedpate.federation.kit import STATE, HospitalKit
from fedpate.federation.own_site import CONFIG, SITE
from fedpate.federation.policy import Policy, require_bundle
from fedpate.federation.refusals import REASONS, Code, Refusal

log = logging.getLogger("fedpate.hospital")


def main() -> None:
    """Acquire and answer until SIGTERM."""
    child.begin()
    kit = HospitalKit.read(Path(sys.argv[1]))
    address = f"127.0.0.1:{int(sys.argv[2])}"
    site_file = str(kit.folder / STATE / SITE)

    def launch(token: str, _: Task) -> None:
        try:
            run(address, token, site_file, kit.policy)
        except RunNotRunningException:  # not an Exception to Flower
            log.info("a run ended before one of its messages was answered")
        except Exception:
            log.exception("a task could not be completed")

    secret = secrets.read(kit.folder / STATE, secrets.SUPEREXEC)
    acquire_forever(address, TaskType.CLIENT_APP, secret, launch)


def run(address: str, token: str, site_file: str, policy: Path) -> None:
    """One message: pull it, answer it, push the reply."""
    client = RuntimeHttpClient.from_server_address(
        address,
        insecure=True,  # this machine's loopback; the token is asked for all the same
        root_certificates=None,
        interceptors=[
            RuntimeVersionHttpInterceptor(component_name="flwr-clientapp"),
            RuntimeTokenHttpInterceptor(token),
        ],
        retry_invoker=make_simple_http_retry_invoker(),
    )
    alive = HeartbeatSender(make_task_heartbeat_fn_http(client))
    with client:
        alive.start()
        context, status, details = None, SubStatus.FAILED, "see the hospital's log"
        try:
            message, context, _, fab = pull_task_input(client)
            context.node_config[CONFIG] = site_file
            push_message(client, answer(message, context, fab.content, policy), context)
            status, details = SubStatus.COMPLETED, ""
        finally:
            push_task_output(client, context, status, details)
            alive.stop()


def answer(message: Message, context: Context, bundle: bytes, policy: Path) -> Message:
    """The installed app's reply, or a refusal of the bundle that the message came with.

    The policy is read for every message: the hospital may have changed it.
    """
    try:
        require_bundle(Policy.read(policy), bundle, thin=thin.is_thin(bundle))
    except FedPateError as error:
        code = error.code if isinstance(error, Refusal) else Code.FAILED
        log.warning("run %s refused: %s", message.metadata.run_id, error)
        _write_down(message, context, int(code))
        return Message(Error(int(code), REASONS[code]), reply_to=message)
    return app(message, context)


def _write_down(message: Message, context: Context, code: int) -> None:
    """A refused bundle goes to the hospital's log as any other request does."""
    what = message.metadata.message_type, message.metadata.run_id
    try:
        audit_log = site.audit_log(context)
        if audit_log is not None:
            audit_log.request(*what, wire.fields(message.content))
            audit_log.decision(*what, code, site.policy_hash(context))
    except FedPateError:
        log.exception("the refusal could not be written down")


if __name__ == "__main__":
    main()

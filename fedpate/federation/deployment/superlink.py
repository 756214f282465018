"""Flower's SuperLink on loopback, with a secret on its Control API too.

`flower-superlink` leaves Control open to every user of this machine: who can submit code there runs
it as the coordinator. The same application is served here with an authentication plugin that asks
for this start's secret. Run as `python -m ...superlink KIT`.
"""

import hmac
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from flwr.common.constant import (
    ACCESS_TOKEN_KEY,
    ISOLATION_MODE_PROCESS,
    TRANSPORT_TYPE_GRPC_RERE,
)
from flwr.supercore.auth.typing import AccountInfo
from flwr.superlink.auth_plugin import NoOpControlAuthnPlugin
from flwr.superlink.cli.flower_superlink import SuperLinkLifespan
from flwr.superlink.config_loader import SuperLinkLifespanConfig
from flwr.superlink.main import create_app

from fedpate.federation.deployment import child, secrets
from fedpate.federation.kit import STATE, CoordinatorKit

DATABASE = "superlink.sqlite"
_OUR_LOOK = "ControlServicer.ListNodes"  # every other second, to see who is there


class ControlSecret(NoOpControlAuthnPlugin):
    """One account, for whoever knows the secret."""

    def __init__(self, secret: bytes) -> None:
        super().__init__()
        self._secret = secret

    def validate_tokens_in_metadata(
        self, metadata: Sequence[tuple[str, str | bytes]]
    ) -> tuple[bool, AccountInfo | None]:
        """Compare in constant time."""
        token = dict(metadata).get(ACCESS_TOKEN_KEY, "")
        given = token if isinstance(token, bytes) else token.encode()
        if not hmac.compare_digest(given, self._secret):
            return False, None
        return super().validate_tokens_in_metadata(metadata)


def config(kit: CoordinatorKit) -> SuperLinkLifespanConfig:
    """How the SuperLink of a kit is set up."""
    ca, certificate, key = (kit.folder / name for name in ("ca.crt", "server.crt", "server.key"))
    return SuperLinkLifespanConfig(
        control_address="",
        health_server_address=None,
        host="127.0.0.1",
        port=kit.superlink_port,
        insecure=False,
        certificates=(ca.read_bytes(), certificate.read_bytes(), key.read_bytes()),
        superexec_auth_secret=secrets.read(kit.folder / STATE, secrets.SUPEREXEC),
        authn_plugin=ControlSecret(secrets.read(kit.folder / STATE, secrets.CONTROL)),
        event_log_plugin=None,
        fleet_event_log_plugin=None,
        enable_event_log=False,
        artifact_provider=None,
        enable_supernode_auth=True,
        fleet_api_type=TRANSPORT_TYPE_GRPC_RERE,
        fleet_api_address=None,
        simulation=False,
        ssl_ca_certfile=str(ca),
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        database=str(kit.folder / STATE / DATABASE),
        isolation=ISOLATION_MODE_PROCESS,
        runtime_dependency_install=False,
    )


def main() -> None:
    """Serve until SIGTERM."""
    child.begin()
    logging.getLogger("flwr").addFilter(lambda record: record.msg != _OUR_LOOK)
    kit = CoordinatorKit.read(Path(sys.argv[1]))
    settings = config(kit)
    uvicorn.run(
        create_app(settings, SuperLinkLifespan),
        host=settings.host,
        port=settings.port,
        ssl_certfile=settings.ssl_certfile,
        ssl_keyfile=settings.ssl_keyfile,
        timeout_graceful_shutdown=5,
        access_log=False,
        log_config=None,
    )


if __name__ == "__main__":
    main()

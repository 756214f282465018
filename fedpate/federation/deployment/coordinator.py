"""The coordinator's long-running side: SuperLink, proxy and the executor of runs."""

import datetime as dt
import logging
import time
from dataclasses import dataclass, field

from fedpate.errors import ConfigError, EngineError
from fedpate.federation.deployment import secrets
from fedpate.federation.deployment.control import Control
from fedpate.federation.deployment.signatures import Admitted
from fedpate.federation.deployment.supervisor import (
    Supervisor,
    require_free,
    saying_on_stderr,
    supervising,
)
from fedpate.federation.kit import STATE, CoordinatorKit
from fedpate.federation.provision.authority import expiry

log = logging.getLogger("fedpate.coordinator")

START_S = 120.0  # a SuperLink's start on a slow machine
LOOK_S = 2.0  # between two looks at who is there and who is admitted
WARN_DAYS = 30  # before a certificate ends


def start(kit: CoordinatorKit, *, proxy: bool = True) -> None:
    """Run the coordinator until SIGTERM or Ctrl-C.

    Args:
      kit: from `fedpate provision`.
      proxy: False if nginx stands in for the built-in proxy.

    Raises:
      ConfigError: a certificate has expired, a port is taken, the kit is in use.
      EngineError: Flower's SuperLink does not start.
    """
    with saying_on_stderr():
        _start(kit, proxy=proxy)


def _start(kit: CoordinatorKit, *, proxy: bool) -> None:
    warn_of_expiry("the server's certificate", (kit.folder / "server.crt").read_bytes())
    admitted = Admitted(kit.nodes)
    admitted.names()  # a malformed key is told now
    with supervising(kit.folder) as supervisor:
        require_free("coordinator.superlink_port", "127.0.0.1", kit.superlink_port)
        if proxy:
            require_free("coordinator.port", kit.listen, kit.port)
        secrets.renew(kit.folder / STATE, secrets.SUPEREXEC, secrets.CONTROL)
        supervisor.add("superlink", "superlink", str(kit.folder), restart_s=5)
        with Control(kit) as control:
            _wait_for(control, supervisor)
            watch = _Watch(control, admitted)
            watch.look()
            supervisor.add("executor", "server_executor", str(kit.folder), restart_s=5)
            if proxy:
                supervisor.add("proxy", "proxy", str(kit.folder), restart_s=5)
            if not supervisor.stopping:
                log.info(
                    "%s is ready for %d hospitals at %s port %d",
                    kit.federation,
                    len(admitted.names()),
                    kit.address,
                    kit.port,
                )
            supervisor.run(watch.tick)
    log.info("stopped")


@dataclass
class _Watch:
    """Who is admitted, who is there; says what changed."""

    control: Control
    admitted: Admitted
    online: set[str] = field(default_factory=set)
    due: float = 0.0
    answers: bool = True

    def tick(self) -> None:
        """Look now and then; the SuperLink may be away for a while."""
        if time.monotonic() < self.due:
            return
        try:
            self.look()
        except (EngineError, ConfigError) as error:
            if self.answers:
                log.warning("%s", error)
            self.answers = False
        else:
            self.answers = True
        self.due = time.monotonic() + LOOK_S

    def look(self) -> None:
        """Take up changes of the kit, and tell who came and went."""
        nodes = self.control.nodes()
        self.control.admit(self.admitted.names(), nodes)
        online = {node.name for node in nodes if node.online}
        for name in sorted(online - self.online):
            log.info("%s joined (%d here)", name, len(online))
        for name in sorted(self.online - online):
            log.info("%s left (%d here)", name, len(online))
        self.online = online


def _wait_for(control: Control, supervisor: Supervisor) -> None:
    deadline = time.monotonic() + START_S
    while not supervisor.stopping:
        supervisor.watch()
        try:
            control.nodes()
        except EngineError as error:
            if time.monotonic() > deadline:
                raise EngineError(
                    f"Flower's SuperLink did not answer within {START_S:g} s; its log is in "
                    f"{supervisor.state / 'logs'}"
                ) from error
            time.sleep(0.3)
        else:
            return


def warn_of_expiry(what: str, certificate: bytes) -> None:
    """Say in words that a certificate is about to end.

    Raises:
      ConfigError: it has ended.
    """
    try:
        end = expiry(certificate)
    except ValueError as error:
        raise ConfigError(f"{what} must be in PEM format") from error
    left = end - dt.datetime.now(dt.UTC)
    if left < dt.timedelta():
        raise ConfigError(
            f"{what} must be valid, it ended on {end:%Y-%m-%d}; "
            "`fedpate provision ... --renew` makes a new one"
        )
    if left < dt.timedelta(days=WARN_DAYS):
        log.warning(
            "%s ends on %s, in %d days; `fedpate provision ... --renew` makes a new one",
            what,
            f"{end:%Y-%m-%d}",
            left.days,
        )

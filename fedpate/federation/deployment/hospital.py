"""A hospital's long-running side: its SuperNode and the executor of its own app, in one command."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fedpate.data import own_records
from fedpate.data.own_records import OwnRecords
from fedpate.errors import ConfigError
from fedpate.federation import yaml_file
from fedpate.federation.deployment import door_check, secrets
from fedpate.federation.deployment.coordinator import warn_of_expiry
from fedpate.federation.deployment.supervisor import (
    Process,
    Supervisor,
    free_port,
    saying_on_stderr,
    supervising,
)
from fedpate.federation.kit import STATE, HospitalKit
from fedpate.federation.own_site import SITE, Site
from fedpate.federation.policy import Policy
from fedpate.federation.provision import files

log = logging.getLogger("fedpate.hospital")

RESTART_S = 30.0  # Flower refuses a node for up to 60 s after its process was killed
JOINED = b"SuperNode ID: "  # in the SuperNode's log
AWAY = b"Connection attempt failed, retrying"
BACK = b"Connection successful after"


@dataclass(frozen=True)
class Checked:
    """What a check found; `findings` are what stands between the hospital and its coordinator."""

    site: Site
    rules: Policy
    records: OwnRecords
    findings: tuple[str, ...]

    def to_dict(self, kit: HospitalKit) -> dict[str, Any]:
        """What the hospital's own people may see of it: counts and names, no record."""
        records, fewest = self.records, self.rules.teachers.patients_per_teacher
        tabular = records.features.ndim == 2
        return {
            "records": len(records.labels),
            "patients": records.n_patients,
            "columns": records.features.shape[1] if tabular else None,
            "classes": list(records.class_names),
            "patients_per_teacher": fewest,
            "most_teachers": records.n_patients // fewest,
            "coordinator": kit.coordinator,
            "findings": list(self.findings),
        }


def start(kit: HospitalKit, data: Path | None) -> None:
    """Run a hospital until SIGTERM or Ctrl-C.

    Args:
      kit: from `fedpate provision`.
      data: where the records are; None for what `site.yaml` says.

    Raises:
      ConfigError: a file of the kit is wrong, the data are not there, the kit is in use.
    """
    with saying_on_stderr():
        _run(kit, data)


def _run(kit: HospitalKit, data: Path | None) -> None:
    site = site_file(kit, data)
    of(kit, site).require_fit(Policy.read(kit.policy))  # a mistake is told now, before joining
    own_records.load.cache_clear()  # this process only watches over those that use them
    warn_of_expiry("the authority's certificate", (kit.folder / "ca.crt").read_bytes())
    with supervising(kit.folder) as supervisor:
        state = kit.folder / STATE
        files.write(state / SITE, site, files.SECRET)
        secrets.renew(state, secrets.SUPEREXEC)
        port = free_port()
        _report(kit)
        node = _start(kit, supervisor, port)
        supervisor.run(_Words(kit, node).tick)
    log.info("stopped")


def site_file(kit: HospitalKit, data: Path | None) -> bytes:
    """The site file of this start: the kit's, with `data` in it.

    Raises:
      ConfigError: the file is wrong, or the data are not there.
    """
    site = yaml_file.read(kit.folder / SITE, f"KIT/{SITE}")
    settings = yaml_file.section(site, "data")
    path = data or (Path(settings["path"]) if settings.get("path") else None)
    if path is None:
        raise ConfigError("--data must say where the records are, or data.path in KIT/site.yaml")
    path = path.expanduser().resolve()
    if not path.exists():
        raise ConfigError(f"--data must be a file or a folder, got {path}")
    content = {**site, "data": {**settings, "path": str(path)}}
    Site.of(kit, content)
    text: str = yaml.safe_dump(content, sort_keys=False)
    return text.encode()


def of(kit: HospitalKit, site: bytes) -> Site:
    """The site that the file of a start describes."""
    return Site.of(kit, yaml_file.parse(site.decode(), SITE))


def check(kit: HospitalKit, data: Path | None) -> Checked:
    """Everything that a start does, but join; the coordinator's door is tried.

    Raises:
      ConfigError, DataError: a start would be refused.
    """
    site, rules = of(kit, site_file(kit, data)), Policy.read(kit.policy)
    records = site.require_fit(rules)
    warn_of_expiry("the authority's certificate", (kit.folder / "ca.crt").read_bytes())
    return Checked(site, rules, records, tuple(door_check.look(kit)))


def _start(kit: HospitalKit, supervisor: Supervisor, port: int) -> Process:
    folder = kit.folder
    node = supervisor.add(
        "supernode",
        "supernode",
        *("--superlink", kit.coordinator),
        *("--root-certificates", str(folder / "ca.crt")),
        *("--auth-supernode-private-key", str(folder / "node.key")),
        *("--isolation", "process"),
        *("--superexec-auth-secret-file", str(folder / STATE / secrets.SUPEREXEC)),
        *("--host", "127.0.0.1", "--port", str(port)),
        restart_s=RESTART_S,
    )
    supervisor.add("executor", "client_executor", str(folder), str(port), restart_s=5)
    return node


class _Words:
    """Says what happens to the SuperNode, from its log and from its restarts."""

    def __init__(self, kit: HospitalKit, node: Process) -> None:
        self._kit, self._node = kit, node
        self._offset = node.log_file.stat().st_size
        self._was_running, self._away = True, False

    def tick(self) -> None:
        """Read what is new in the SuperNode's log."""
        running = self._node.running is not None
        if self._was_running and not running:
            _report(self._kit)
        self._was_running = running
        with self._node.log_file.open("rb") as file:
            file.seek(self._offset)
            lines = file.read().splitlines(keepends=True)
        for line in lines:
            if not line.endswith(b"\n"):
                break
            self._offset += len(line)
            self._say(line)

    def _say(self, line: bytes) -> None:
        if JOINED in line:
            log.info("%s joined %s", self._kit.hospital, self._kit.federation)
            self._away = False
        elif AWAY in line and not self._away:
            log.warning("the coordinator at %s is away; trying again", self._kit.coordinator)
            self._away = True
        elif BACK in line and self._away:
            log.info("the coordinator is back")
            self._away = False


def _report(kit: HospitalKit) -> None:
    """Tell what stands between this hospital and the coordinator, if anything does."""
    for finding in door_check.look(kit):
        log.warning("%s", finding)

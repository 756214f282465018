"""`federation.yaml`: who takes part and where the coordinator is reached.

    federation: heart-study            # its name
    coordinator:
      address: pate.example.org        # name or IP address that the hospitals reach
      port: 9092                       # the one port that is open to them
      listen: 0.0.0.0                  # where the coordinator binds it (default: every interface)
      superlink_port: 9091             # on the coordinator's loopback only
      names: [10.0.0.5]                # further names in the certificate
      resolve: true                    # false: this machine need not be able to resolve the address
    certificates: {server_days: 397, authority_days: 3650}
    hospitals: [north, south, {name: east}]

All but `federation`, `coordinator.address` and `hospitals` has a default.
"""

import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedpate import _check
from fedpate.errors import ConfigError
from fedpate.federation import yaml_file

RESERVED = ("authority", "coordinator")  # folders beside the hospitals' kits
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_DNS = re.compile(r"(?=.{1,253}$)([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?)+")


@dataclass(frozen=True)
class Coordinator:
    """How the coordinator is reached."""

    address: str
    port: int = 9092
    listen: str = "0.0.0.0"  # noqa: S104 - the proxy's address: it serves the outside
    superlink_port: int = 9091
    names: tuple[str, ...] = ()
    resolve: bool = True

    def __post_init__(self) -> None:
        for setting, host in (
            ("coordinator.address", self.address),
            ("coordinator.listen", self.listen),
            *(("coordinator.names", name) for name in self.names),
        ):
            _check_host(setting, host)
        if not ip_address(self.listen):
            raise ConfigError(f"coordinator.listen must be an IP address, got {self.listen!r}")
        _check_port("coordinator.port", self.port)
        _check_port("coordinator.superlink_port", self.superlink_port)
        if self.port == self.superlink_port:
            raise ConfigError(
                f"coordinator.superlink_port must differ from coordinator.port, got {self.port}"
            )
        if not isinstance(self.resolve, bool):
            raise ConfigError(f"coordinator.resolve must be true or false, got {self.resolve!r}")

    @property
    def url_address(self) -> str:
        """`host:port` as hospitals write it."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"

    def require_resolvable(self) -> None:
        """Refuse an address that this machine cannot resolve, unless `resolve` is false.

        Raises:
          ConfigError: it does not resolve.
        """
        if not self.resolve:
            return
        for host in (self.address, *self.names):
            try:
                socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM)
            except OSError as error:
                raise ConfigError(
                    f"coordinator.address must resolve on this machine, got {host!r} "
                    f"({error.strerror}); coordinator.resolve: false leaves that to the hospitals"
                ) from error


@dataclass(frozen=True)
class Certificates:
    """How long certificates are valid."""

    server_days: int = 397
    authority_days: int = 3650

    def __post_init__(self) -> None:
        _check.at_least(1, **{"certificates.server_days": self.server_days})
        _check.at_least(1, **{"certificates.authority_days": self.authority_days})
        if not self.server_days <= self.authority_days <= 36500:
            raise ConfigError(
                "certificates.authority_days must be in [server_days, 36500], "
                f"got {self.authority_days}"
            )


@dataclass(frozen=True)
class FederationFile:
    """What `federation.yaml` says, checked."""

    federation: str
    coordinator: Coordinator
    hospitals: tuple[str, ...]
    certificates: Certificates = field(default_factory=Certificates)

    def __post_init__(self) -> None:
        check_name("federation", self.federation)
        if not self.hospitals:
            raise ConfigError("hospitals must name at least one hospital")
        seen: dict[str, str] = {}
        for name in self.hospitals:
            check_name("hospitals", name)
            if name.casefold() in RESERVED:
                raise ConfigError(f"hospitals must not be called {' or '.join(RESERVED)}")
            if name.casefold() in seen:  # some file systems do not tell A from a
                raise ConfigError(
                    f"hospitals must have different names, got {seen[name.casefold()]!r} "
                    f"and {name!r}"
                )
            seen[name.casefold()] = name

    @classmethod
    def read(cls, path: Path) -> "FederationFile":
        """Read and check the file.

        Raises:
          ConfigError: not YAML, or a setting that is unknown, missing or wrong.
        """
        content = yaml_file.read(path, "FEDERATION.yaml")
        yaml_file.require_keys(
            content,
            ("federation", "coordinator", "hospitals", "certificates"),
            needed=("federation", "coordinator", "hospitals"),
        )
        return cls(
            federation=content["federation"],
            coordinator=_coordinator(yaml_file.section(content, "coordinator")),
            hospitals=_hospitals(content["hospitals"]),
            certificates=_certificates(yaml_file.section(content, "certificates")),
        )


def ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """`host` as an IP address, or None if it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def check_name(setting: str, name: object) -> None:
    """A name that is a safe folder name everywhere; raises ConfigError."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{setting} must be named with 1 to 63 letters, digits, '.', '_' or '-', beginning "
            f"with a letter or digit, got {name!r}"
        )


def _coordinator(content: Mapping[str, Any]) -> Coordinator:
    known = ("address", "port", "listen", "superlink_port", "names", "resolve")
    yaml_file.require_keys(content, known, needed=("address",), within="coordinator")
    settings = dict(content)
    names = settings.get("names") or ()
    if not isinstance(names, list | tuple):
        raise ConfigError(f"coordinator.names must be a list, got {names!r}")
    return Coordinator(**{**settings, "names": tuple(names)})


def _certificates(content: Mapping[str, Any]) -> Certificates:
    yaml_file.require_keys(content, ("server_days", "authority_days"), within="certificates")
    return Certificates(**content)


def _hospitals(entries: object) -> tuple[str, ...]:
    if not isinstance(entries, list):
        raise ConfigError(f"hospitals must be a list of names, got {entries!r}")
    names = []
    for entry in entries:
        if isinstance(entry, dict):
            yaml_file.require_keys(entry, ("name",), needed=("name",), within="hospitals")
        names.append(entry["name"] if isinstance(entry, dict) else entry)
    return tuple(names)


def _check_host(setting: str, host: object) -> None:
    if not isinstance(host, str) or not (ip_address(host) or _DNS.fullmatch(host)):
        raise ConfigError(f"{setting} must be a host name or an IP address, got {host!r}")


def _check_port(setting: str, port: object) -> None:
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
        raise ConfigError(f"{setting} must be a port, 1 to 65535, got {port!r}")

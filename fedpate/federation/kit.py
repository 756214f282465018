"""A kit's folder, as the start commands read it: `kit.yaml` and the files beside it."""

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedpate.errors import ConfigError
from fedpate.federation import yaml_file

SCHEMA = 1
FILE = "kit.yaml"
LOCK = "lock"  # in STATE: held while a kit runs
STATE = "state"  # what a start makes in the kit's folder; never in an archive


@dataclass(frozen=True)
class CoordinatorKit:
    """What a coordinator starts with."""

    folder: Path
    federation: str
    address: str
    listen: str
    port: int
    superlink_port: int

    @classmethod
    def read(cls, folder: Path) -> "CoordinatorKit":
        """Read a coordinator's kit; raises ConfigError if it is not one, or not whole."""
        keys = ("federation", "address", "listen", "port", "superlink_port")
        folder, content = _read(folder, "coordinator", keys)
        require_secret(folder / "server.key")
        return cls(folder=folder, **content)

    @property
    def nodes(self) -> Path:
        """The folder of the admitted hospitals' public keys."""
        return self.folder / "nodes"


@dataclass(frozen=True)
class HospitalKit:
    """What a hospital starts with."""

    folder: Path
    federation: str
    hospital: str
    coordinator: str  # host:port

    @classmethod
    def read(cls, folder: Path) -> "HospitalKit":
        """Read a hospital's kit; raises ConfigError if it is not one, or not whole."""
        folder, content = _read(folder, "hospital", ("federation", "hospital", "coordinator"))
        require_secret(folder / "node.key")
        return cls(folder=folder, **content)

    @property
    def policy(self) -> Path:
        """The hospital's own rules."""
        return self.folder / "policy.yaml"


def require_secret(path: Path) -> None:
    """Refuse a private key that others on this machine can read, or that is not there."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"KIT must hold {path.name}: {error.strerror}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(
            f"KIT/{path.name} must be readable by its owner only, got mode "
            f"{stat.S_IMODE(mode):o}; chmod 600 {path}"
        )


def _read(folder: Path, kind: str, keys: tuple[str, ...]) -> tuple[Path, dict[str, Any]]:
    folder = folder.resolve()
    if not (folder / FILE).is_file():
        raise ConfigError(f"KIT must be a folder with {FILE} in it, got {folder}")
    content = yaml_file.read(folder / FILE, "KIT")
    found = content.pop("kind", None)
    if found != kind:
        raise ConfigError(f"KIT must be the kit of a {kind}, got one of {found!r}")
    if content.pop("schema", None) != SCHEMA:
        raise ConfigError(f"KIT must be of schema {SCHEMA}: provision it with this fedpate")
    yaml_file.require_keys(content, keys, needed=keys, within=FILE)
    return folder, content

"""Secrets of one start: made anew, in files for their owner only, never in a command line."""

import secrets
from pathlib import Path

from fedpate.federation.kit import require_secret
from fedpate.federation.provision import files

SUPEREXEC = "superexec.secret"  # whoever runs tasks
CONTROL = "control.secret"  # whoever submits runs and admits nodes


def renew(state: Path, *names: str) -> None:
    """Make new secrets in a kit's state folder."""
    for name in names:
        files.write(state / name, secrets.token_hex(32).encode(), files.SECRET)


def read(state: Path, name: str) -> bytes:
    """One secret; raises ConfigError if it is not there or open to others."""
    require_secret(state / name)
    return (state / name).read_bytes()

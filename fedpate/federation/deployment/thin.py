"""The thin bundle of the installed version, and whether a bundle is that one.

A bundle is compared by what it holds, not by its hash: two builds of zlib pack the same file into
different bytes. Nothing of a bundle is ever run or written to disk to find out.
"""

import io
import tomllib
import zipfile
from functools import cache
from hashlib import sha256

from flwr.cli.build import build_fab_from_files

from fedpate.federation import bundle

PROJECT, MANIFEST = "pyproject.toml", ".info/CONTENT"
LARGEST = 100_000  # bytes of each file


@cache
def fab() -> bytes:
    """The thin bundle, as Flower ships it; the run's file is named when a run is submitted."""
    packed, _ = build_fab_from_files({PROJECT: bundle.project("").encode()})
    return packed


def is_thin(content: bytes) -> bool:
    """Whether a bundle is the thin bundle of the installed fedpate, and nothing else."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            members = packed.infolist()
            if sorted(member.filename for member in members) != sorted([PROJECT, MANIFEST]):
                return False
            if any(member.file_size > LARGEST for member in members):
                return False
            project, manifest = packed.read(PROJECT), packed.read(MANIFEST).decode()
            found = tomllib.loads(project.decode())
    except (zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError, EOFError, OSError):
        return False
    stated = f"{PROJECT},{sha256(project).hexdigest()},{len(project) * 8}"
    return manifest == stated and found == tomllib.loads(bundle.project(""))

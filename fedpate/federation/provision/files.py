"""Writing kits: whole files at once, secrets for their owner only, reproducible archives."""

import gzip
import io
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

from fedpate.errors import ConfigError

SECRET, PUBLIC, PROGRAM = 0o600, 0o644, 0o755


def write(path: Path, content: bytes, mode: int) -> bool:
    """Write a file as a whole; returns whether that changed anything.

    The mode holds from the first byte on: a secret is never readable by others, not for a moment.

    Raises:
      ConfigError: it cannot be written.
    """
    try:
        if path.exists() and path.read_bytes() == content and path.stat().st_mode & 0o777 == mode:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(mode)
        draft.replace(path)
    except OSError as error:
        raise ConfigError(f"--out must be writable, got {path}: {error.strerror}") from error
    return True


def archive(folder: Path, target: Path, without: Iterable[str]) -> bool:
    """Pack a kit's folder; the archive holds its secrets, so it is a secret too.

    Args:
      folder: becomes the archive's one top folder.
      target: the .tar.gz file.
      without: names in `folder` that stay here.

    Returns:
      Whether the archive changed: the same kit gives the same bytes.
    """
    left_out = set(without)
    packed = io.BytesIO()
    # A fixed time and no names of users: nothing of this machine goes into the kit.
    with (
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted([folder, *folder.rglob("*")]):
            relative = path.relative_to(folder)
            if relative.parts and relative.parts[0] in left_out:
                continue
            entry = tarfile.TarInfo(str(Path(folder.name) / relative))
            entry.mode = path.stat().st_mode & 0o777
            if path.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, 0o700
                tar.addfile(entry)
            else:
                content = path.read_bytes()
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return write(target, packed.getvalue(), SECRET)

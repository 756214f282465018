"""Where teachers of simulations are kept unless `store` says otherwise."""

import os
from pathlib import Path


def default_store() -> Path:
    """The user's cache folder."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "fedpate"

"""Where the configuration's files are, and which options a group has; imports nothing heavy."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
# In a wheel conf/ lies inside the package, in an editable installation beside it.
CONF = next(folder for folder in (_HERE / "conf", _HERE.parent / "conf") if folder.is_dir())

HYDRA = "1.3"  # whose behaviour is asked for, whichever is installed


def options(group: str) -> list[str]:
    """What can be typed after `GROUP=`."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))

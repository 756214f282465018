"""What all tests share: a quiet environment, and the real data sets where they are laid out."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from absl import logging as absl_logging
from hypothesis import HealthCheck, settings

os.environ.update(
    FLWR_TELEMETRY_ENABLED="0",
    FLWR_DISABLE_UPDATE_CHECK="1",
    RAY_USAGE_STATS_ENABLED="0",
)
# dp_accounting brings absl, whose handler takes sys.stderr for its own and closes it when Hydra
# sets up logging anew. Here that may be pytest's capture of another test; the real one it lets be.
absl_logging.get_absl_handler().python_handler.stream = sys.__stderr__
# A job in the background of a script ignores Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile(
    "fedpate", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("fedpate")

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder and a store of teachers of its own, also for other processes."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    return folder


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real data sets, laid out as their loaders expect; skips where they are not at hand."""
    if not (SHARED_DATA / "prepare").is_file() or shutil.which("bash") is None:
        pytest.skip("the shared data sets are not on this machine")
    root = tmp_path_factory.mktemp("data")
    subprocess.run(
        ["bash", str(SHARED_DATA / "prepare"), str(root)], check=True, stdout=subprocess.DEVNULL
    )
    return root


@pytest.fixture(scope="session")
def pate_votes(data_root: Path) -> Path:
    """The published MNIST vote histogram (9,000 queries x 10 classes, 250 teachers)."""
    return SHARED_DATA / "pate-votes" / "mnist_250_teachers.npy"

"""What `fedpate doctor` looks at; each check says what it found and, if need be, what to do."""

import importlib.metadata
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fedpate
from fedpate._environment import ENVIRONMENT

OK, NOTE, PROBLEM = "ok", "note", "problem"
OLDEST_PYTHON = (3, 11)
LEAST_DISK = 1e9  # bytes: trained teachers and run directories of a few hundred runs
COORDINATOR_PORTS = (9091, 9092)  # the defaults of FEDERATION.yaml
ENTROPY_WORDS = 4096
FAIR = 6.0  # standard deviations that a fair source's share of ones stays within


@dataclass(frozen=True)
class Check:
    """One finding."""

    name: str
    state: str  # OK, NOTE (works, but know it) or PROBLEM
    found: str
    advice: str = ""  # what to do, in one line


def all_checks(data_root: Path) -> Iterator[Check]:
    """Every check, the quick ones first; none raises because something is missing."""
    yield python()
    yield from requirements()
    yield extras()
    yield telemetry()
    yield bytecode()
    yield entropy()
    yield from disk()
    yield from ports()
    yield data(data_root)
    yield device()


def python() -> Check:
    """The interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return Check("python", PROBLEM, version, "use Python 3.11 or later: Flower needs it")
    return Check("python", OK, f"{version} at {sys.executable}")


def requirements() -> Iterator[Check]:
    """fedpate and everything that it needs; one line for each that is missing or too old."""
    try:
        wanted = [Requirement(text) for text in importlib.metadata.requires("fedpate") or ()]
    except importlib.metadata.PackageNotFoundError:
        where = Path(fedpate.__file__).parent
        yield Check("fedpate", PROBLEM, f"not installed, imported from {where}", "pip install -e .")
        return
    core = [need for need in wanted if need.marker is None or need.marker.evaluate({"extra": ""})]
    unmet = [found for need in core if (found := _unmet(need)) is not None]
    yield Check(
        "fedpate",
        OK,
        f"{fedpate.__version__}, {len(core) - len(unmet)} of {len(core)} needed packages",
    )
    yield from unmet
    flower = next(need for need in core if need.name == "flwr")
    if _unmet(flower) is None:
        version = importlib.metadata.version("flwr")
        yield Check(
            "flower", OK, f"{version}, compatible ({flower.specifier}; peers need the same)"
        )


def _unmet(need: Requirement) -> Check | None:
    try:
        found = importlib.metadata.version(need.name)
    except importlib.metadata.PackageNotFoundError:
        found = "not installed"
    else:
        if need.specifier.contains(found, prereleases=True):
            return None
    name = "flower" if need.name == "flwr" else need.name
    wanted = f"{need.name}{need.specifier}"
    return Check(name, PROBLEM, f"{found}, needed {wanted}", f"pip install '{wanted}'")


def extras() -> Check:
    """Optional parts, installed or not."""
    try:
        metadata = importlib.metadata.metadata("fedpate")
    except importlib.metadata.PackageNotFoundError:
        return Check("extras", NOTE, "unknown: fedpate is not installed")
    have: list[str] = []
    lack: list[str] = []
    for extra in metadata.get_all("Provides-Extra") or []:
        parts = [
            need
            for text in importlib.metadata.requires("fedpate") or ()
            if (need := Requirement(text)).marker is not None
            and need.marker.evaluate({"extra": extra})
            and not need.marker.evaluate({"extra": ""})
            and canonicalize_name(need.name) != "fedpate"  # all = the others together
        ]
        if parts:
            (lack if any(_unmet(need) for need in parts) else have).append(extra)
    found = f"installed: {', '.join(have) or 'none'}"
    if not lack:
        return Check("extras", OK, found)
    advice = f"if wanted: pip install 'fedpate[{lack[0]}]'"
    return Check("extras", NOTE, f"{found}; not installed: {', '.join(lack)}", advice)


def telemetry() -> Check:
    """Whether Flower, Ray, MLflow and onnxruntime are kept from reporting to anybody."""
    open_ones = [key for key, value in ENVIRONMENT.items() if os.environ.get(key, value) != value]
    if not open_ones:
        return Check("telemetry", OK, "off (Flower, Ray, MLflow, onnxruntime)")
    return Check(
        "telemetry", PROBLEM, "on: " + ", ".join(open_ones), f"unset {' '.join(open_ones)}"
    )


def bytecode() -> Check:
    """Whether imports are fast: without bytecode, torchvision takes ten seconds each time."""
    if sys.dont_write_bytecode:
        advice = "unset PYTHONDONTWRITEBYTECODE, or every start is seconds slower"
        return Check("bytecode", NOTE, "Python writes none", advice)
    return Check("bytecode", OK, "written")


def entropy() -> Check:
    """Whether the operating system gives random bits: the noise is made of them."""
    from fedpate.privacy.noise import OsEntropy

    words = OsEntropy().words(ENTROPY_WORDS)
    bits = 64 * ENTROPY_WORDS
    ones = int(np.bitwise_count(words).sum())
    if abs(ones - bits / 2) > FAIR * np.sqrt(bits) / 2 or len(np.unique(words)) < ENTROPY_WORDS:
        advice = "release nothing on this machine: its random numbers are not random"
        return Check("entropy", PROBLEM, f"{ones} ones in {bits} bits, or repeats", advice)
    return Check("entropy", OK, f"os.urandom: {100 * ones / bits:.1f} % ones in {bits} bits")


def disk() -> Iterator[Check]:
    """Room, and the right to write, where runs, teachers and temporary files go."""
    from fedpate.federation.cache_folder import default_store

    places = {
        "runs": Path.cwd(),
        "teachers": default_store(),
        "temporary": Path(tempfile.gettempdir()),
    }
    for name, place in places.items():
        there = next(folder for folder in (place, *place.parents) if folder.exists())
        free = shutil.disk_usage(there).free
        found = f"{free / 1e9:.1f} GB free in {place}"
        if not os.access(there, os.W_OK):
            advice = f"make {there} writable, or work elsewhere"
            yield Check(f"disk: {name}", PROBLEM, f"{place} cannot be written", advice)
        elif free < LEAST_DISK:
            yield Check(f"disk: {name}", PROBLEM, found, f"make room in {there}")
        else:
            yield Check(f"disk: {name}", OK, found)


def ports() -> Iterator[Check]:
    """Loopback, which engine=flower and a deployment use, and the coordinator's own ports."""
    if not _free(0):
        advice = "allow processes to listen on 127.0.0.1"
        yield Check("ports", PROBLEM, "nothing can listen on loopback", advice)
        return
    taken = [port for port in COORDINATOR_PORTS if not _free(port)]
    if taken:
        advice = "a coordinator that runs here, or choose other ports in FEDERATION.yaml"
        yield Check("ports", NOTE, f"in use: {', '.join(map(str, taken))}", advice)
    else:
        free = " and ".join(map(str, COORDINATOR_PORTS))
        yield Check("ports", OK, f"loopback works; {free} (coordinator) are free")


def _free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def data(root: Path) -> Check:
    """Where data sets that do not ship with scikit-learn are looked for."""
    if not root.is_dir():
        found = f"no folder {root}: only data=breast_cancer, digits and files of your own"
        return Check("data", NOTE, found, "data.root=DIR says where others are; see --data")
    if not os.access(root, os.R_OK | os.X_OK):
        return Check("data", PROBLEM, f"{root} cannot be read", f"make {root} readable")
    return Check(
        "data", OK, f"{root} has {', '.join(sorted(p.name for p in root.iterdir())) or 'nothing'}"
    )


def device() -> Check:
    """What PyTorch computes on."""
    try:
        import torch
    except ImportError as error:
        return Check("device", PROBLEM, f"PyTorch cannot be imported: {error}", "pip install torch")
    cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    found = [f"{os.cpu_count()} CPU cores, {torch.get_num_threads()} threads"]
    found += [f"cuda:{place} {name}" for place, name in enumerate(cuda)]
    found += ["mps"] if torch.backends.mps.is_available() else []
    return Check("device", OK, "; ".join(found) + f" (torch {torch.__version__})")

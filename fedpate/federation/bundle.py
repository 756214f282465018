"""The thin bundle: all that Flower ships is a pyproject.toml that points at the installed package.

Hospitals run the fedpate that they installed and audited; no code and no data file travels. The run
configuration holds the path of a run file and nothing else, because it reaches every node and is
stored.
"""

import json
import shlex
from pathlib import Path

import fedpate
from fedpate.federation.job import RUN_FILE_KEY, Job, with_absolute_paths
from fedpate.federation.settings import Run

PROJECT = """\
# Flower ships this file and nothing else: the app is the installed package.
[project]
name = "fedpate-bundle"
version = {version}
description = "Points at the installed fedpate"
license = {{ text = "Apache-2.0" }}
dependencies = []

[tool.flwr.app]
publisher = "fedpate"

[tool.flwr.app.components]
serverapp = "fedpate.federation.server_app:app"
clientapp = "fedpate.federation.client_app:app"

[tool.flwr.app.config]
{run_file_key} = {run_file}
"""
RUN_FILE = "settings.run"  # of a type that Flower does not bundle


def project(run_file: str) -> str:
    """The bundle's one file; `run_file` is the path in its run configuration."""
    # A basic string of TOML is written like one of JSON.
    return PROJECT.format(
        version=json.dumps(fedpate.__version__),
        run_file_key=RUN_FILE_KEY,
        run_file=json.dumps(run_file, ensure_ascii=False),
    )


def write(folder: Path, run_file: Path) -> None:
    """Write the bundle's one file into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(project(str(run_file)), encoding="utf-8")


def prepare(folder: Path, run: Run, output: Path, n_hospitals: int) -> list[str]:
    """A bundle for `flwr run` by hand; returns the commands to type.

    Args:
      folder: becomes the bundle's folder.
      run: the settings, written to `settings.run` there (readable by the owner only).
      output: the run directory of every run of this bundle.
      n_hospitals: `hospitals`, or those of the data.
    """
    folder = folder.resolve()
    run_file = folder / RUN_FILE
    write(folder, run_file)
    Job(with_absolute_paths(run), output.resolve(), None).write(run_file)
    return [
        f"cd {shlex.quote(str(folder))}",
        "export FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION=1",
        f"flwr run . --stream --federation-config {shlex.quote(federation_config(n_hospitals))}",
    ]


def federation_config(n_hospitals: int, n_cpus: int | None = None, n_gpus: float = 0.0) -> str:
    """Flower's settings of a simulation: one CPU per hospital that works at a time."""
    config = f"num-supernodes={n_hospitals} client-resources-num-cpus=1"
    if n_gpus:
        config += f" client-resources-num-gpus={n_gpus:g}"
    return config if n_cpus is None else f"{config} init-args-num-cpus={n_cpus}"

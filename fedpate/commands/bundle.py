"""`fedpate bundle DIR`: what `flwr run` by hand needs, for those who know Flower."""

from collections.abc import Sequence
from pathlib import Path

from fedpate.errors import ConfigError

HELP = """\
usage: fedpate bundle DIR [SETTING=VALUE ...] [--json]

Writes a Flower app into DIR that holds no code and no data: one pyproject.toml that points at the
installed fedpate, and settings.run with the run's settings. Prints the commands that run it on
Flower's simulation runtime; the run directory becomes DIR/output. `fedpate simulate engine=flower`
does the same, and also starts, watches and stops Flower.

The settings are those of `fedpate simulate`.

examples
  fedpate bundle my-bundle
  fedpate bundle my-bundle hospitals=20 privacy.target_epsilon=2"""


def main(args: Sequence[str]) -> int:
    """Write one bundle.

    Raises:
      ConfigError: a setting is refused, or DIR cannot be written.
    """
    from fedpate import config
    from fedpate.commands import _output, _settings

    name, overrides, as_json = _settings.split(args, "DIR")
    config.register()
    run = config.build(config.compose("config", overrides), overrides)
    folder = Path(name or "")
    from fedpate.data.federated import federate
    from fedpate.federation import bundle

    data = federate(run.data, run.partition, run.hospitals, run.teachers_per_hospital, run.seed)
    try:
        commands = bundle.prepare(folder, run, folder / "output", data.partition.n_hospitals)
    except OSError as error:
        raise ConfigError(
            f"DIR must be a folder that can be written, got {folder}: {error.strerror}"
        ) from error
    if as_json:
        _output.print_json({"bundle": str(folder), "commands": commands})
    else:
        _output.say("\n".join(commands))
    return 0

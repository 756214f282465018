import re
import stat
import tomllib
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from flwr.cli.build import build_fab_from_disk
from flwr.cli.config_utils import load_and_validate

from federated import small_run
from fedpate.federation import bundle
from fedpate.federation.job import Job


@pytest.mark.parametrize("name", ["run.json", 'a "quoted" name\\', "größe"])
def test_flower_accepts_the_bundle_and_finds_the_run_file(tmp_path, name):
    bundle.write(tmp_path, tmp_path / name)
    config, warnings = load_and_validate(tmp_path / "pyproject.toml")
    assert config["tool"]["flwr"]["app"]["config"] == {"run-file": str(tmp_path / name)}
    assert config["project"]["dependencies"] == []
    assert not warnings


@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")  # Flower's own
def test_one_file_travels_and_no_secret_in_it(tmp_path):
    run = small_run(tmp_path / "store", noise_seed=271828)
    commands = bundle.prepare(tmp_path / "b", run, tmp_path / "out", 4)
    with zipfile.ZipFile(BytesIO(build_fab_from_disk(tmp_path / "b"))) as fab:
        shipped = {name: fab.read(name) for name in fab.namelist()}
    own = [name for name in shipped if not name.startswith(".info/")]
    assert own == ["pyproject.toml"]
    assert b"271828" not in b"".join(shipped.values())
    assert stat.S_IMODE((tmp_path / "b" / "settings.run").stat().st_mode) == 0o600
    assert Job.read(tmp_path / "b" / "settings.run") == Job(run, tmp_path / "out", None)
    assert commands[0] == f"cd {tmp_path / 'b'}"
    assert "num-supernodes=4 client-resources-num-cpus=1" in commands[-1]


def test_the_project_file_names_the_installed_apps():
    text = bundle.PROJECT.format(version='"0"', run_file_key="run-file", run_file='"x"')
    components = tomllib.loads(text)["tool"]["flwr"]["app"]["components"]
    for reference in components.values():
        module, attribute = reference.split(":")
        assert attribute == "app"
        path = Path(bundle.__file__).parents[2] / (module.replace(".", "/") + ".py")
        assert re.search(r"^app = ", path.read_text(), re.MULTILINE)


def test_federation_config_mentions_gpus_only_if_there_are_some():
    assert bundle.federation_config(3) == "num-supernodes=3 client-resources-num-cpus=1"
    assert bundle.federation_config(3, 2, 0.5) == (
        "num-supernodes=3 client-resources-num-cpus=1 client-resources-num-gpus=0.5 "
        "init-args-num-cpus=2"
    )

"""A real federation gives what the simulation gives: provision, start, deploy, real processes."""

import json

import pytest

from deployments import Federation
from heart_sites import SETTINGS, TEACHERS, labels, lay_out_heart_files
from namespaces import why_not

# Flower's builder of bundles calls an old name in pathspec.
pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")


@pytest.mark.data
@pytest.mark.processes
@pytest.mark.skipif(why_not() is None, reason="test_network runs it on five hosts of their own")
def test_four_hospitals_with_their_heart_files_give_the_labels_of_the_simulation(
    tmp_path, data_root
):
    files = lay_out_heart_files(data_root, tmp_path)
    federation = Federation(tmp_path, *files)
    try:
        federation.coordinator()
        for name, path in files.items():
            federation.hospital(name, path)
        simulated, deployed = tmp_path / "simulated", tmp_path / "deployed"
        root = f"data.root={data_root}"
        one = federation.command(
            "simulate", *SETTINGS, root, "partition=natural", f"hydra.run.dir={simulated}"
        )
        assert one.wait() == 0, one.text()
        deploy = ("deploy", federation.home.folder, *SETTINGS, root, f"hydra.run.dir={deployed}")
        run = federation.command(*deploy)
        assert run.wait() == 0, run.text()
        assert labels(deployed) == labels(simulated)
        summary = json.loads((deployed / "summary.json").read_text())
        assert summary["federation"]["engine"] == "deployment"
        assert summary["federation"]["teachers_present"] == 4 * TEACHERS
    finally:
        federation.stop()

"""A real federation gives what the simulation gives: provision, start, deploy, real processes."""

import json
import signal

import pytest

from cli_runs import fedpate
from deployments import Federation
from fedpate.federation.kit import STATE
from fedpate.privacy.ledger import PrivacyLedger
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
        deploy = ("deploy", federation.home.folder, *SETTINGS, root)
        run = federation.command(*deploy, f"hydra.run.dir={deployed}")
        assert run.wait() == 0, run.text()
        assert labels(deployed) == labels(simulated)
        summary = json.loads((deployed / "summary.json").read_text())
        assert summary["federation"]["engine"] == "deployment"
        assert summary["federation"]["teachers_present"] == 4 * TEACHERS
    finally:
        federation.stop()


@pytest.mark.data
@pytest.mark.processes
def test_a_deploy_that_is_killed_goes_on_is_charged_once_and_leaves_no_secret(tmp_path, data_root):
    files = lay_out_heart_files(data_root, tmp_path)
    names = list(files)[:2]
    federation = Federation(tmp_path, *names)
    try:
        federation.coordinator()
        for name in names:
            federation.hospital(name, files[name])
        home, out = federation.home.folder, tmp_path / "deployed"
        own = ("tracking=tensorboard", f"data.root={data_root}", f"hydra.run.dir={out}")
        deploy = ("deploy", home, *SETTINGS, *own)
        killed = federation.command(*deploy)
        killed.wait_for(f"teachers: {2 * TEACHERS} of")  # then hospitals are asked
        killed.stop(signal.SIGKILL)
        run = federation.command(*deploy)
        assert run.wait() == 0, run.text()
        ledgers = [out, home / STATE, *(federation.kit(name).folder / STATE for name in names)]
        for folder in ledgers:
            with PrivacyLedger.read(folder / "ledger.sqlite") as ledger:
                ((_, charge),) = ledger.book().charges.values()
                assert charge.n_queries == 20
        for name in names:
            status = json.loads(fedpate("hospital", "status", federation.out / name, "--json").out)
            assert status["running"]
            assert status["decisions"].keys() == {"answered"}
        assert list((out / "tensorboard").iterdir())
        _require_no_secret_in(out, federation)
        assert list((home / STATE / "runs").iterdir()) == []
    finally:
        federation.stop()


def _require_no_secret_in(folder, federation):
    """No key and no secret of a start is in what a run leaves, or in what the sides say."""
    secrets = [
        path.read_bytes().strip()
        for pattern in ("*.key", "*.secret")
        for path in federation.out.rglob(pattern)
    ]
    assert len(secrets) > 4
    said = [running.log for running in federation.started]
    logs = [path for path in federation.out.rglob("logs/*") if path.is_file()]
    for path in [*said, *logs, *(path for path in folder.rglob("*") if path.is_file())]:
        content = path.read_bytes()
        assert not any(secret in content for secret in secrets), path

"""What stops a start is told in one line, before any process is started."""

import contextlib
import datetime as dt
import socket
import ssl
import tarfile
import threading

import pytest
import yaml

from cli_runs import fedpate
from deployments import Federation
from fedpate.errors import ConfigError
from fedpate.federation.deployment import coordinator, door_check, hospital
from fedpate.federation.kit import STATE, HospitalKit
from fedpate.federation.own_site import Site
from fedpate.federation.provision import kits

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def federation(tmp_path):
    federation = Federation(tmp_path, "north")
    yield federation
    federation.require_no_process()


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refused(*args):
    shown = fedpate(*args)
    assert shown.code == 2
    assert shown.err.count("\n") == 1
    return shown.err


def test_a_hospital_needs_its_data_its_site_and_its_policy(federation):
    kit = federation.out / "north"
    start = ("hospital", "start", kit, "--data", federation.data)
    assert "--data must say where the records are" in refused(*start[:3])
    assert "--data must be a file or a folder, got" in refused(*start[:4], "no/such")
    change(kit / "policy.yaml", "per_day: 10000", "per_day: many")
    assert "KIT/policy.yaml: queries.per_day must be of type int" in refused(*start)
    change(kit / "site.yaml", "hospital: north", "hospital: south")
    assert "site.yaml.hospital must be 'north', got 'south'" in refused(*start)
    (kit / "node.key").chmod(0o640)
    assert "KIT/node.key must be readable by its owner only, got mode 640" in refused(*start)
    (kit / "node.key").unlink()
    assert "KIT must hold node.key: No such file" in refused(*start)
    assert not (kit / STATE).exists()


def test_each_side_starts_its_own_kit_only(federation):
    home, north = federation.home.folder, federation.out / "north"
    assert "kit of a coordinator, got one of 'hospital'" in refused("coordinator", "start", north)
    assert "kit of a hospital, got one of 'coordinator'" in refused("hospital", "start", home)
    assert "KIT must be a folder with kit.yaml" in refused("hospital", "start", federation.folder)
    change(home / "kit.yaml", "schema: 1", "schema: 2")
    assert "KIT must be of schema 1" in refused("coordinator", "start", home)


def test_a_site_file_keeps_what_it_says_and_gets_the_path(federation):
    kit = federation.kit("north")
    change(kit.folder / "site.yaml", "patient: null", "patient: who")
    site = yaml.safe_load(hospital.site_file(kit, federation.data))
    assert site["hospital"] == "north"
    assert site["data"]["path"] == str(federation.data.resolve())
    assert (site["data"]["label"], site["data"]["patient"]) == ("label", "who")
    change(kit.folder / "site.yaml", "path: null", f"path: {federation.data}")
    assert yaml.safe_load(hospital.site_file(kit, None)) == site


def test_classes_may_be_numbers_and_words_that_yaml_takes_for_truth_are_asked_for_in_quotes(
    federation,
):
    kit = federation.kit("north")
    change(kit.folder / "site.yaml", "classes: null", "classes: [0, 1]")
    content = yaml.safe_load(hospital.site_file(kit, federation.data))
    assert Site.of(kit, content).data.classes == ("0", "1")
    change(kit.folder / "site.yaml", "classes: [0, 1]", "classes: [no, yes]")
    shown = refused("hospital", "check", kit.folder, "--data", federation.data)
    assert "data.classes must be names, got False, True; put yes, no, true, false" in shown


@pytest.mark.parametrize(("days", "words"), [(398, None), (380, "in 16 days"), (100, "")])
def test_a_certificate_about_to_end_is_told_and_one_that_ended_stops_the_start(
    federation, caplog, days, words
):
    out = federation.folder / "old"
    kits.provision(federation.file, out, now=NOW - dt.timedelta(days=days))
    certificate = (out / "coordinator/server.crt").read_bytes()
    if words is None:
        with pytest.raises(ConfigError, match="the server must be valid, it ended on"):
            coordinator.warn_of_expiry("the server", certificate)
        assert "--renew" in refused("coordinator", "start", out / "coordinator")
        return
    with caplog.at_level("WARNING", logger="fedpate.coordinator"):
        coordinator.warn_of_expiry("the server", certificate)
    assert len(caplog.messages) == (words != "")
    assert words in "".join(caplog.messages)


def test_a_malformed_key_among_the_nodes_is_told(federation):
    (federation.home.nodes / "north.pub").write_text("ssh-ed25519 AAAA x\n")
    assert "KIT/nodes/north.pub must be" in refused("coordinator", "start", federation.home.folder)


def test_an_unpacked_archive_is_a_kit_with_its_key_still_private(federation, tmp_path):
    with tarfile.open(federation.out / "north.tar.gz") as tar:
        tar.extractall(tmp_path / "there", filter="data")
    kit = HospitalKit.read(tmp_path / "there" / "north")
    assert kit.coordinator == f"127.0.0.1:{federation.home.port}"


@contextlib.contextmanager
def presenting(folder, port):
    """Somebody at the coordinator's port with the certificate of that kit."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")

    def serve():
        with contextlib.suppress(OSError):  # the hospital hangs up
            context.wrap_socket(listener.accept()[0], server_side=True).close()

    with socket.create_server(("127.0.0.1", port)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def test_a_coordinator_whose_certificate_has_ended_is_not_believed(federation):
    out = federation.folder / "old"
    kits.provision(federation.file, out, now=NOW - dt.timedelta(days=400))
    with presenting(out / "coordinator", federation.home.port):
        (finding,) = door_check.look(HospitalKit.read(out / "north"))
    assert "does not prove to be the coordinator of try-out" in finding
    assert "certificate has expired" in finding

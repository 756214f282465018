"""Kits: who holds which key, what a second run leaves alone, what is refused and how."""

import contextlib
import datetime as dt
import io
import ipaddress
import json
import stat
import subprocess
import tarfile

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import PolicyBuilder, Store
from hypothesis import given
from hypothesis import strategies as st

from cli_runs import fedpate
from fedpate.errors import ConfigError
from fedpate.federation.kit import CoordinatorKit, HospitalKit
from fedpate.federation.provision import kits
from fedpate.federation.provision.federation_file import Coordinator, FederationFile

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
TEXT = """\
federation: heart-study
coordinator:
  address: 127.0.0.1
  port: 19092
  superlink_port: 19091
  names: [localhost, 10.0.0.5, pate.example.org]
  resolve: false
hospitals: [north, {name: south}]
"""


def federation(tmp_path, text=TEXT, **replace):
    for old, new in replace.items():
        text = text.replace(old, new)
    path = tmp_path / "federation.yaml"
    path.write_text(text)
    return FederationFile.read(path)


def snapshot(folder):
    return {
        path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "kits"
    kits.provision(federation(tmp_path), folder, now=NOW)
    return folder


def test_every_private_key_is_in_exactly_one_kit_and_for_its_owner_only(out):
    keys = {}
    for path in out.rglob("*"):
        if path.is_file() and b"PRIVATE KEY" in path.read_bytes():
            keys[str(path.relative_to(out))] = path.read_bytes()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(keys) == {
        "authority/ca.key", "coordinator/server.key", "north/node.key", "south/node.key"
    }  # fmt: skip
    assert len(set(keys.values())) == len(keys)
    for archive in out.glob("*.tar.gz"):
        assert stat.S_IMODE(archive.stat().st_mode) == 0o600
        kit = archive.name.removesuffix(".tar.gz")
        with tarfile.open(archive) as tar:
            for entry in tar:
                assert entry.name == kit or entry.name.startswith(f"{kit}/")
                assert (entry.uname, entry.gname, entry.mtime) == ("", "", 0)
                if entry.isfile():
                    content = tar.extractfile(entry).read()
                    assert content == (out / entry.name).read_bytes()
                    assert content == keys.get(entry.name) or b"PRIVATE KEY" not in content
                    assert entry.mode == (0o600 if entry.name in keys else entry.mode)
    assert sorted(path.name for path in out.glob("*.tar.gz")) == [
        "coordinator.tar.gz", "north.tar.gz", "south.tar.gz"
    ]  # fmt: skip


def test_the_server_is_certified_for_its_names_by_an_authority_that_signs_nothing_else(out):
    server = x509.load_pem_x509_certificate((out / "coordinator/server.crt").read_bytes())
    authority = x509.load_pem_x509_certificate((out / "north/ca.crt").read_bytes())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"localhost", "pate.example.org"}
    assert set(names.get_values_for_type(x509.IPAddress)) == {
        ipaddress.ip_address(address) for address in ("127.0.0.1", "::1", "10.0.0.5")
    }
    later = NOW + dt.timedelta(days=396)
    for at, name in ((NOW, x509.DNSName("pate.example.org")), (later, x509.DNSName("localhost"))):
        verifier = PolicyBuilder().store(Store([authority])).time(at).build_server_verifier(name)
        assert verifier.verify(server, [])
    verifier = PolicyBuilder().store(Store([authority])).time(NOW)
    with pytest.raises(x509.verification.VerificationError):
        verifier.build_server_verifier(x509.DNSName("elsewhere.example.org")).verify(server, [])
    assert (
        authority.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    )
    assert isinstance(server.public_key().curve, ec.SECP384R1)


def test_a_hospital_has_a_p384_key_and_the_coordinator_its_public_half(out):
    for name in ("north", "south"):
        private = serialization.load_ssh_private_key((out / name / "node.key").read_bytes(), None)
        line = (out / "coordinator" / "nodes" / f"{name}.pub").read_bytes()
        assert isinstance(private.curve, ec.SECP384R1)
        assert serialization.load_ssh_public_key(line) == private.public_key()
        assert line.endswith(f" {name}\n".encode())


def test_kits_say_where_to_go_and_start_with_one_command(out):
    north, home = HospitalKit.read(out / "north"), CoordinatorKit.read(out / "coordinator")
    assert (north.federation, north.hospital) == ("heart-study", "north")
    assert north.coordinator == "127.0.0.1:19092"
    assert (home.listen, home.port, home.superlink_port) == ("0.0.0.0", 19092, 19091)
    assert "fedpate hospital start . --data PATH" in (out / "north/README.md").read_text()
    assert "fedpate coordinator start ." in (out / "coordinator/README.md").read_text()
    for kit, script in (("north", "start.sh"), ("coordinator", "start.sh")):
        assert (out / kit / script).stat().st_mode & 0o111
        subprocess.run(["sh", "-n", out / kit / script], check=True)
        assert yaml.safe_load((out / kit / "compose.yaml").read_text())["services"]
        assert any("ExecStart=" in path.read_text() for path in (out / kit).glob("*.service"))
        assert "fedpate==" in (out / kit / "Dockerfile").read_text()
    assert yaml.safe_load((out / "north/policy.yaml").read_text())["epsilon"]["patient"] > 0
    nginx = (out / "coordinator/nginx.conf").read_text()
    assert "/v1/fleet/(activate-node|" in nginx
    assert "register-node" not in nginx
    assert "https://127.0.0.1:19091" in nginx


def test_a_second_run_adds_a_hospital_and_touches_no_other(tmp_path, out):
    before = snapshot(out)
    done = kits.provision(federation(tmp_path, **{"south}": "south}, east"}), out, now=NOW)
    after = snapshot(out)
    assert (done.added, done.kept, done.coordinator) == (["east"], ["north", "south"], True)
    changed = {path for path in before if after[path] != before[path]}
    assert {str(path) for path in changed} == {"coordinator.tar.gz"}
    new = {str(path) for path in after.keys() - before.keys()}
    assert "coordinator/nodes/east.pub" in new
    assert all(path.startswith(("east", "coordinator/nodes/east")) for path in new)
    done = kits.provision(federation(tmp_path, **{"south}": "south}, east"}), out, now=NOW)
    assert (done.added, done.coordinator) == ([], False)
    assert snapshot(out) == after


def test_a_run_that_was_cut_off_admits_the_key_that_is_in_the_kit(tmp_path, out):
    (out / "coordinator/nodes/south.pub").unlink()
    key = (out / "south/node.key").read_bytes()
    done = kits.provision(federation(tmp_path), out, now=NOW)
    assert done.added == ["south"]
    assert (out / "south/node.key").read_bytes() == key
    test_a_hospital_has_a_p384_key_and_the_coordinator_its_public_half(out)


def test_a_kit_that_was_handed_over_stays_admitted(tmp_path, out):
    for path in sorted((out / "north").rglob("*"), reverse=True):
        path.unlink()
    (out / "north").rmdir()
    done = kits.provision(federation(tmp_path), out, now=NOW)
    assert done.kept == ["north", "south"]
    assert not (out / "north").exists()


def test_a_revoked_hospital_stays_out_whatever_the_file_says(tmp_path, out):
    untouched = snapshot(out / "south")
    done = kits.provision(federation(tmp_path), out, ["north"], now=NOW)
    assert (done.revoked, done.kept, done.coordinator) == (["north"], ["south"], True)
    for _ in range(2):
        assert [path.name for path in (out / "coordinator/nodes").iterdir()] == ["south.pub"]
        assert (out / "coordinator/revoked/north.pub").exists()
        done = kits.provision(federation(tmp_path), out, now=NOW)
    with tarfile.open(out / "coordinator.tar.gz") as tar:
        assert "coordinator/nodes/north.pub" not in tar.getnames()
    assert snapshot(out / "south") == untouched
    with pytest.raises(ConfigError, match=r"--revoke must name an admitted hospital, got 'west'"):
        kits.provision(federation(tmp_path), out, ["west"], now=NOW)
    gone = kits.provision(federation(tmp_path, **{"{name: south}": "other"}), out, now=NOW)
    assert gone.still_admitted == ["south"]


def test_renewal_certifies_the_server_anew_under_the_same_authority(tmp_path, out):
    hospitals = {name: snapshot(out / name) for name in ("north", "south")}
    before = (out / "coordinator/server.crt").read_bytes()
    later = NOW + dt.timedelta(days=380)
    assert kits.provision(federation(tmp_path), out, now=later).coordinator is False
    done = kits.provision(federation(tmp_path), out, renew=True, now=later)
    assert (done.coordinator, done.authority_renewed) == (True, False)
    assert done.server_until == f"{later + dt.timedelta(days=397):%Y-%m-%d}"
    assert (out / "coordinator/server.crt").read_bytes() != before
    assert {name: snapshot(out / name) for name in hospitals} == hospitals


def test_an_authority_near_its_end_is_renewed_with_the_same_key(tmp_path, out):
    old = x509.load_pem_x509_certificate((out / "north/ca.crt").read_bytes())
    key = (out / "north/node.key").read_bytes()
    later = NOW + dt.timedelta(days=3500)
    done = kits.provision(federation(tmp_path), out, renew=True, now=later)
    assert done.authority_renewed
    new = x509.load_pem_x509_certificate((out / "north/ca.crt").read_bytes())
    server = x509.load_pem_x509_certificate((out / "coordinator/server.crt").read_bytes())
    for root in (old, new):  # a hospital that has not yet got the new one still joins
        policy = PolicyBuilder().store(Store([root])).time(later)
        assert policy.build_server_verifier(x509.DNSName("localhost")).verify(server, [])
    assert (out / "north/node.key").read_bytes() == key
    with tarfile.open(fileobj=io.BytesIO((out / "north.tar.gz").read_bytes())) as tar:
        packed = tar.extractfile("north/ca.crt").read()
    assert packed == (out / "north/ca.crt").read_bytes()


def test_new_names_give_a_new_certificate_without_being_asked(tmp_path, out):
    kits.provision(federation(tmp_path, **{"10.0.0.5": "10.0.0.6"}), out, now=NOW)
    server = x509.load_pem_x509_certificate((out / "coordinator/server.crt").read_bytes())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ipaddress.ip_address("10.0.0.6") in names.get_values_for_type(x509.IPAddress)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("federation: heart-study", "federation: [", "must be YAML"),
        ("hospitals: [north, {name: south}]", "hospitals: [north, NORTH]", "different names"),
        ("hospitals: [north, {name: south}]", "hospitals: []", "at least one hospital"),
        ("hospitals: [north, {name: south}]", "hospitals: north", "list of names, got 'north'"),
        ("{name: south}", "coordinator", "must not be called authority or coordinator"),
        ("{name: south}", "../south", "hospitals must be named with"),
        ("{name: south}", "{nam: south}", "hospitals.nam is not a setting"),
        ("federation: heart-study", "x: 1", "x is not a setting; there are federation"),
        ("  address: 127.0.0.1\n", "", "coordinator.address must be given"),
        ("127.0.0.1", "https://x", "coordinator.address must be a host name or an IP address"),
        ("19092", "0", "coordinator.port must be a port, 1 to 65535, got 0"),
        ("19092", "19091", "coordinator.superlink_port must differ"),
        ("  resolve: false", "  port: 1", "'port' is written twice at line 7, column 3"),
        ("  resolve: false", "  listen: here", "coordinator.listen must be an IP address"),
        ("  resolve: false", "  prot: 1", "coordinator.prot is not a setting"),
        ("[localhost, ", "&a [localhost, *a, ", "aliases are not allowed"),
        ("127.0.0.1\n", "no-such-host.invalid\n", None),
        ("hospitals:", "certificates: {server_days: 0}\nhospitals:", "certificates.server_days"),
    ],
)
def test_a_bad_file_is_one_line_and_makes_nothing(tmp_path, old, new, line):
    assert old in TEXT
    text = TEXT.replace(old, new)
    if line is None:
        text, line = text.replace("resolve: false", "resolve: true"), "coordinator.address must res"
    path = tmp_path / "federation.yaml"
    path.write_text(text)
    refused = fedpate("provision", path, "--out", tmp_path / "kits")
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert line in refused.err
    assert not (tmp_path / "kits").exists()


def test_what_hospitals_hold_cannot_change_under_them(tmp_path, out):
    before = snapshot(out)
    for old, new in (("127.0.0.1", "127.0.0.2"), ("19092", "19093"), ("heart-study", "other")):
        with pytest.raises(ConfigError, match="must stay"):
            kits.provision(federation(tmp_path, **{old: new}), out, now=NOW)
    assert snapshot(out) == before


def test_a_folder_of_something_else_is_not_touched(tmp_path):
    (tmp_path / "kits").mkdir()
    (tmp_path / "kits" / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match="--out must be new, empty or the folder of an earlier"):
        kits.provision(federation(tmp_path), tmp_path / "kits", now=NOW)
    assert [path.name for path in (tmp_path / "kits").iterdir()] == ["thesis.tex"]


def test_the_command_says_what_to_do_next_and_prints_no_secret(tmp_path):
    (tmp_path / "federation.yaml").write_text(TEXT)
    args = ["provision", tmp_path / "federation.yaml", "--out", tmp_path / "kits"]
    first = fedpate(*args)
    assert first.code == 0
    assert "new:       north, south" in first.out
    told = json.loads(fedpate(*args, "--revoke", "north", "--json").out)
    assert (told["revoked"], told["kept"], told["added"]) == (["north"], ["south"], [])
    for shown in (first.out, first.err, json.dumps(told)):
        assert "PRIVATE" not in shown
    assert fedpate("provision", tmp_path / "no.yaml", "--out", tmp_path / "x").code == 2
    assert fedpate(*args[:2]).err.startswith("fedpate provision: --out must be given")


def test_a_kit_with_an_open_key_or_of_the_other_kind_is_refused(out):
    (out / "north/node.key").chmod(0o644)
    with pytest.raises(ConfigError, match=r"node.key must be readable by its owner only"):
        HospitalKit.read(out / "north")
    with pytest.raises(
        ConfigError, match="must be the kit of a hospital, got one of 'coordinator'"
    ):
        HospitalKit.read(out / "coordinator")
    with pytest.raises(ConfigError, match=r"KIT must be a folder with kit.yaml in it"):
        CoordinatorKit.read(out)


@given(st.text(max_size=80))
def test_a_hospital_name_is_a_plain_folder_name_or_refused(name):
    with contextlib.suppress(ConfigError):
        FederationFile("f", Coordinator(address="127.0.0.1"), (name,))
        assert name not in {".", "..", "coordinator", "authority"}
        assert name.isascii()
        assert not set(name) & set("/\\ \n\t$'\"`;&|<>:*?")

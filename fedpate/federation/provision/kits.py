"""Kits: one folder and archive per hospital, one for the coordinator, and the authority that stays.

    OUT/authority/            the authority's key; stays with whoever provisions
    OUT/coordinator[.tar.gz]  server certificate and key, public keys of the hospitals
    OUT/NAME[.tar.gz]         one hospital: its private key, the authority's certificate, its policy

Who is admitted is what lies in OUT/coordinator/nodes. Running it again adds hospitals and touches
no kit that is there; a hospital's kit may be gone from OUT (it was handed over) and stays admitted.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml

from fedpate.errors import ConfigError
from fedpate.federation.kit import FILE, SCHEMA, STATE
from fedpate.federation.provision import authority as pki
from fedpate.federation.provision import files, templates
from fedpate.federation.provision.authority import Authority
from fedpate.federation.provision.federation_file import FederationFile

FIXED = ("federation", "address", "port")  # hospitals hold these in their kits


@dataclass
class Provisioned:
    """What one run did."""

    folder: Path
    added: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    still_admitted: list[str] = field(default_factory=list)  # not in the file any more
    coordinator: bool = False  # its kit changed: it has to be handed over again
    authority_renewed: bool = False  # hospitals need the new ca.crt before the old one ends
    server_until: str = ""
    authority_until: str = ""

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {**asdict(self), "folder": str(self.folder)}


def provision(
    wanted: FederationFile,
    out: Path,
    revoke: Sequence[str] = (),
    *,
    renew: bool = False,
    now: dt.datetime | None = None,
) -> Provisioned:
    """Make the kits of a federation, or add to those that are there.

    Args:
      wanted: the federation's file.
      out: the folder of all kits; new, empty, or from an earlier run.
      revoke: hospitals to shut out, for good.
      renew: certify the server anew, and the authority itself if it ends within that term.
      now: UTC; the clock if None.

    Raises:
      ConfigError: a setting cannot be honoured; nothing was changed.
    """
    now = now or dt.datetime.now(dt.UTC)
    place = _Place(out)
    place.require_same(wanted)
    admitted, shut_out = place.admitted(), place.revoked()
    for name in revoke:
        if name not in admitted and name not in shut_out:
            raise ConfigError(f"--revoke must name an admitted hospital, got {name!r}")
    if not place.exists():
        wanted.coordinator.require_resolvable()
    done = Provisioned(out)
    ca = place.authority(wanted, now, done, renew=renew)
    for name in revoke:
        place.revoke(name)
    shut_out |= set(revoke)
    for name in wanted.hospitals:
        if name in shut_out:
            continue
        if name in admitted:
            done.kept.append(name)
        else:
            place.add(name, wanted, ca)
            done.added.append(name)
    done.revoked = sorted(shut_out)
    done.still_admitted = sorted(admitted - set(wanted.hospitals) - shut_out)
    place.coordinator(wanted, ca, now, done, renew=renew)
    return done


class _Place:
    """The folder of all kits."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.home = out / "coordinator"
        self.record = out / "authority" / "federation.json"

    def exists(self) -> bool:
        return self.record.exists()

    def require_same(self, wanted: FederationFile) -> None:
        """Refuse a folder of something else, or of a federation that hospitals know otherwise."""
        if not self.exists():
            if self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
                raise ConfigError(
                    f"--out must be new, empty or the folder of an earlier run, got {self.out}"
                )
            return
        before = json.loads(self.record.read_text(encoding="utf-8"))
        for setting, value in _fixed(wanted).items():
            if before[setting] != value:
                name = setting if setting == "federation" else f"coordinator.{setting}"
                raise ConfigError(
                    f"{name} must stay {before[setting]!r}, which the hospitals have in their "
                    f"kits, got {value!r}; a new --out makes new kits"
                )

    def admitted(self) -> set[str]:
        return {path.stem for path in (self.home / "nodes").glob("*.pub")}

    def revoked(self) -> set[str]:
        return {path.stem for path in (self.home / "revoked").glob("*.pub")}

    def authority(
        self, wanted: FederationFile, now: dt.datetime, done: Provisioned, *, renew: bool
    ) -> Authority:
        """The authority that is there, or a new one."""
        folder, terms = self.out / "authority", wanted.certificates
        if not self.exists():
            ca = Authority.create(wanted.federation, terms.authority_days, now)
            files.write(folder / "ca.key", pki.private_pem(ca.key), files.SECRET)
            files.write(folder / "ca.crt", pki.pem(ca.certificate), files.PUBLIC)
            record = json.dumps(_fixed(wanted), indent=2).encode()
            files.write(self.record, record, files.PUBLIC)
            folder.chmod(0o700)
            return ca
        ca = Authority.load((folder / "ca.crt").read_bytes(), (folder / "ca.key").read_bytes())
        left = ca.certificate.not_valid_after_utc - now
        if not renew or left > dt.timedelta(days=terms.server_days):
            return ca
        ca = ca.renewed(terms.authority_days, now)
        files.write(folder / "ca.crt", pki.pem(ca.certificate), files.PUBLIC)
        done.authority_renewed = True
        for name in self.admitted():
            if (self.out / name).is_dir():
                files.write(self.out / name / "ca.crt", pki.pem(ca.certificate), files.PUBLIC)
                self._archive(name)
        return ca

    def add(self, name: str, wanted: FederationFile, ca: Authority) -> None:
        """One hospital's kit; its public key, which admits it, is written last."""
        folder = self.out / name
        key_file = folder / "node.key"  # there if an earlier run was cut off
        key = key_file.read_bytes() if key_file.exists() else pki.node_key()
        files.write(key_file, key, files.SECRET)
        folder.chmod(0o700)
        files.write(folder / "ca.crt", pki.pem(ca.certificate), files.PUBLIC)
        kit = {
            "federation": wanted.federation,
            "hospital": name,
            "coordinator": wanted.coordinator.url_address,
        }
        files.write(folder / FILE, _kit("hospital", kit), files.PUBLIC)
        values = {**kit, "authority_until": f"{ca.certificate.not_valid_after_utc:%Y-%m-%d}"}
        for path, content, mode in templates.render("hospital", values):
            files.write(folder / path, content, mode)
        self._archive(name)
        public = pki.public_line(key, name)
        files.write(self.home / "nodes" / f"{name}.pub", public, files.PUBLIC)

    def revoke(self, name: str) -> None:
        """Move the key from those admitted to those shut out; safe to repeat."""
        admitted, shut_out = (self.home / kind / f"{name}.pub" for kind in ("nodes", "revoked"))
        if admitted.exists():
            files.write(shut_out, admitted.read_bytes(), files.PUBLIC)
            admitted.unlink()

    def coordinator(
        self,
        wanted: FederationFile,
        ca: Authority,
        now: dt.datetime,
        done: Provisioned,
        *,
        renew: bool,
    ) -> None:
        """The coordinator's kit as it has to be now."""
        place, terms = wanted.coordinator, wanted.certificates
        certificate, key = self.home / "server.crt", self.home / "server.key"
        hosts = [place.address, *place.names]
        named = {*hosts, *pki.LOOPBACK}
        if renew or not certificate.exists() or pki.names_of(certificate.read_bytes()) != named:
            new_certificate, new_key = ca.certify(hosts, terms.server_days, now)
            files.write(key, new_key, files.SECRET)
            files.write(certificate, new_certificate, files.PUBLIC)
        self.home.chmod(0o700)
        files.write(self.home / "ca.crt", pki.pem(ca.certificate), files.PUBLIC)
        kit = {
            "federation": wanted.federation,
            "address": place.address,
            "listen": place.listen,
            "port": place.port,
            "superlink_port": place.superlink_port,
        }
        files.write(self.home / FILE, _kit("coordinator", kit), files.PUBLIC)
        done.server_until = f"{pki.expiry(certificate.read_bytes()):%Y-%m-%d}"
        done.authority_until = f"{ca.certificate.not_valid_after_utc:%Y-%m-%d}"
        values = {**kit, "server_until": done.server_until}
        for path, content, mode in templates.render("coordinator", values):
            files.write(self.home / path, content, mode)
        done.coordinator = self._archive("coordinator")

    def _archive(self, name: str) -> bool:
        return files.archive(self.out / name, self.out / f"{name}.tar.gz", without=[STATE])


def _fixed(wanted: FederationFile) -> dict[str, object]:
    place = wanted.coordinator
    values = (wanted.federation, place.address, place.port)
    return dict(zip(FIXED, values, strict=True))


def _kit(kind: str, content: Mapping[str, object]) -> bytes:
    text: str = yaml.safe_dump({"kind": kind, "schema": SCHEMA, **content}, sort_keys=False)
    return text.encode()

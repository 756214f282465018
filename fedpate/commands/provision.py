"""`fedpate provision FEDERATION.yaml --out DIR`: the start-up kits of a real federation."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fedpate.commands._arguments import Parser

if TYPE_CHECKING:
    from fedpate.federation.provision.kits import Provisioned

HELP = """\
usage: fedpate provision FEDERATION.yaml --out DIR [--revoke NAME] [--renew] [--json]

Makes one start-up kit per hospital and one for the coordinator, each a folder and a .tar.gz:
certificates, keys, policy, start script, systemd unit, Dockerfile, and a README with the one
command. Run it again with more hospitals in the file and only theirs are made.

FEDERATION.yaml:
  federation: heart-study
  coordinator:
    address: pate.example.org   # name or IP address by which the hospitals reach it
    port: 9092                  # the one port that is open to them (default 9092)
    listen: 0.0.0.0             # where the coordinator binds it (default: every interface)
    superlink_port: 9091        # on its loopback only (default 9091)
    names: [10.0.0.5]           # more names for its certificate (default: none)
    resolve: true               # false: this machine need not be able to resolve the address
  certificates: {server_days: 397, authority_days: 3650}
  hospitals: [north, south]

  --out DIR      the folder of all kits; DIR/authority holds the key that signs: it stays with you
  --revoke NAME  shut a hospital out for good (may be repeated)
  --renew        a new server certificate, and a new term for the authority when it nears its end
  --json         print one JSON document

examples:
  fedpate provision federation.yaml --out kits
  fedpate provision federation.yaml --out kits --revoke south
  fedpate provision federation.yaml --out kits --renew"""


def main(args: Sequence[str]) -> int:
    """Make or extend the kits.

    Raises:
      ConfigError: the file or an option is wrong; nothing was changed.
    """
    parser = Parser(add_help=False)
    parser.add_argument("file", metavar="FEDERATION.yaml", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--revoke", action="append", default=[])
    parser.add_argument("--renew", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.read(args)

    from fedpate.commands._output import print_json, say
    from fedpate.federation.provision import kits
    from fedpate.federation.provision.federation_file import FederationFile

    wanted = FederationFile.read(asked.file)
    done = kits.provision(wanted, asked.out, asked.revoke, renew=asked.renew)
    if asked.json:
        print_json(done.to_dict())
    else:
        say(_words(done))
    return 0


def _words(done: "Provisioned") -> str:
    lines = [f"Kits in {done.folder}"]
    if done.added:
        lines.append(f"  new:       {', '.join(done.added)}: hand NAME.tar.gz to each, in private")
    if done.kept:
        lines.append(f"  untouched: {', '.join(done.kept)}")
    if done.revoked:
        lines.append(f"  shut out:  {', '.join(done.revoked)}")
    if done.still_admitted:
        names = ", ".join(done.still_admitted)
        lines.append(f"  not in the file but still admitted: {names}; --revoke NAME shuts one out")
    if done.coordinator:
        lines.append("  coordinator.tar.gz changed: unpack it over the coordinator's kit")
    if done.authority_renewed:
        lines.append("  the authority was renewed: every hospital needs the new ca.crt in its kit")
    lines.append(
        f"The server's certificate ends on {done.server_until}, the authority's on "
        f"{done.authority_until}. Keep {done.folder / 'authority'} to yourself: it can pose as the "
        "coordinator."
    )
    return "\n".join(lines)

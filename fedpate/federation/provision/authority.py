"""Certificates and keys: the federation's own authority, the server's certificate, node keys.

The authority certifies one kind of thing, the coordinator's server certificate, and hospitals trust
nothing else: no public authority can stand in for the coordinator. A hospital proves itself with a
raw key (EC P-384 in OpenSSH's format, as Flower reads it), which does not expire.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedpate.errors import ConfigError
from fedpate.federation.provision.federation_file import ip_address

LOOPBACK = ("localhost", "127.0.0.1", "::1")  # the SuperLink's own door
_BACKDATED = dt.timedelta(hours=1)  # peers' clocks may be behind


@dataclass(frozen=True)
class Authority:
    """The federation's private certificate authority."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, federation: str, days: int, now: dt.datetime) -> "Authority":
        """A new authority, valid from `now` (UTC) for `days`."""
        return cls._self_signed(ec.generate_private_key(ec.SECP384R1()), federation, days, now)

    @classmethod
    def load(cls, certificate: bytes, key: bytes) -> "Authority":
        """From PEM; raises ConfigError if they are not what `pem` wrote."""
        try:
            loaded = serialization.load_pem_private_key(key, None)
            read = x509.load_pem_x509_certificate(certificate)
        except ValueError as error:
            raise ConfigError("the authority's ca.crt and ca.key must be in PEM format") from error
        if not isinstance(loaded, ec.EllipticCurvePrivateKey) or (
            loaded.public_key() != read.public_key()
        ):
            raise ConfigError("the authority's ca.key must be the key of its ca.crt")
        return cls(read, loaded)

    def renewed(self, days: int, now: dt.datetime) -> "Authority":
        """The same key and name with a new term: what it signed stays valid."""
        name = self.certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value
        return self._self_signed(self.key, str(name), days, now)

    @classmethod
    def _self_signed(
        cls, key: ec.EllipticCurvePrivateKey, federation: str, days: int, now: dt.datetime
    ) -> "Authority":
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, federation),
                x509.NameAttribute(NameOID.COMMON_NAME, "fedpate federation authority"),
            ]
        )
        builder = _builder(name, name, key, days, now)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), True)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False
        )
        return cls(builder.sign(key, hashes.SHA384()), key)

    def certify(self, hosts: Sequence[str], days: int, now: dt.datetime) -> tuple[bytes, bytes]:
        """A server key of its own and its certificate, both PEM: (certificate, private key).

        Args:
          hosts: DNS names and IP addresses by which the server is reached; loopback is added.
          days: its term; cut at the authority's own end.
          now: UTC.
        """
        key = ec.generate_private_key(ec.SECP384R1())
        left = (self.certificate.not_valid_after_utc - now).days
        if left < 1:
            raise ConfigError("the authority's certificate has expired; --renew renews it")
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
        builder = _builder(name, self.certificate.subject, key, min(days, left), now)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(_usage(digital_signature=True), True)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False
        )
        builder = builder.add_extension(_alternative_names([*hosts, *LOOPBACK]), False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False
        )
        signed = builder.sign(self.key, hashes.SHA384())
        return pem(signed), private_pem(key)


def pem(certificate: x509.Certificate) -> bytes:
    """A certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as text, not encrypted: the file's mode protects it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def names_of(certificate: bytes) -> frozenset[str]:
    """The names and addresses in a PEM certificate."""
    names = x509.load_pem_x509_certificate(certificate).extensions
    value = names.get_extension_for_class(x509.SubjectAlternativeName).value
    dns = value.get_values_for_type(x509.DNSName)
    return frozenset([*dns, *map(str, value.get_values_for_type(x509.IPAddress))])


def expiry(certificate: bytes) -> dt.datetime:
    """When a PEM certificate ends, in UTC."""
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc


def node_key() -> bytes:
    """A new private key of a hospital, in OpenSSH's format."""
    return ec.generate_private_key(ec.SECP384R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )


def public_line(node_key: bytes, comment: str) -> bytes:
    """The public half of a hospital's key, one line in OpenSSH's format."""
    key = serialization.load_ssh_private_key(node_key, None)
    line = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return line + f" {comment}\n".encode()


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    days: int,
    now: dt.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_names(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = []
    for host in dict.fromkeys(hosts):
        address = ip_address(host)
        names.append(x509.IPAddress(address) if address else x509.DNSName(host))
    return x509.SubjectAlternativeName(names)

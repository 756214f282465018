"""Who is at the door: a SuperNode's signature, checked before its request is read.

Flower's SuperNode signs a timestamp with its node key and sends key, timestamp and signature as
headers. The SuperLink checks them too, but only after it has read the whole body.
"""

import base64
import binascii
import datetime as dt
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.common.constant import SYSTEM_TIME_TOLERANCE, TIMESTAMP_HEADER, TIMESTAMP_TOLERANCE
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.primitives.asymmetric import (
    bytes_to_public_key,
    public_key_to_bytes,
    sign_message,
    verify_signature,
)

from fedpate.errors import ConfigError, FedPateError

OLDEST_S = TIMESTAMP_TOLERANCE + SYSTEM_TIME_TOLERANCE  # a timestamp may be this much behind
NEWEST_S = SYSTEM_TIME_TOLERANCE  # and this much ahead


class NotAdmitted(FedPateError):  # noqa: N818 - a decision, not a fault
    """A request is not from an admitted hospital; `reason` is "key", "clock" or "signature"."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Admitted:
    """The hospitals whose public keys are in a folder; the folder is looked at every time.

    A key that is removed shuts its hospital out at the next request.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[tuple[str, int], ...] = ()
        self._names: dict[bytes, str] = {}

    def names(self) -> Mapping[bytes, str]:
        """Public key (PEM, as Flower writes it) -> hospital."""
        files = sorted(self._folder.glob("*.pub"))
        seen = tuple((path.name, path.stat().st_mtime_ns) for path in files)
        if seen != self._seen:
            self._names = {public_pem(path): path.stem for path in files}
            self._seen = seen
        return self._names

    def require(self, headers: Mapping[str, str], now: dt.datetime) -> str:
        """The hospital that signed these headers.

        Raises:
          NotAdmitted: nobody who may come in; its reason may be told to whoever asks.
        """
        try:
            key = base64.b64decode(headers[FLEET_HTTP_PUBLIC_KEY_HEADER], validate=True)
            signature = base64.b64decode(headers[FLEET_HTTP_SIGNATURE_HEADER], validate=True)
            timestamp = headers[TIMESTAMP_HEADER]
            age = (now - dt.datetime.fromisoformat(timestamp)).total_seconds()
        except (KeyError, ValueError, TypeError, binascii.Error) as error:
            raise NotAdmitted("signature", "a request without a hospital's signature") from error
        name = self.names().get(key)
        if name is None:
            raise NotAdmitted("key", "a request with a key that is not admitted")
        if not verify_signature(bytes_to_public_key(key), timestamp.encode("ascii"), signature):
            raise NotAdmitted("signature", f"a request with a wrong signature of {name}")
        if not -NEWEST_S < age < OLDEST_S:
            raise NotAdmitted("clock", f"the clock of {name} differs from ours by {age:+.0f} s")
        return name


def public_pem(path: Path) -> bytes:
    """A public key file in OpenSSH's format, as the PEM that Flower compares."""
    try:
        key = serialization.load_ssh_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"KIT/nodes/{path.name} must be a public key in OpenSSH format"
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ConfigError(f"KIT/nodes/{path.name} must be an elliptic-curve key")
    return public_key_to_bytes(key)


def sign(node_key: Path, now: dt.datetime) -> dict[str, str]:
    """The headers with which a hospital proves itself."""
    key = serialization.load_ssh_private_key(node_key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    timestamp = now.isoformat()
    public = public_key_to_bytes(key.public_key())
    signature = sign_message(key, timestamp.encode("ascii"))
    return {
        FLEET_HTTP_PUBLIC_KEY_HEADER: base64.b64encode(public).decode("ascii"),
        FLEET_HTTP_SIGNATURE_HEADER: base64.b64encode(signature).decode("ascii"),
        TIMESTAMP_HEADER: timestamp,
    }

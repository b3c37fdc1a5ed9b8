"""Certificates for tests: a CA, and the certificates that it signs."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

Key = ec.EllipticCurvePrivateKey

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    cert: Path
    key: Path

    @property
    def number(self) -> int:
        """The serial number, by which a test identifies a certificate."""
        return x509.load_pem_x509_certificate(self.cert.read_bytes()).serial_number


class Authority:
    """Signs certificates; its own is in ``cert``."""

    def __init__(self, folder: Path, name: str = "a test's authority", above: Authority | None = None) -> None:
        self._folder = folder
        self._key = _create_key()
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.cert = folder / f"{name.replace(' ', '-')}.crt"
        signer = above or self
        builder = _builder(self._name, signer, self._key, ca=True)
        made = builder.sign(signer._key, hashes.SHA256())
        self.cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def sign(self, file: str, *names: str, expired: bool = False) -> Pair:
        """Create ``file``.crt and ``file``.key for names; their form decides: DNS, IP, e-mail or URI."""
        key = _create_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, file)])
        builder = _builder(subject, self, key, ca=False, expired=expired)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(map(_general_name, names)), critical=False)
        made = builder.sign(self._key, hashes.SHA256())
        pair = Pair(self._folder / f"{file}.crt", self._folder / f"{file}.key")
        pair.cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pair


def _create_key() -> Key:
    """Create a key with a marker in both secret lines of its file, so that ``secret_scan`` finds each of them."""
    # A PEM line has 48 bytes. The first has 36 bytes of header and 12 of the key, the second begins with the other 20.
    first, second = b"secret-of-" + os.urandom(2), b"secret-of-" + os.urandom(10)
    return ec.derive_private_key(int.from_bytes(first + second), ec.SECP256R1())


def _usage(*, ca: bool) -> x509.KeyUsage:
    """Return what Python 3.13 requires of a certificate by default (RFC 5280)."""
    others = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    last = dict.fromkeys(("encipher_only", "decipher_only"), False)
    return x509.KeyUsage(digital_signature=True, key_cert_sign=ca, crl_sign=ca, **others, **last)


def _builder(
    subject: x509.Name, issuer: Authority, key: Key, *, ca: bool, expired: bool = False
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer._name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 2 * _DAY)
        .not_valid_after(now - _DAY if expired else now + _DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer._key.public_key()), critical=False)
        .add_extension(_usage(ca=ca), critical=True)
    )


def _general_name(name: str) -> x509.GeneralName:
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    if "@" in name:
        return x509.RFC822Name(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)

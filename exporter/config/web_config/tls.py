"""The section ``tls_server_config`` of the web configuration: what Python's ssl can do as asked, and nothing else."""

from __future__ import annotations

import os
import re
import ssl
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.config.document.sections import one_of, parse_bool, required
from exporter.config.files import (
    FileSignature,
    FileUnreadableError,
    file_signature,
    parse_path,
    read_text,
    readable_by_others,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exporter.config.document.sections import Section

MAX_BYTES = 1 << 20
"""Of a certificate, key or authorities' file."""

TLS_OPTIONS = (
    *("cert", "cert_file", "key", "key_file", "client_ca", "client_ca_file"),
    *("client_auth_type", "client_allowed_sans", "min_version", "max_version"),
    *("cipher_suites", "prefer_server_cipher_suites", "curve_preferences"),
)

CIPHERS = {
    f"TLS_ECDHE_{key}_WITH_{suite}": f"ECDHE-{key}-{name}"
    for key in ("ECDSA", "RSA")
    for suite, name in {
        "AES_128_CBC_SHA": "AES128-SHA",
        "AES_256_CBC_SHA": "AES256-SHA",
        "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
        "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
        "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
    }.items()
}
"""The suites of TLS 1.2 that the toolkit takes (those Go calls secure), and their names in OpenSSL."""
CIPHERS_OF_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""Always spoken: neither Go nor Python's ssl lets one choose among them."""

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_OLD_VERSIONS = {"TLS10", "TLS11"}
_CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_UNVERIFIED = {"RequestClientCert", "RequireAnyClientCert", "RequireClientCert"}
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
_FLIGHTS = 3
"""Each side speaks at most so often in a handshake (RFC 5246 section 7.3, RFC 8446 section 2)."""
_ENCRYPTED = re.compile(r"-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED")


@dataclass(frozen=True, slots=True)
class TlsServer:
    """TLS as the operator wants it served."""

    context: ssl.SSLContext
    """Ready for connections; nobody changes it any more."""
    client_names: frozenset[str] | None = None
    """The certificate of a client must be for one of these; None: for anything."""


class TlsReader:
    """Reads the section; ``looks`` are those of the files that it names, from just before they were read.

    Args:
        section: the section, given and not empty.
        folder: where relative paths begin.
    """

    def __init__(self, section: Section, folder: Path) -> None:
        self._section = section
        self._folder = folder
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.options |= ssl.OP_NO_RENEGOTIATION
        self._context.set_alpn_protocols(["http/1.1"])
        self.signatures: list[tuple[Path, FileSignature]] = []

    def read(self) -> TlsServer:
        """What the section says; only of use if no problem was noted."""
        is_served = self._identity()
        is_served &= self._versions()
        self._ciphers(is_served=is_served)
        names = self._clients()
        if "curve_preferences" in self._section:
            self._section.problem("curve_preferences", "is not supported: Python's ssl takes no list; leave it out")
        return TlsServer(self._context, names)

    def _identity(self) -> bool:
        """Takes certificate and key; False if there is a problem, which is noted."""
        cert, key = self._pem("cert", needed=True), self._pem("key", needed=True)
        if cert is not None and not _can_be_read(cert[1]):
            self._section.problem(cert[0], "holds no certificate that OpenSSL can read")
            cert = None
        if key is not None and _ENCRYPTED.search(key[1]):
            self._section.problem(key[0], "the key is encrypted; it must be one without a passphrase")
            key = None
        if cert is None or key is None:
            return False
        try:
            with _as_file(cert[1]) as cert_path, _as_file(key[1]) as key_path:
                self._context.load_cert_chain(cert_path, key_path, password="")
        except ssl.SSLError as error:
            words = {
                "KEY_VALUES_MISMATCH": "the key is not that of the certificate",
                "NO_CERTIFICATE_ASSIGNED": "the key is not that of the certificate",
                "EE_KEY_TOO_SMALL": "the key is too short for OpenSSL's security level",
                "CA_MD_TOO_WEAK": "the certificate's signature is too weak for OpenSSL's security level",
            }
            self._section.problem(key[0], words.get(error.reason, "holds no private key that OpenSSL can read"))
            return False
        return True

    def _versions(self) -> bool:
        """Takes the versions; False if there is a problem, which is noted."""
        least, most = (self._section.value(option, _version) for option in ("min_version", "max_version"))
        self._context.minimum_version = least or ssl.TLSVersion.TLSv1_2
        self._context.maximum_version = most or ssl.TLSVersion.TLSv1_3
        if self._context.minimum_version > self._context.maximum_version:
            self._section.problem("max_version", "is below min_version")
            return False
        return True

    def _ciphers(self, *, is_served: bool) -> None:
        section = self._section
        if section.value("prefer_server_cipher_suites", parse_bool) is False:
            self._context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        chosen = section.texts("cipher_suites")
        for line, name in chosen:
            if name not in CIPHERS and name not in CIPHERS_OF_TLS13:
                section.problem_at(line, "cipher_suites", "holds a suite that is unknown, or that Go calls insecure")
        names = {name for _, name in chosen}
        if 0 < len(names & set(CIPHERS_OF_TLS13)) < len(CIPHERS_OF_TLS13):
            words = "the suites of TLS 1.3 cannot be chosen: give all three of them or none"
            section.problem("cipher_suites", words)
        known = [CIPHERS[name] for _, name in chosen if name in CIPHERS]
        if known:
            self._context.set_ciphers(":".join(known))
        elif chosen and self._context.minimum_version < ssl.TLSVersion.TLSv1_3:
            section.problem("cipher_suites", "holds no suite of TLS 1.2; for TLS 1.3 alone write min_version: TLS13")
        if known and is_served and not _can_be_spoken(self._context):
            section.problem("cipher_suites", "holds no suite for the kind of key that the certificate has")

    def _clients(self) -> frozenset[str] | None:
        section = self._section
        mode = section.value("client_auth_type", _client_auth) if "client_auth_type" in section else ssl.CERT_NONE
        self._authorities(mode)
        if mode is not None:
            self._context.verify_mode = mode
        if "client_allowed_sans" not in section:
            return None
        names = frozenset(name for _, name in section.texts("client_allowed_sans"))
        if not names:
            section.problem("client_allowed_sans", "is empty: no client could connect; leave it out")
        if mode not in {None, ssl.CERT_REQUIRED}:
            section.problem("client_allowed_sans", "needs client_auth_type: RequireAndVerifyClientCert")
        return names

    def _authorities(self, mode: ssl.VerifyMode | None) -> None:
        """Who signs the certificates of clients; ``mode`` is None where it was wrong, which is noted already."""
        section, given = self._section, self._pem("client_ca")
        if given is not None:
            name, text = given
            if mode == ssl.CERT_NONE:
                section.problem(name, "needs client_auth_type, such as RequireAndVerifyClientCert")
            if not _can_be_read(text):
                section.problem(name, "holds no certificate that OpenSSL can read")
            else:
                self._context.load_verify_locations(cadata="\n".join(_CERTIFICATE.findall(text)))
                # Whoever stands in the file is trusted, an intermediate too, as by the toolkit.
                self._context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        elif mode not in {None, ssl.CERT_NONE} and "client_ca" not in section and "client_ca_file" not in section:
            section.problem("client_auth_type", "needs client_ca_file: who signs the certificates of clients?")

    def _pem(self, name: str, *, needed: bool = False) -> tuple[str, str] | None:
        """The option that is given, inline or a file, and its PEM text; None if there is none to be had."""
        section, file = self._section, f"{name}_file"
        if name in section and file in section:
            section.problem(name, f"is given, and {file} too; keep one")
            return None
        if name in section:
            text = section.value(name, required)
            return None if text is None else (name, text)
        if needed and file not in section and not section.is_misspelt(file):
            section.problem(file, "is missing")
        path = section.value(file, parse_path)
        if path is None:
            return None
        place = self._folder / path
        self.signatures.append((place, file_signature(place)))
        try:
            text = read_text(place, MAX_BYTES)
        except FileUnreadableError as error:
            section.problem(file, f"the file {error}")
            return None
        if name == "key" and readable_by_others(place):
            section.warning(file, "every user of this machine can read the file; chmod o-r it")
        return file, text


def _version(text: str) -> ssl.TLSVersion:
    if text in _OLD_VERSIONS:
        raise ValueError("below TLS12 nothing is spoken: OpenSSL's security level forbids it")
    return _VERSIONS[one_of(*_VERSIONS)(text)]


def _client_auth(text: str) -> ssl.VerifyMode:
    if text in _UNVERIFIED:
        raise ValueError(
            "certificates that nobody verifies are not supported:"
            " write VerifyClientCertIfGiven or RequireAndVerifyClientCert"
        )
    return _CLIENT_AUTH[one_of(*_CLIENT_AUTH)(text or "NoClientCert")]


def _can_be_read(text: str) -> bool:
    """Whether there are certificates, and each is one."""
    found = _CERTIFICATE.findall(text)
    try:
        for certificate in found:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=certificate)
    except (ssl.SSLError, ValueError):
        return False
    return bool(found)


def _can_be_spoken(context: ssl.SSLContext) -> bool:
    """Whether a client that takes any certificate can come to terms with it."""
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (anyone.wrap_bio(to_client, to_server), context.wrap_bio(to_server, to_client, server_side=True))
    try:
        for _ in range(_FLIGHTS):
            for side in sides:
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
    except ssl.SSLError:
        return False
    return True


@contextmanager
def _as_file(text: str) -> Iterator[str]:
    """A path to a text that is in memory alone: Python's ssl takes certificates and keys from files only."""
    with os.fdopen(os.memfd_create("pem"), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"

"""Read the section ``tls_server_config`` of the web configuration into the TLS settings of the server.

The format is that of Prometheus' exporter-toolkit, which is written in Go. What Python's ssl module cannot do in the
same way (other curves, single suites of TLS 1.3, unverified client certificates) is a problem instead of being ignored:
an operator must not believe in a restriction that is not in force.

Everything is loaded into an SSLContext while the configuration is read, so that a wrong key or an impossible set of
cipher suites is reported with its line and the previous settings stay in use. A context is never changed afterwards,
since handshakes in other threads use it; changed files lead to a new context. The signature of a file is read before
its content is read: a file that changes in between then counts as changed and is read again, never missed.
"""

from __future__ import annotations

import os
import re
import ssl
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from exporter.config.document.sections import one_of, parse_bool, required
from exporter.config.files import (
    FileSignature,
    FileUnreadableError,
    file_signature,
    no_such_file,
    parse_path,
    read_text,
    readable_by_others,
)
from exporter.httpd import Tls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exporter.config.document.sections import Section

MAX_BYTES = 1 << 20
"""Of a file with certificates or a key."""

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
"""The TLS 1.2 suites that the toolkit accepts (those Go considers secure), and their names in OpenSSL."""
CIPHERS_OF_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""Always enabled: neither Go nor Python's ssl module can select among them."""

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_OLD_VERSIONS = {"TLS10", "TLS11"}
_CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_UNVERIFIED = {"RequestClientCert", "RequireAnyClientCert", "RequireClientCert"}
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
_MAX_FLIGHTS = 3
"""Flights of each side in a handshake (RFC 5246 section 7.3, RFC 8446 section 2)."""
_ENCRYPTED = re.compile(r"-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED")


class TlsReader:
    """Reads the section. ``signatures`` has the files that it names, each as it was before it was read.

    Args:
        section: the section, present and not empty.
        directory: where relative paths start.
    """

    def __init__(self, section: Section, directory: Path) -> None:
        self._section = section
        self._directory = directory
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Renegotiation would let a client repeat the expensive part of the handshake on one connection.
        self._context.options |= ssl.OP_NO_RENEGOTIATION
        # Clients that also offer HTTP/2 must select HTTP/1.1.
        self._context.set_alpn_protocols(["http/1.1"])
        self.signatures: list[tuple[Path, FileSignature]] = []

    def read(self) -> Tls:
        """Return the settings; unusable if a problem was reported."""
        is_complete = self._load_key_pair()
        is_complete &= self._set_versions()
        self._set_ciphers(is_complete=is_complete)
        names = self._set_client_auth()
        if "curve_preferences" in self._section:
            self._section.problem("curve_preferences", "is not supported by Python's ssl module; remove it")
        return Tls(self._context, names)

    def _load_key_pair(self) -> bool:
        """Load certificate and key; return False if there is a problem, which is reported."""
        cert, key = self._pem("cert", needed=True), self._pem("key", needed=True)
        if cert is not None and not _is_readable(cert[1]):
            self._section.problem(cert[0], "contains no certificate that OpenSSL can read")
            cert = None
        if key is not None and _ENCRYPTED.search(key[1]):
            self._section.problem(key[0], "the key is encrypted; use a key without a passphrase")
            key = None
        if cert is None or key is None:
            return False
        try:
            # An empty password: OpenSSL would otherwise prompt for one on the terminal and block.
            with _as_file(cert[1]) as cert_path, _as_file(key[1]) as key_path:
                self._context.load_cert_chain(cert_path, key_path, password="")
        except ssl.SSLError as error:
            messages = {
                "KEY_VALUES_MISMATCH": "the key does not match the certificate",
                "NO_CERTIFICATE_ASSIGNED": "the key does not match the certificate",
                "EE_KEY_TOO_SMALL": "the key is too short for OpenSSL's security level",
                "CA_MD_TOO_WEAK": "the certificate's signature is too weak for OpenSSL's security level",
            }
            self._section.problem(key[0], messages.get(error.reason, "contains no private key that OpenSSL can read"))
            return False
        return True

    def _set_versions(self) -> bool:
        """Set the versions; return False if there is a problem, which is reported."""
        minimum, maximum = (self._section.value(option, _version) for option in ("min_version", "max_version"))
        self._context.minimum_version = minimum or ssl.TLSVersion.TLSv1_2
        self._context.maximum_version = maximum or ssl.TLSVersion.TLSv1_3
        if self._context.minimum_version > self._context.maximum_version:
            self._section.problem("max_version", "is lower than min_version")
            return False
        return True

    def _set_ciphers(self, *, is_complete: bool) -> None:
        section = self._section
        if section.value("prefer_server_cipher_suites", parse_bool) is False:
            # Python sets the option by default, as the toolkit does.
            self._context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        chosen = section.texts("cipher_suites")
        for line, name in chosen:
            if name not in CIPHERS and name not in CIPHERS_OF_TLS13:
                message = "contains an unknown suite, or one that Go considers insecure"
                section.problem_at(line, "cipher_suites", message)
        names = {name for _, name in chosen}
        if 0 < len(names & set(CIPHERS_OF_TLS13)) < len(CIPHERS_OF_TLS13):
            message = "the suites of TLS 1.3 cannot be selected: list all three or none"
            section.problem("cipher_suites", message)
        known = [CIPHERS[name] for _, name in chosen if name in CIPHERS]
        if known:
            self._context.set_ciphers(":".join(known))
        elif chosen and self._context.minimum_version < ssl.TLSVersion.TLSv1_3:
            section.problem("cipher_suites", "contains no suite of TLS 1.2; for TLS 1.3 only, set min_version: TLS13")
        if known and is_complete and not _can_handshake(self._context):
            section.problem("cipher_suites", "contains no suite for the certificate's type of key")

    def _set_client_auth(self) -> frozenset[str] | None:
        section = self._section
        mode = section.value("client_auth_type", _client_auth) if "client_auth_type" in section else ssl.CERT_NONE
        self._load_client_ca(mode)
        if mode is not None:
            self._context.verify_mode = mode
        if "client_allowed_sans" not in section:
            return None
        names = frozenset(name for _, name in section.texts("client_allowed_sans"))
        if not names:
            section.problem("client_allowed_sans", "is empty, so no client could connect; remove it")
        if mode not in {None, ssl.CERT_REQUIRED}:
            section.problem("client_allowed_sans", "requires client_auth_type: RequireAndVerifyClientCert")
        return names

    def _load_client_ca(self, mode: ssl.VerifyMode | None) -> None:
        """Load the CA of client certificates; ``mode`` is None if it is invalid, which has been reported."""
        section, given = self._section, self._pem("client_ca")
        if given is not None:
            name, text = given
            if mode == ssl.CERT_NONE:
                section.problem(name, "requires client_auth_type, such as RequireAndVerifyClientCert")
            if not _is_readable(text):
                section.problem(name, "contains no certificate that OpenSSL can read")
            else:
                self._context.load_verify_locations(cadata="\n".join(_CERTIFICATE.findall(text)))
                # Trust each certificate of the file, also an intermediate one, as the toolkit does.
                self._context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        elif mode not in {None, ssl.CERT_NONE} and "client_ca" not in section and "client_ca_file" not in section:
            section.problem("client_auth_type", "requires client_ca_file, the CA that signs client certificates")

    def _pem(self, name: str, *, needed: bool = False) -> tuple[str, str] | None:
        """Return the option that is set (inline or file) and its PEM text; None if absent or invalid."""
        section, file = self._section, f"{name}_file"
        if name in section and file in section:
            section.problem(name, f"set only one of {name}, {file}")
            return None
        if name in section:
            text = section.value(name, required)
            return None if text is None else (name, text)
        if needed and file not in section and not section.is_misspelt(file):
            section.problem(file, "is missing")
        path = section.value(file, parse_path)
        if path is None:
            return None
        file_path = self._directory / path
        self.signatures.append((file_path, file_signature(file_path)))
        try:
            text = read_text(file_path, MAX_BYTES)
        except FileUnreadableError as error:
            section.problem(file, no_such_file(path) if error.is_missing else f"the file {error}")
            return None
        if name == "key" and readable_by_others(file_path):
            section.warning(file, "the file is readable by every user of this machine; run chmod o-r on it")
        return file, text


def _version(text: str) -> ssl.TLSVersion:
    if text in _OLD_VERSIONS:
        raise ValueError("versions below TLS12 are not supported: OpenSSL's security level forbids them")
    return _VERSIONS[one_of(*_VERSIONS)(text)]


def _client_auth(text: str) -> ssl.VerifyMode:
    if text in _UNVERIFIED:
        raise ValueError(
            "unverified client certificates are not supported:"
            " use VerifyClientCertIfGiven or RequireAndVerifyClientCert"
        )
    return _CLIENT_AUTH[one_of(*_CLIENT_AUTH)(text or "NoClientCert")]


def _is_readable(text: str) -> bool:
    """Return whether a text contains certificates and OpenSSL can read each of them."""
    found = _CERTIFICATE.findall(text)
    try:
        for certificate in found:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=certificate)
    except (ssl.SSLError, ValueError):
        return False
    return bool(found)


def _can_handshake(context: ssl.SSLContext) -> bool:
    """Return whether a client that accepts any certificate can complete a handshake.

    A suite that does not match the key type (RSA, ECDSA) is otherwise noticed only when every client fails.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (client.wrap_bio(to_client, to_server), context.wrap_bio(to_server, to_client, server_side=True))
    try:
        for _ in range(_MAX_FLIGHTS):
            for side in sides:
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
    except ssl.SSLError:
        return False
    return True


@contextmanager
def _as_file(text: str) -> Iterator[str]:
    """Yield a path to a text in memory: Python's ssl module loads certificates and keys from files only.

    The files of the configuration are not loaded by path, since they could change between check and use.
    """
    with os.fdopen(os.memfd_create("pem"), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"

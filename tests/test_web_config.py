"""The web configuration: invalid ones with their exact messages, valid ones with their values."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt
import pytest
from certificates import Authority, Pair
from config_bad_row import MARKER
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from exporter.config import ConfigError, load_web
from exporter.config.web_config.tls import CIPHERS, CIPHERS_OF_TLS13
from exporter.config.web_config.web import HEADERS, WebConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.httpd import Tls

HASH = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
PAIR = "  cert_file: server.crt\n  key_file: server.key\n"
TLS = f"tls_server_config:\n{PAIR}"
CLIENTS = f"{TLS}  client_ca_file: authority.crt\n"
ECDSA = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
ALL_OF_TLS13 = "".join(f"\n  - {name}" for name in CIPHERS_OF_TLS13)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with valid and invalid certificates and keys."""
    folder = tmp_path_factory.mktemp("made")
    authority = Authority(folder, "authority")
    server, other = authority.sign("server", "localhost"), authority.sign("other", "localhost")
    for pair in (server, other):
        pair.key.chmod(0o600)
    locked = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"a passphrase"),
    )
    (folder / "locked.key").write_bytes(locked)
    of_another_kind = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "rsa.key").write_bytes(of_another_kind)
    (folder / "nonsense").write_text(f"-----BEGIN CERTIFICATE-----\n{MARKER}\n-----END CERTIFICATE-----\n")
    (folder / "binary").write_bytes(b"\n\xff\xfe")
    (folder / "folder").mkdir()
    return folder


def load(folder: Path, text: str) -> WebConfig:
    file = folder / "web.yml"
    file.write_text(text)
    return load_web(file)


@dataclass(frozen=True)
class Bad:
    name: str
    text: str
    expected: tuple[str, ...]


def bad(name: str, text: str, *expected: str) -> Bad:
    return Bad(name, text.replace("{M}", MARKER), expected)


NO_CERTIFICATE = "contains no certificate that OpenSSL can read"
NO_KEY = "contains no private key that OpenSSL can read"
NO_MATCH = "the key does not match the certificate"
NO_HASH = "basic_auth_users: a password is not a bcrypt hash; create one with `htpasswd -nBC 10 NAME`"
NO_COST = "basic_auth_users: the cost of a hash must be from 4 to 18; above that, a check takes half a minute or more"
UNVERIFIED = (
    "tls_server_config.client_auth_type: unverified client certificates are not supported:"
    " use VerifyClientCertIfGiven or RequireAndVerifyClientCert"
)
BELOW_TLS12 = "versions below TLS12 are not supported: OpenSSL's security level forbids them"
UNKNOWN_SUITE = "tls_server_config.cipher_suites: contains an unknown suite, or one that Go considers insecure"

BAD = (
    bad("nothing", "", "web.yml: the file is empty"),
    bad("only a remark", "# soon\n", "web.yml: the file is empty"),
    bad(
        "a list",
        "- {M}\n",
        "web.yml:1: must be a mapping"
        " (tls_server_config, http_server_config, basic_auth_users, rate_limit), not a list",
    ),
    bad(
        "syntax",
        "basic_auth_users: {a: {M}\n",
        "web.yml:1: invalid YAML: unclosed bracket or missing comma",
    ),
    bad(
        "unknown options",
        f"tls_config: {{}}\n{TLS}  cert_fil: {{M}}\nhttp_server_config: {{http3: true}}\n",
        "web.yml:1: tls_config: unknown option; did you mean tls_server_config?",
        "web.yml:5: tls_server_config.cert_fil: unknown option; did you mean cert_file?",
        "web.yml:6: http_server_config: unknown option; did you mean http2?",
    ),
    bad(
        "what the toolkit can and this cannot",
        f"{TLS}  curve_preferences: [X25519]\nhttp_server_config:\n  http2: true\nrate_limit:\n  interval: 1s\n",
        "web.yml:4: tls_server_config.curve_preferences: is not supported by Python's ssl module; remove it",
        "web.yml:6: http_server_config.http2: is not supported; remove it or set it to false",
        "web.yml:7: rate_limit: is not supported; remove it (resources per client are limited anyway)",
    ),
    bad(
        "no certificate and no key",
        "tls_server_config:\n  min_version: TLS13\n",
        "web.yml:1: tls_server_config.cert_file: is missing",
        "web.yml:1: tls_server_config.key_file: is missing",
    ),
    bad(
        "both inline and in a file",
        f"{TLS}  cert: '{{M}}'\n  key: '{{M}}'\n  client_ca: '{{M}}'\n  client_ca_file: authority.crt\n",
        "web.yml:4: tls_server_config.cert: set only one of cert, cert_file",
        "web.yml:5: tls_server_config.key: set only one of key, key_file",
        "web.yml:6: tls_server_config.client_ca: set only one of client_ca, client_ca_file",
    ),
    bad(
        "files that are not there, and what is none",
        "tls_server_config:\n  cert_file: {M}\n  key_file: folder\n  client_ca_file: binary\n"
        "  client_auth_type: RequireAndVerifyClientCert\n",
        "web.yml:2: tls_server_config.cert_file: no such file (relative paths start at this file's directory)",
        "web.yml:3: tls_server_config.key_file: the file is a directory",
        "web.yml:4: tls_server_config.client_ca_file: the file is not UTF-8 text",
    ),
    bad(
        "empty names",
        "tls_server_config:\n  cert_file: ''\n  key_file:\n",
        "web.yml:2: tls_server_config.cert_file: is empty",
        "web.yml:3: tls_server_config.key_file: is empty",
    ),
    bad(
        "certificate and key exchanged",
        "tls_server_config:\n  cert_file: server.key\n  key_file: server.crt\n",
        f"web.yml:2: tls_server_config.cert_file: {NO_CERTIFICATE}",
    ),
    bad(
        "a certificate for a key",
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.crt\n",
        f"web.yml:3: tls_server_config.key_file: {NO_KEY}",
    ),
    bad(
        "nonsense inline",
        "tls_server_config:\n  cert: '{M}'\n  key: '{M}'\n",
        f"web.yml:2: tls_server_config.cert: {NO_CERTIFICATE}",
    ),
    bad(
        "nonsense in a certificate's clothes",
        "tls_server_config:\n  cert_file: nonsense\n  key_file: server.key\n",
        f"web.yml:2: tls_server_config.cert_file: {NO_CERTIFICATE}",
    ),
    bad(
        "the key of another certificate",
        "tls_server_config:\n  cert_file: server.crt\n  key_file: other.key\n",
        f"web.yml:3: tls_server_config.key_file: {NO_MATCH}",
    ),
    bad(
        "a key of another kind",
        "tls_server_config:\n  cert_file: server.crt\n  key_file: rsa.key\n",
        f"web.yml:3: tls_server_config.key_file: {NO_MATCH}",
    ),
    bad(
        "a key with a passphrase",
        "tls_server_config:\n  cert_file: server.crt\n  key_file: locked.key\n",
        "web.yml:3: tls_server_config.key_file: the key is encrypted; use a key without a passphrase",
    ),
    bad(
        "versions that OpenSSL does not speak",
        f"{TLS}  min_version: TLS10\n  max_version: TLS11\n",
        f"web.yml:4: tls_server_config.min_version: {BELOW_TLS12}",
        f"web.yml:5: tls_server_config.max_version: {BELOW_TLS12}",
    ),
    bad(
        "versions that are none",
        f"{TLS}  min_version: '1.2'\n  max_version: '{{M}}'\n",
        "web.yml:4: tls_server_config.min_version: must be TLS12 or TLS13",
        "web.yml:5: tls_server_config.max_version: must be TLS12 or TLS13",
    ),
    bad(
        "minimum version above the maximum",
        f"{TLS}  min_version: TLS13\n  max_version: TLS12\n  cipher_suites: [{ECDSA}]\n",
        "web.yml:5: tls_server_config.max_version: is lower than min_version",
    ),
    bad(
        "suites that are unknown, insecure or no text",
        f"{TLS}  cipher_suites:\n  - '{{M}}'\n  - TLS_RSA_WITH_AES_128_GCM_SHA256\n  - ECDHE-RSA-AES128-GCM-SHA256\n"
        "  - [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n  - TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\n",
        *(f"web.yml:{line}: {UNKNOWN_SUITE}" for line in (5, 6, 7)),
        "web.yml:8: tls_server_config.cipher_suites[3]: must be a single value, not a list",
    ),
    bad(
        "one suite of TLS 1.3",
        f"{TLS}  cipher_suites:\n  - TLS_AES_256_GCM_SHA384\n  - TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\n",
        "web.yml:4: tls_server_config.cipher_suites: the suites of TLS 1.3 cannot be selected: list all three or none",
    ),
    bad(
        "no suite of TLS 1.2",
        f"{TLS}  cipher_suites:{ALL_OF_TLS13}\n",
        "web.yml:4: tls_server_config.cipher_suites:"
        " contains no suite of TLS 1.2; for TLS 1.3 only, set min_version: TLS13",
    ),
    bad(
        "suites that do not fit the key",
        f"{TLS}  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n",
        "web.yml:5: tls_server_config.cipher_suites: contains no suite for the certificate's type of key",
    ),
    bad(
        "truths that are none",
        f"{TLS}  prefer_server_cipher_suites: yes\nhttp_server_config: {{http2: '{{M}}'}}\n",
        "web.yml:4: tls_server_config.prefer_server_cipher_suites: must be true or false",
        "web.yml:5: http_server_config.http2: must be true or false",
    ),
    *(
        bad(f"client_auth_type {kind}", f"{CLIENTS}  client_auth_type: {kind}\n", f"web.yml:5: {UNVERIFIED}")
        for kind in ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
    ),
    bad(
        "an unknown client_auth_type",
        f"{CLIENTS}  client_auth_type: '{{M}}'\n",
        "web.yml:5: tls_server_config.client_auth_type:"
        " must be NoClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert",
    ),
    bad(
        "an authority that is not used",
        f"{CLIENTS}  client_auth_type: NoClientCert\n",
        "web.yml:4: tls_server_config.client_ca_file: requires client_auth_type, such as RequireAndVerifyClientCert",
    ),
    bad(
        "verification without an authority",
        f"{TLS}  client_auth_type: VerifyClientCertIfGiven\n",
        "web.yml:4: tls_server_config.client_auth_type: requires client_ca_file, the CA that signs client certificates",
    ),
    bad(
        "an authority that is none",
        f"{TLS}  client_ca_file: nonsense\n  client_auth_type: RequireAndVerifyClientCert\n",
        f"web.yml:4: tls_server_config.client_ca_file: {NO_CERTIFICATE}",
    ),
    bad(
        "names of clients that need not show any",
        f"{CLIENTS}  client_auth_type: VerifyClientCertIfGiven\n  client_allowed_sans: ['{{M}}']\n",
        "web.yml:6: tls_server_config.client_allowed_sans: requires client_auth_type: RequireAndVerifyClientCert",
    ),
    bad(
        "no names of clients",
        f"{CLIENTS}  client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: []\n",
        "web.yml:6: tls_server_config.client_allowed_sans: is empty, so no client could connect; remove it",
    ),
    bad(
        "headers",
        "http_server_config:\n  headers:\n    X-Frame-Options: '{M}'\n    X-Content-Type-Options: sniff\n"
        "    Content-Security-Policy: \"a\\nb\"\n    Server: '{M}'\n    x-frame-options: deny\n"
        "    Strict-Transport-Security: [1]\n",
        "web.yml:3: http_server_config.headers.X-Frame-Options: must be deny or sameorigin",
        "web.yml:4: http_server_config.headers.X-Content-Type-Options: must be nosniff",
        "web.yml:5: http_server_config.headers.Content-Security-Policy: must be printable ASCII on a single line",
        f"web.yml:6: http_server_config.headers: unknown option; valid options: {', '.join(HEADERS)}",
        "web.yml:7: http_server_config.headers: unknown option; did you mean X-Frame-Options?",
        "web.yml:8: http_server_config.headers.Strict-Transport-Security: must be a single value, not a list",
    ),
    bad(
        "hashes that are none",
        f"basic_auth_users:\n  a: '{{M}}'\n  b:\n  c: {{}}\n  d: {HASH[:-1]}\n  e: $2x{HASH[3:]}\n  f: $1{HASH[2:]}\n",
        *(f"web.yml:{line}: {NO_HASH}" for line in range(2, 8)),
    ),
    bad(
        "hashes that cost too little, too much, or fit nothing",
        f"basic_auth_users:\n  a: $2b$03{HASH[6:]}\n  b: $2b$19{HASH[6:]}\n  c: {HASH[:28]}B{HASH[29:]}\n",
        *(f"web.yml:{line}: {NO_COST}" for line in (2, 3)),
        "web.yml:4: basic_auth_users: a password looks like a bcrypt hash, but is not a valid one",
    ),
    bad(
        "users that are none",
        f"basic_auth_users:\n  '{{M}}:b': {HASH}\n  b: {HASH}\n  'b': {HASH}\n  c: [{HASH}]\n",
        "web.yml:2: basic_auth_users: a user name contains a colon, which basic authentication does not allow",
        "web.yml:4: basic_auth_users: duplicate user",
        "web.yml:5: basic_auth_users: each key must be a string, each value a string or a mapping",
    ),
)


def test_table_of_invalid_web_configurations_is_complete() -> None:
    assert len({row.name for row in BAD}) == len(BAD)


@pytest.mark.parametrize("row", BAD, ids=lambda row: row.name)
def test_invalid_file_has_the_exact_message_without_its_values(
    row: Bad, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    with pytest.raises(ConfigError) as caught:
        load(Path(), row.text)
    message = str(caught.value)
    assert message.splitlines() == list(row.expected)
    assert MARKER not in message
    assert HASH[7:] not in message
    assert "server.key" not in message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"web\.yml: the file does not exist$"):
        load_web(tmp_path / "web.yml")


def tls_of(folder: Path, text: str) -> Tls:
    tls = load(folder, text).tls
    assert tls is not None
    return tls


@pytest.mark.parametrize("text", ["{}", "tls_server_config: {}\nbasic_auth_users:\nhttp_server_config:\n  headers:\n"])
def test_empty_file_configures_nothing(made: Path, text: str) -> None:
    config = load(made, text)
    assert (config.tls, config.headers, config.users) == (None, (), ())
    assert [file.name for file, _ in config.files] == ["web.yml"]


def test_tls_defaults_are_those_of_the_exporter_toolkit(made: Path) -> None:
    context = tls_of(made, TLS).context
    assert (context.minimum_version, context.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    assert context.verify_mode == ssl.CERT_NONE
    assert context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert tls_of(made, f"{TLS}  client_auth_type: ''\n").context.verify_mode == ssl.CERT_NONE


VALUES: list[tuple[str, Callable[[Tls], object], object]] = [
    ("min_version: TLS13", lambda tls: tls.context.minimum_version, ssl.TLSVersion.TLSv1_3),
    ("max_version: TLS12", lambda tls: tls.context.maximum_version, ssl.TLSVersion.TLSv1_2),
    ("prefer_server_cipher_suites: false", lambda tls: tls.context.options & ssl.OP_CIPHER_SERVER_PREFERENCE, 0),
    (
        "client_ca_file: authority.crt\n  client_auth_type: VerifyClientCertIfGiven",
        lambda tls: (tls.context.verify_mode, len(tls.context.get_ca_certs()), tls.client_names),
        (ssl.CERT_OPTIONAL, 1, None),
    ),
    (
        (
            "client_ca_file: authority.crt\n  client_auth_type: RequireAndVerifyClientCert\n"
            "  client_allowed_sans: [a.example, 192.0.2.1]"
        ),
        lambda tls: (tls.context.verify_mode, len(tls.context.get_ca_certs()), tls.client_names),
        (ssl.CERT_REQUIRED, 1, {"a.example", "192.0.2.1"}),
    ),
    (
        "min_version: TLS13\n  cipher_suites: [" + ", ".join(CIPHERS_OF_TLS13) + "]",
        lambda tls: {cipher["name"] for cipher in tls.context.get_ciphers()} >= set(CIPHERS_OF_TLS13),
        True,
    ),
]


@pytest.mark.parametrize(("text", "found", "expected"), VALUES, ids=[row[0].partition("\n")[0] for row in VALUES])
def test_each_tls_option_is_applied(made: Path, text: str, found: Callable[[Tls], object], expected: object) -> None:
    assert found(tls_of(made, f"{TLS}  {text}\n")) == expected


@pytest.mark.parametrize(("go", "openssl"), CIPHERS.items(), ids=CIPHERS)
def test_every_suite_maps_to_the_same_suite_of_openssl(made: Path, go: str, openssl: str) -> None:
    chosen = tls_of(made, f"{TLS}  cipher_suites: [{go}]\n").context.get_ciphers()
    old = [cipher for cipher in chosen if cipher["protocol"] != "TLSv1.3"]
    assert [cipher["name"] for cipher in old] == [openssl]
    # OpenSSL's description of the suite matches Go's name: key, cipher, and SHA-1 if the name has no hash.
    message = old[0]["description"]
    assert f"Au={'ECDSA' if '_ECDSA_' in go else 'RSA'}" in message
    assert "Kx=ECDH" in message
    cipher = {"AES_128_CBC": "AES(128)", "AES_256_CBC": "AES(256)", "AES_128_GCM": "AESGCM(128)"} | {
        "AES_256_GCM": "AESGCM(256)",
        "CHACHA20_POLY1305": "CHACHA20/POLY1305(256)",
    }
    assert [f"Enc={shown}" in message for name, shown in cipher.items() if f"WITH_{name}" in go] == [True]
    assert len(CIPHERS) == 10


def test_certificates_may_be_inline(made: Path) -> None:
    def inline(name: str, file: str) -> str:
        lines = (made / file).read_text().splitlines()
        return f"  {name}: |\n" + "".join(f"    {line}\n" for line in lines)

    text = "tls_server_config:\n" + inline("cert", "server.crt") + inline("key", "server.key")
    text += inline("client_ca", "authority.crt") + "  client_auth_type: RequireAndVerifyClientCert\n"
    config = load(made, text)
    assert config.tls is not None
    assert len(config.tls.context.get_ca_certs()) == 1
    assert [file.name for file, _ in config.files] == ["web.yml"]


def test_ca_file_may_have_comments_and_several_certificates(made: Path) -> None:
    second = Authority(made, "second").cert.read_text()
    (made / "both.crt").write_text(f"# Émile's\n{(made / 'authority.crt').read_text()}\n# et al.\n{second}")
    tls = tls_of(made, f"{TLS}  client_ca_file: both.crt\n  client_auth_type: VerifyClientCertIfGiven\n")
    assert len(tls.context.get_ca_certs()) == 2


def test_paths_are_relative_to_the_file(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    config = load(made, TLS)
    assert [file for file, _ in config.files] == [made / name for name in ("web.yml", "server.crt", "server.key")]


def test_a_key_that_others_can_read_is_a_warning(made: Path) -> None:
    pair: Pair = Authority(made, "third").sign("open", "localhost")
    pair.key.chmod(0o644)
    config = load(made, "tls_server_config:\n  cert_file: open.crt\n  key_file: open.key\n")
    (warning,) = config.warnings
    assert str(warning).endswith(
        "web.yml:3: tls_server_config.key_file: the file is readable by every user of this machine; run chmod o-r on it"
    )
    assert load(made, TLS).warnings == ()


def test_several_headers_are_read_and_blank_ones_ignored(made: Path) -> None:
    given = {
        "X-Frame-Options": "deny",
        "X-Content-Type-Options": "nosniff",
        "X-XSS-Protection": "",
        "Content-Security-Policy": "default-src 'self'",
        "Strict-Transport-Security": "max-age=63072000",
    }
    assert set(given) == set(HEADERS)
    text = "".join(f'    {name}: "{value}"\n' for name, value in given.items())
    config = load(made, f"http_server_config:\n  http2: false\n  headers:\n{text}")
    assert dict(config.headers) == {name: value for name, value in given.items() if value}


def test_users_have_hashes_that_no_repr_shows(made: Path) -> None:
    hashes = [HASH.replace("$2b$", f"$2{letter}$") for letter in "aby"]
    config = load(made, "basic_auth_users:\n" + "".join(f"  u{n}: {hash_}\n" for n, hash_ in enumerate(hashes)))
    assert config.users == tuple((f"u{n}", hash_) for n, hash_ in enumerate(hashes))
    assert HASH[7:] not in repr(config)

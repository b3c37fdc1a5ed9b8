"""Read the web configuration: TLS, headers and passwords, in the format of Prometheus' exporter-toolkit."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import bcrypt

from exporter.config.document.problems import ConfigError, Findings, Problem
from exporter.config.document.sections import Section, one_of, open_mapping, parse_bool
from exporter.config.files import FileSignature, file_signature, readable_by_others
from exporter.config.web_config.tls import TLS_OPTIONS, TlsReader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from exporter.httpd import Tls

WEB_OPTIONS = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
HTTP_OPTIONS = ("http2", "headers")
HEADERS = (
    "Content-Security-Policy",
    "X-Frame-Options",
    "X-Content-Type-Options",
    "X-XSS-Protection",
    "Strict-Transport-Security",
)
"""Those that the toolkit allows."""

MIN_COST, MAX_COST = 4, 18
"""Of a bcrypt hash. Each step doubles the time of a check: 10 takes about 60 ms, 18 about 15 s."""

_HASH = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")


@dataclass(frozen=True, slots=True)
class WebConfig:
    """TLS, headers and passwords of the server."""

    tls: Tls | None = None
    """None for plain HTTP."""
    headers: tuple[tuple[str, str], ...] = ()
    """Set in every response, replacing the exporter's own of the same name."""
    users: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Names and bcrypt hashes; without any, no password is required."""
    files: tuple[tuple[Path, FileSignature], ...] = ()
    """The file itself and those that it names, each with its signature from before it was read."""
    warnings: tuple[Problem, ...] = ()

    @property
    def outdated(self) -> bool:
        """Whether one of the files has changed since it was read."""
        return any(file_signature(file) != seen for file, seen in self.files)


def load_web(path: Path) -> WebConfig:
    """Return the web configuration of a file; relative paths in it start at its directory.

    Raises:
        ConfigError: it is invalid; the error has all problems.
    """
    # The signature first: a change while the file is read is then noticed by the next check.
    findings, signature = Findings(path), file_signature(path)
    section = open_mapping(path, WEB_OPTIONS, findings)
    if "rate_limit" in section:
        section.problem("rate_limit", "is not supported; remove it (resources per client are limited anyway)")
    tls_section = section.section("tls_server_config", TLS_OPTIONS)
    reader = TlsReader(tls_section, path.parent)
    tls = reader.read() if any(option in tls_section for option in TLS_OPTIONS) else None
    headers = _headers(section.section("http_server_config", HTTP_OPTIONS))
    users = _users(section)
    # Hashes can be attacked offline by everyone who can read them.
    for holder, option in ((section, "basic_auth_users"), (tls_section, "key")):
        if option in holder and readable_by_others(path):
            holder.warning(option, "this file is readable by every user of this machine; run chmod o-r on it")
    if findings.problems:
        raise ConfigError(findings.problems)
    return WebConfig(tls, headers, users, ((path, signature), *reader.signatures), findings.warnings)


def _headers(section: Section) -> tuple[tuple[str, str], ...]:
    if section.value("http2", parse_bool):
        section.problem("http2", "is not supported; remove it or set it to false")
    headers = section.section("headers", HEADERS)
    given = ((name, headers.value(name, _HEADER_RULES.get(name, _header))) for name in HEADERS)
    return tuple((name, value) for name, value in given if value)


def _header(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise ValueError("must be printable ASCII on a single line")
    return text.strip()


def _blank_or(*choices: str) -> Callable[[str], str]:
    return lambda text: text and one_of(*choices)(text)


_HEADER_RULES: dict[str, Callable[[str], str]] = {
    "X-Frame-Options": _blank_or("deny", "sameorigin"),
    "X-Content-Type-Options": _blank_or("nosniff"),
}


def _users(section: Section) -> tuple[tuple[str, str], ...]:
    users: dict[str, str] = {}
    for line, name, value in section.free_form("basic_auth_users", ()):
        message = _name_problem(name, users) or _hash_problem(value)
        if message:
            section.problem_at(line, "basic_auth_users", message)
        # Also after a problem, so that a duplicate of the name is reported too.
        users[name] = str(value)
    return tuple(users.items())


def _name_problem(name: str, users: Collection[str]) -> str:
    if ":" in name:
        return "a user name contains a colon, which basic authentication does not allow"
    return "duplicate user" if name in users else ""


def _hash_problem(value: str | Section) -> str:
    """Return what is wrong with a hash, or nothing.

    The hash is tried at the lowest cost: one that bcrypt rejects must not make each login fail with an error later.
    """
    found = _HASH.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return "a password is not a bcrypt hash; create one with `htpasswd -nBC 10 NAME`"
    if not MIN_COST <= int(found[1]) <= MAX_COST:
        limits = f"from {MIN_COST} to {MAX_COST}"
        return f"the cost of a hash must be {limits}; above that, a check takes half a minute or more"
    try:
        bcrypt.checkpw(b"", f"{found[0][:4]}{MIN_COST:02}{found[0][6:]}".encode())
    except ValueError:
        return "a password looks like a bcrypt hash, but is not a valid one"
    return ""

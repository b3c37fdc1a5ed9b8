"""The web configuration: TLS, headers and passwords, in the format of Prometheus' exporter-toolkit."""

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

    from exporter.config.web_config.tls import TlsServer

WEB_OPTIONS = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
HTTP_OPTIONS = ("http2", "headers")
HEADERS = (
    "Content-Security-Policy",
    "X-Frame-Options",
    "X-Content-Type-Options",
    "X-XSS-Protection",
    "Strict-Transport-Security",
)
"""The toolkit allows these and no others."""

MIN_COST, MAX_COST = 4, 18
"""Of a bcrypt hash. Each step doubles the time: 10 takes about 60 ms, 18 a quarter of a minute."""

_HASH = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")


@dataclass(frozen=True, slots=True)
class WebConfig:
    """How the exporter is served."""

    tls: TlsServer | None = None
    """None: plain HTTP."""
    headers: tuple[tuple[str, str], ...] = ()
    """Set in every answer, in place of the exporter's own of that name."""
    users: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Names and bcrypt hashes; none: no password is asked for."""
    files: tuple[tuple[Path, FileSignature], ...] = ()
    """The file itself and those that it names, and how each looked just before it was read."""
    warnings: tuple[Problem, ...] = ()

    @property
    def outdated(self) -> bool:
        """Whether one of the files has changed since."""
        return any(file_signature(file) != seen for file, seen in self.files)


def load_web(path: Path) -> WebConfig:
    """Reads the web configuration and the files that it names, which are relative to its folder.

    Raises:
        ConfigError: it is broken; it holds all problems.
    """
    findings, seen = Findings(path), file_signature(path)
    section = open_mapping(path, WEB_OPTIONS, findings)
    if "rate_limit" in section:
        section.problem("rate_limit", "is not supported; leave it out (what a client may take is limited anyway)")
    tls_section = section.section("tls_server_config", TLS_OPTIONS)
    reader = TlsReader(tls_section, path.parent)
    tls = reader.read() if any(option in tls_section for option in TLS_OPTIONS) else None
    headers = _headers(section.section("http_server_config", HTTP_OPTIONS))
    users = _users(section)
    for holder, option in ((section, "basic_auth_users"), (tls_section, "key")):
        if option in holder and readable_by_others(path):
            holder.warning(option, "every user of this machine can read this file; chmod o-r it")
    if findings.problems:
        raise ConfigError(findings.problems)
    return WebConfig(tls, headers, users, ((path, seen), *reader.signatures), findings.warnings)


def _headers(section: Section) -> tuple[tuple[str, str], ...]:
    if section.value("http2", parse_bool):
        section.problem("http2", "is not supported; leave it out, or write false")
    headers = section.section("headers", HEADERS)
    given = ((name, headers.value(name, _HEADER_RULES.get(name, _header))) for name in HEADERS)
    return tuple((name, value) for name, value in given if value)


def _header(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise ValueError("must hold ASCII characters that can be shown, on one line")
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
        words = _fault_of_name(name, users) or _fault_of_hash(value)
        if words:
            section.problem_at(line, "basic_auth_users", words)
        users[name] = str(value)
    return tuple(users.items())


def _fault_of_name(name: str, users: Collection[str]) -> str:
    if ":" in name:
        return "a user's name holds a colon, which ends it in HTTP"
    return "a user is given twice" if name in users else ""


def _fault_of_hash(value: str | Section) -> str:
    """What is wrong with a hash; it is tried, at the least cost, so that later no check can fail."""
    found = _HASH.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return "a password is no bcrypt hash; `htpasswd -nBC 10 NAME` makes one"
    if not MIN_COST <= int(found[1]) <= MAX_COST:
        return f"the cost of a hash must be from {MIN_COST} to {MAX_COST}; above, a check takes half a minute or more"
    try:
        bcrypt.checkpw(b"", f"{found[0][:4]}{MIN_COST:02}{found[0][6:]}".encode())
    except ValueError:
        return "a password looks like a bcrypt hash, but nothing can be checked against it"
    return ""

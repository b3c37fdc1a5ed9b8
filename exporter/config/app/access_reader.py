"""Read an app's access method: one option selects it; ``cloud_function`` combines with any that provides a token.

Secrets are read at load although they are read again at each use: a wrong path or variable is then a configuration
error with file and line, not a failed fetch some days later. Token files are an exception: another program may create
them after the exporter has started, so that a missing one is only a warning.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeVar

from exporter.config.app.access_config import (
    AccessConfig,
    AppSecret,
    Authorizer,
    CloudFunction,
    CloudHosting,
    Datacube,
    HttpFunction,
    TokenConfig,
    TokenFile,
    TokenUrl,
)
from exporter.config.app.addresses import parse_url
from exporter.config.app.secrets import EnvSecret, FileSecret, LiteralSecret, Secret, SecretUnavailable
from exporter.config.document.sections import one_of, parse_bool, parse_identifier, required
from exporter.config.files import no_such_file, parse_path, readable_by_others

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from exporter.config.document.sections import Section

SECRETS = ("secret", "secret_file", "secret_env")
ACCESS_METHODS = (*SECRETS, "token_file", "token_url", "authorizer", "http_function", "cloud_hosting")
"""Exactly one of them is required."""
ACCESS_OPTIONS = (*ACCESS_METHODS, "cloud_function")
TOKEN_URL_OPTIONS = tuple(field.name for field in fields(TokenUrl))
AUTHORIZER_OPTIONS = ("component_appid", "component_token_file", "component_token_url", "refresh_token_file")
CLOUD_FUNCTION_OPTIONS = ("env", "name")
HTTP_FUNCTION_OPTIONS = tuple(field.name for field in fields(HttpFunction))
CLOUD_HOSTING_OPTIONS = ("from_appid", "cloudbase_token_file")

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_RESERVED_HEADERS = {"host", "content-length", "transfer-encoding", "connection"}
"""Set by the HTTP client; another value would change where a request goes or where its body ends."""
_METHODS = ("GET", "POST")
_FIELD = re.compile(r"[^\s.]+(\.[^\s.]+)*")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AccessReader:
    """Reads the access methods of one file's apps.

    Args:
        directory: the directory in which relative paths start.
        environ: the environment variables.
    """

    directory: Path
    environ: Mapping[str, str]

    def read(self, section: Section) -> AccessConfig | None:
        """Return the access method of an app's section; None if there is a problem, which is reported."""
        given = [method for method in ACCESS_METHODS if method in section]
        if not given:
            # A misspelt access method is reported once, as an unknown option, and not as missing too.
            if section.is_misspelt(*ACCESS_METHODS):
                return None
            section.problem("", f"no credentials: set one of {', '.join(ACCESS_METHODS)}")
            return None
        if len(given) > 1:
            # At the second option: which of them is meant is for the operator to decide.
            section.problem(given[1], f"set only one of {', '.join(given)}")
            return None
        (name,) = given
        if name in {"http_function", "cloud_hosting"}:
            if "cloud_function" in section:
                section.problem("cloud_function", f"requires a token, but {name} has none; keep one of the two")
            return self._http_function(section) if name == "http_function" else self._cloud_hosting(section)
        tokens = self._tokens(section, name)
        if "cloud_function" in section:
            return self._cloud_function(section, tokens)
        return None if tokens is None else Datacube(tokens)

    def _tokens(self, section: Section, name: str) -> TokenConfig | None:
        if name == "token_file":
            file = self._token_file(section, name)
            return None if file is None else TokenFile(file)
        if name == "token_url":
            return self._token_url(section, name)
        if name == "authorizer":
            return self._authorizer(section.section(name, AUTHORIZER_OPTIONS))
        secret = self._secret(section, name)
        return None if secret is None else AppSecret(secret)

    def _secret(self, section: Section, name: str) -> Secret | None:
        """Return an AppSecret or the value of a header."""
        kinds: dict[str, Callable[[str], Secret]] = {
            "secret": LiteralSecret,
            "file": lambda text: FileSecret(self.directory / parse_path(text)),
            "env": lambda text: EnvSecret(required(text), self.environ),
        }
        secret = section.value(name, kinds[name.removeprefix("secret_")])
        return secret and _with_fingerprint(section, name, secret)

    def _token_file(self, section: Section, name: str, subject: str = "the token file") -> FileSecret | None:
        """Return a file of another program; without a fingerprint, since a new token is not a new configuration."""
        path = section.value(name, parse_path)
        if path is None:
            return None
        file = FileSecret(self.directory / path, subject=subject)
        try:
            file.read()
        except SecretUnavailable as error:
            section.warning(name, _message(section, name, error))
        _warn_if_readable_by_others(section, name, file)
        return file

    def _token_url(self, section: Section, name: str) -> TokenUrl | None:
        inner = section.section(name, TOKEN_URL_OPTIONS)
        if not inner.usable:
            return None
        plain_text = inner.value("plain_text", parse_bool) or False
        if plain_text:
            for option in ("json_field", "expires_in"):
                if option in inner:
                    inner.problem(option, "has no effect with plain_text; remove one of the two")
        url = inner.required("url", parse_url)
        given = {
            "method": inner.value("method", one_of(*_METHODS)),
            "json_field": inner.value("json_field", _field),
            "expires_in": inner.value("expires_in", _field),
        }
        headers = self._headers(inner)
        # Only now: all problems of the section are reported at once.
        if url is None:
            return None
        return TokenUrl(
            url,
            headers=headers,
            plain_text=plain_text,
            **{option: value for option, value in given.items() if value is not None},
        )

    def _authorizer(self, inner: Section) -> Authorizer | None:
        if not inner.usable:
            return None
        component_appid = inner.required("component_appid", parse_identifier)
        refresh_token = inner.required("refresh_token_file", parse_path)
        file = None
        if refresh_token is not None:
            file = FileSecret(self.directory / refresh_token, subject="the refresh token file")
            file = _readable(inner, "refresh_token_file", file)
            if file is not None and not os.access(file.path.resolve().parent, os.W_OK):
                # WeChat may replace the refresh token with any response, and a rename in this directory stores it. If
                # that fails, the app must be authorized again after a restart. Only a warning: it may never happen.
                inner.warning("refresh_token_file", "its directory is not writable: a new refresh token would be lost")
        component = self._component_token(inner)
        if component_appid is None or component is None or file is None:
            return None
        return Authorizer(component_appid, component, file)

    def _component_token(self, inner: Section) -> TokenFile | TokenUrl | None:
        options = ("component_token_file", "component_token_url")
        given = [option for option in options if option in inner]
        if len(given) != 1:
            if given or not inner.is_misspelt(*options):
                inner.problem("", f"set {'only ' if given else ''}one of {', '.join(options)}")
            return None
        if given == ["component_token_url"]:
            return self._token_url(inner, "component_token_url")
        file = self._token_file(inner, "component_token_file", "the component token file")
        return None if file is None else TokenFile(file)

    def _cloud_function(self, section: Section, tokens: TokenConfig | None) -> CloudFunction | None:
        inner = section.section("cloud_function", CLOUD_FUNCTION_OPTIONS)
        if not inner.usable:
            return None
        env, name = (inner.required(option, parse_identifier) for option in CLOUD_FUNCTION_OPTIONS)
        return None if tokens is None or env is None or name is None else CloudFunction(tokens, env, name)

    def _http_function(self, section: Section) -> HttpFunction | None:
        inner = section.section("http_function", HTTP_FUNCTION_OPTIONS)
        if not inner.usable:
            return None
        url, headers = inner.required("url", parse_url), self._headers(inner)
        return None if url is None else HttpFunction(url, headers)

    def _cloud_hosting(self, section: Section) -> CloudHosting:
        inner = section.section("cloud_hosting", CLOUD_HOSTING_OPTIONS)
        from_appid = inner.value("from_appid", parse_identifier) or ""
        token = self._token_file(inner, "cloudbase_token_file")
        if from_appid and token:
            inner.problem("from_appid", "cloudbase_token_file already identifies the account; keep one of the two")
        return CloudHosting(from_appid, token)

    def _headers(self, section: Section) -> tuple[tuple[str, Secret], ...]:
        headers: dict[str, tuple[str, Secret]] = {}
        for line, name, inner in section.free_form("headers", ("file", "env")):
            if not _HEADER.fullmatch(name) or name.lower() in _RESERVED_HEADERS:
                section.problem_at(line, "headers", "invalid header name, or a header that the exporter sets itself")
            elif name.lower() in headers:
                section.problem_at(line, "headers", "duplicate header")
            else:
                value = self._header(section, line, inner)
                if value is not None:
                    # Header names are case-insensitive, so X-Key and x-key are duplicates.
                    headers[name.lower()] = name, value
        return tuple(headers.values())

    def _header(self, section: Section, line: int, inner: str | Section) -> Secret | None:
        if isinstance(inner, str):
            secret: Secret = LiteralSecret(inner)
            try:
                return secret.fingerprinted()
            except SecretUnavailable:
                section.problem_at(line, "headers", "a header value is empty or has more than one line")
                return None
        given = [option for option in ("file", "env") if option in inner]
        if len(given) != 1:
            section.problem_at(line, "headers", "a header value must be a string, {file: ...} or {env: ...}")
            return None
        return self._secret(inner, given[0])


def _with_fingerprint(section: Section, name: str, secret: Secret) -> Secret | None:
    """Return the secret with its current fingerprint; None if it cannot be read, which is reported."""
    try:
        fingerprinted = secret.fingerprinted()
    except SecretUnavailable as error:
        section.problem(name, _message(section, name, error))
        return None
    if isinstance(fingerprinted, FileSecret):
        _warn_if_readable_by_others(section, name, fingerprinted)
    return fingerprinted


def _message(section: Section, name: str, error: SecretUnavailable) -> str:
    path = section.value(name, str) if error.is_missing_file else None
    return str(error) if path is None else no_such_file(path)


def _readable(section: Section, name: str, file: FileSecret) -> FileSecret | None:
    """Return the file if it can be read; without a fingerprint, since the exporter itself may replace it."""
    return None if _with_fingerprint(section, name, file) is None else file


def _warn_if_readable_by_others(section: Section, name: str, file: FileSecret) -> None:
    if readable_by_others(file.path):
        section.warning(name, "the file is readable by every user of this machine; run chmod o-r on it")


def _field(text: str) -> str:
    if not _FIELD.fullmatch(text) or not text.isprintable():
        raise ValueError("must be a field name, with dots for nested objects, such as data.access_token")
    return text

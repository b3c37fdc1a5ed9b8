"""Values of flags, from their text. Each function raises ArgumentTypeError with what is wrong."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from exporter.config import parse_duration
from exporter.httpd import ListenError, parse_address
from exporter.web import APPS, DOCS

_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
_EXTERNAL_URL = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9a-f:.]+\])(:\d+)?(/[A-Za-z0-9._~-]+)*/?")


def address(text: str) -> str:
    """Return an address to listen on, as given."""
    try:
        parse_address(text)
    except ListenError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def file_or_none(text: str) -> Path | None:
    """Return the path; an empty name means no file, as in Prometheus."""
    return Path(text) if text else None


def interval(text: str) -> float:
    """Return a duration in seconds: 0, or at least one."""
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if 0 < seconds < 1:
        raise argparse.ArgumentTypeError("must be 0 or at least 1s")
    return seconds


def link(text: str) -> str:
    """Return a URL to which a fragment can be added."""
    if not text.isprintable() or not text or set(text) & set(" {}#"):
        raise argparse.ArgumentTypeError("must be a URL without white space, braces and fragment")
    return text


def external_url(text: str) -> str:
    """Return the URL without a trailing slash; empty if there is none."""
    if text and not _EXTERNAL_URL.fullmatch(text):
        raise argparse.ArgumentTypeError(
            "must be http:// or https://, a host, an optional port and an optional path of letters, digits and ._~-"
        )
    return text.rstrip("/")


def path(text: str) -> str:
    """Return a path that no page of the exporter has."""
    # //host/path in a link leads to another host.
    if not _PATH.fullmatch(text) or text in {"/", APPS, DOCS} or text.startswith(("/-/", "//", f"{DOCS}/")):
        raise argparse.ArgumentTypeError(
            "must start with /, contain only letters, digits and ._~/-, and not be another path of the exporter"
        )
    return text

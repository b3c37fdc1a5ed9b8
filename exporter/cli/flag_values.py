"""Values of flags, from their text. Each function raises ArgumentTypeError with what is wrong."""

from __future__ import annotations

import argparse
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.config import parse_duration
from exporter.httpd import ListenError, parse_address
from exporter.metrics import label_names
from exporter.periods import parse_iso_day
from exporter.web import APPS, DOCS, PAGES

if TYPE_CHECKING:
    from datetime import date

_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
_LABEL_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_MAX_WEEKS = 1040
_MIN_RATE, _MAX_RATE = 0.001, 1000.0
_TAKEN = ("/-/", "//", f"{APPS}/", f"{DOCS}/", f"{PAGES}/")
_LINK = re.compile(r"(?i:https?)://([\w.-]+|\[[0-9a-f:.]+\])(:\d+)?([/?][^\s{}#]*)?")
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
    """Return a URL to which a parameter or a fragment can be added; empty if there is none."""
    if text and (not _LINK.fullmatch(text) or not text.isprintable()):
        raise argparse.ArgumentTypeError(
            "must be http:// or https://, a host, an optional port and a path without white space, braces or #"
        )
    if "var-appid=" in text:
        raise argparse.ArgumentTypeError("must not contain var-appid, which the link of each app sets")
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
    if not _PATH.fullmatch(text) or text in {"/", APPS, DOCS} or text.startswith(_TAKEN):
        raise argparse.ArgumentTypeError(
            "must start with /, contain only letters, digits and ._~/-, and not be another path of the exporter"
        )
    return text


def weeks(text: str) -> int:
    """Return a number of weeks."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:5]) <= _MAX_WEEKS:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to {_MAX_WEEKS}")
    return int(text)


def day(text: str) -> date:
    """Return a day."""
    try:
        return parse_iso_day(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def rate(text: str) -> float:
    """Return a number of requests per second."""
    try:
        if _MIN_RATE <= (number := float(text)) <= _MAX_RATE:
            return number
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be a number from {_MIN_RATE:g} to {_MAX_RATE:g}")


def sample_interval(text: str) -> int:
    """Return the seconds between two samples; 0 for ``period``."""
    if text == "period":
        return 0
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; or period") from None
    if seconds < 1 or seconds != int(seconds):
        raise argparse.ArgumentTypeError("must be whole seconds, at least 1s, or period")
    return int(seconds)


def label(text: str) -> tuple[str, str]:
    """Return a label's name and value."""
    name, separator, value = text.partition("=")
    if not separator or not _LABEL_NAME.fullmatch(name):
        raise argparse.ArgumentTypeError(
            "must be NAME=VALUE; a name has letters, digits and _, and does not start with a digit or __"
        )
    if name in label_names():
        raise argparse.ArgumentTypeError(f"the exporter's own series have the label {name}")
    if not value or not value.isprintable():
        raise argparse.ArgumentTypeError("the value must be printable and not empty")
    return name, value


def instant(text: str) -> float:
    """Return an instant in Unix seconds."""
    if re.fullmatch(r"\d{1,10}", text, re.ASCII):
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise argparse.ArgumentTypeError("must be a time such as 2026-11-25T10:00:00+08:00, or Unix seconds")
    return moment.timestamp()


def ratio(text: str) -> float:
    """Return a ratio from 0 to 1."""
    try:
        if 0 <= (number := float(text)) <= 1:
            return number
    except ValueError:
        pass
    raise argparse.ArgumentTypeError("must be a number from 0 to 1")

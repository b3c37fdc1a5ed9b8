"""What the pages for people share: the templates, and the hash by which a policy allows a style or a script."""

from __future__ import annotations

import base64
import hashlib
from functools import partial
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from exporter.alerts.model import link_to_app
from exporter.periods import format_beijing, format_beijing_minute, rfc3339

TEMPLATES = Environment(
    loader=PackageLoader("exporter.web"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= {
    "beijing": format_beijing,
    "stamp": format_beijing_minute,
    "rfc3339": rfc3339,
    "url": partial(quote, safe="", errors="replace"),
    "link_to_app": link_to_app,
}


def content_hash(text: str) -> str:
    """Return the source expression of a Content-Security-Policy that allows exactly this text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

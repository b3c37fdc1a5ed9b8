"""The documentation of this version below ``/docs/``, where the links of alerts and of the status page lead.

A page is rendered when it is first requested, then kept: the files belong to the installed program and do not change.
Modules that only these pages need are imported then, too, so that they do not delay the start of the exporter.
"""

from __future__ import annotations

import gzip
import posixpath
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING

from exporter import __version__
from exporter.httpd import Response
from exporter.shipped import shipped
from exporter.web.negotiation import accepts_gzip
from exporter.web.rendering import TEMPLATES, content_hash

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.httpd import Request

DOCS = "/docs"

_DISTRIBUTION = "wechat-miniprogram-exporter"
_INDEX = "README"
_HEADERS = (("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"))


class Documentation:
    """A handler for ``/docs`` and the paths below it; for any thread.

    Only names that the directory held at the start are served, so that no path can lead out of it.

    Args:
        directory: Markdown files, and PNG files in ``pictures``.
        repository: where the project's other files can be read; empty: links to them are shown as text; None: what
            the installed program names.
    """

    def __init__(self, directory: Path | None = None, repository: str | None = None) -> None:
        directory = shipped("docs") if directory is None else directory
        self._repository = repository
        self._sources = {path.stem: path for path in directory.glob("*.md")}
        self._pictures = {f"pictures/{path.name}": path for path in directory.glob("pictures/*.png")}
        self._pages: dict[tuple[str, bool], bytes] = {}
        """By name and whether it is gzipped. Two threads may render the same page; the results are equal."""

    def __call__(self, request: Request) -> Response | None:
        """Answer one request; None if there is no such page."""
        path = request.path.removeprefix(DOCS)
        if not path:  # relative, so that it is right behind a proxy, too
            return Response(302, (("Location", f"{DOCS[1:]}/"), *_HEADERS))
        name = path[1:]
        if name in self._pictures:
            return Response(200, (("Content-Type", "image/png"), *_HEADERS), self._pictures[name].read_bytes())
        name = name or _INDEX
        if name not in self._sources or path == f"/{_INDEX}":
            return None
        gzipped = accepts_gzip(request.headers.get("Accept-Encoding", ""))
        headers = [("Content-Type", "text/html; charset=utf-8"), ("Vary", "Accept-Encoding"), *_HEADERS]
        headers.append(("Content-Security-Policy", _policy()))
        if gzipped:
            headers.append(("Content-Encoding", "gzip"))
        return Response(200, tuple(headers), self._page(name, gzipped=gzipped))

    def _page(self, name: str, *, gzipped: bool) -> bytes:
        if (name, gzipped) not in self._pages:
            page = self._render(name)
            self._pages[name, False] = page
            self._pages[name, True] = gzip.compress(page, mtime=0)
        return self._pages[name, gzipped]

    def _render(self, name: str) -> bytes:
        from exporter.web.markdown import render  # noqa: PLC0415 (30 ms)

        markdown = render(self._sources[name].read_text(encoding="utf-8"), self._resolve)
        return (
            TEMPLATES.get_template("docs.html")
            .render(
                title=markdown.title,
                html=markdown.html,
                lang="zh-CN" if name.endswith(".zh-CN") else "en",
                is_index=name == _INDEX,
                style=_style(),
                version=__version__,
            )
            .encode()
        )

    def _resolve(self, link: str) -> str | None:
        """Return where a relative link of a page leads: another page, a picture, or the repository."""
        path, mark, fragment = link.partition("#")
        found = posixpath.normpath(f"docs/{path}")
        name = found.removeprefix("docs/") if found.startswith("docs/") else ""
        stem = name.removesuffix(".md")
        if stem != name and stem in self._sources:
            return f"{'./' if stem == _INDEX else stem}{mark}{fragment}"
        if name in self._pictures:
            return name
        repository = repository_url() if self._repository is None else self._repository
        return f"{repository}/blob/HEAD/{found}{mark}{fragment}" if repository else None


@cache
def _style() -> str:
    return TEMPLATES.get_template("docs.css").render()


@cache
def _policy() -> str:
    return (
        f"default-src 'none'; style-src '{content_hash(_style())}'; img-src 'self' data:; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    )


@cache
def repository_url() -> str:
    """Return the repository that the installed program names (``[project.urls]``); empty if it names none."""
    try:
        urls = metadata.metadata(_DISTRIBUTION).get_all("Project-URL") or []
    except metadata.PackageNotFoundError:  # a checkout on the path, never installed
        return ""
    named: dict[str, str] = {label.lower(): url for label, _, url in (each.partition(", ") for each in urls)}
    return named.get("repository", named.get("source", "")).rstrip("/")

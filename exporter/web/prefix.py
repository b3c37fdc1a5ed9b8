"""The site below a path, as behind a reverse proxy: the path of ``--web.external-url``.

Pages link relatively, so a proxy that strips its path needs nothing here. For a proxy that passes its path on, the site
is also served below that path. It stays at ``/`` for Prometheus and for probes, which do not use the proxy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.httpd import Response

if TYPE_CHECKING:
    from exporter.httpd import Handler, Request


def with_prefix(prefix: str, site: Handler) -> Handler:
    """Return a handler that serves the site at ``/`` and below the prefix, such as ``/tools/wechat``."""
    if not prefix:
        return site

    def answer(request: Request) -> Response:
        if (
            request.path == prefix
        ):  # relative links need the slash; relative itself, since only the client knows the host
            query = f"?{request.query}" if request.query else ""
            return Response(302, (("Location", f"{prefix.rpartition('/')[2]}/{query}"), ("Cache-Control", "no-store")))
        if request.path.startswith(f"{prefix}/"):
            request = replace(request, path=request.path.removeprefix(prefix))
        return site(request)

    return answer


def hides_page(prefix: str, path: str) -> bool:
    """Return whether a page at or below a path, or the page at the prefix, could be either of two."""
    below = f"{path}/".startswith(f"{prefix}/") or f"{prefix}/".startswith(f"{path}/")
    return bool(prefix) and below

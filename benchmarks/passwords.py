"""Measure the cost of basic auth per scrape: no password, a cached password, and a full bcrypt check.

    .venv/bin/python benchmarks/passwords.py --cost 10

Prints the time of each, measured in one run on one machine, and the ratios.
"""

from __future__ import annotations

import argparse
import base64

import bcrypt
from scrape import seconds

from exporter.config import WebConfig
from exporter.httpd import Headers, Request, Response
from exporter.web import Protection

BODY = b"x" * 100_000
CREDENTIALS = base64.b64encode(b"prometheus:right").decode()
REQUEST = Request("GET", "/metrics", headers=Headers([("Authorization", f"Basic {CREDENTIALS}")]))


def site(_request: Request) -> Response:
    """Return the protected response."""
    return Response(200, (), BODY)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cost", type=int, default=10)
    cost = parser.parse_args().cost
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(cost)).decode()
    users = WebConfig(users=(("prometheus", hashed),))
    open_, known = Protection().authenticated(site), Protection(None, users).authenticated(site)
    none = seconds(lambda: open_(REQUEST), 2000)
    checked = seconds(lambda: Protection(None, users).authenticated(site)(REQUEST), 5)
    remembered = seconds(lambda: known(REQUEST), 2000)
    print(f"no password: {none * 1e6:.1f} µs")
    print(f"cached password: {remembered * 1e6:.1f} µs, {remembered / none:.1f} times that")
    print(f"bcrypt check at cost {cost}: {checked * 1e6:,.0f} µs, {checked / remembered:,.0f} times the cached one")


if __name__ == "__main__":
    main()

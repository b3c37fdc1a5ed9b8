"""What a password costs a scrape: none asked for, one that is known, and one that is checked every time.

    .venv/bin/python benchmarks/passwords.py --cost 10

Prints seconds for each, side by side in one run on one machine, and the ratios.
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
    """What is behind the password."""
    return Response(200, (), BODY)


def main() -> None:
    """Measures and prints."""
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
    print(f"a known one: {remembered * 1e6:.1f} µs, {remembered / none:.1f} times that")
    print(f"one checked at a cost of {cost}: {checked * 1e6:,.0f} µs, ratio to a known one {checked / remembered:,.0f}")


if __name__ == "__main__":
    main()

"""The exporter without WeChat: a simulator over real HTTP, and a cast of apps that shows every state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from exporter.config import Api, App, AppSecret, Config, Datacube, Fetch, LiteralSecret
from exporter.httpd import Request, Response, Server
from exporter.periods import DAY, Week, newest_wanted
from exporter.status import TRAIL_WEEKS
from exporter.wechat.access.sources import STABLE_TOKEN
from exporter.wechat.simulator import Asked, Audience, Fault, SimulatedApp, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

LISTEN_ADDRESS = "127.0.0.1:10717"
SIMULATOR_ADDRESS = "127.0.0.1:10718"

FETCH = Fetch(interval=30.0, retry_interval=10.0, timeout=2.0, history_weeks=TRAIL_WEEKS)
"""The demo asks often, so that a visitor sees things move, and for as many weeks as the status page draws."""


@dataclass(frozen=True, slots=True)
class Role:
    """One app of the demo: its name, and how WeChat pretends to know it."""

    name: str
    app: SimulatedApp


def cast(now: float) -> tuple[Role, ...]:
    """The apps of the demo: between them every state but ``pending``, a drop this week, and an app with one week."""
    newest = newest_wanted(Week, now, FETCH.ready_after)
    roles = (
        ("Corner Bakery", SimulatedApp("", "", Audience(12_400))),
        ("Travel Buddy", SimulatedApp("", "", Audience(48_000, drops_in=newest))),
        ("Second-hand Books", SimulatedApp("", "", Audience(960))),
        ("Tea House (new)", SimulatedApp("", "", Audience(310), launched=newest)),
        ("Night Market", SimulatedApp("", "", Audience(7_300), published_after=8 * DAY)),
        (
            "Gym Pass",
            SimulatedApp("", "", Audience(5_100), faults=(Fault("45009", weeks=frozenset({newest})),)),
        ),
        ("City Library", SimulatedApp("", "", faults=(Fault("40164", STABLE_TOKEN),))),
        ("Bike Share", SimulatedApp("", "", faults=(Fault("http_502"),))),
    )
    return tuple(
        Role(name, replace(app, appid=f"wx{number:016x}", secret=f"demo-secret-of-{number:016x}"))
        for number, (name, app) in enumerate(roles, start=1)
    )


def configuration(roles: tuple[Role, ...], base_url: str) -> Config:
    """What an operator of these apps would have written."""
    apps = tuple(App(role.app.appid, Datacube(AppSecret(LiteralSecret(role.app.secret))), role.name) for role in roles)
    return Config(fetch=FETCH, api=Api(base_url=base_url), apps=apps)


def simulator(roles: tuple[Role, ...], clock: Callable[[], float], seed: int = 0) -> Simulator:
    """The pretended WeChat that knows these apps."""
    return Simulator((role.app for role in roles), clock, seed=seed)


def serve(wechat: Simulator, address: str) -> Server:
    """Serves a simulator over HTTP; it listens when this returns.

    Raises:
        ListenError: the address cannot be had.
    """

    def handle(request: Request) -> Response:
        query = dict(parse_qsl(request.query))
        answer = wechat.answer(Asked(request.method, request.path, query, request.body, request.headers))
        date = "Date", formatdate(wechat.now(), usegmt=True)  # the simulator's own clock
        return Response(answer.status, (date, *answer.headers), answer.body, raw=answer.raw)

    server = Server((address,), handle)
    server.start()
    return server

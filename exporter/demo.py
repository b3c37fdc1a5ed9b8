"""The exporter without WeChat: a simulator over real HTTP, and a cast of apps that shows every state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from exporter.config import Api, App, AppSecret, Config, Datacube, Fetch, LiteralSecret
from exporter.httpd import Request, Response, Server
from exporter.periods import DAY, Day, Week, newest_wanted
from exporter.reports import DEFAULT_REPORTS, REPORTS, Report
from exporter.wechat.access.sources import STABLE_TOKEN
from exporter.wechat.simulator import Asked, Audience, InjectedFault, SimulatedApp, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

LISTEN_ADDRESS = "127.0.0.1:10717"
SIMULATOR_ADDRESS = "127.0.0.1:10718"

FETCH = Fetch(interval=30.0, retry_interval=10.0, timeout=2.0, history_weeks=26)
"""The demo asks often, so that a visitor sees things move, and for as many weeks as the status page draws."""


@dataclass(frozen=True, slots=True)
class Role:
    """One app of the demo: its name, and how WeChat pretends to know it."""

    name: str
    app: SimulatedApp
    reports: tuple[Report, ...] = DEFAULT_REPORTS


def cast(now: float) -> tuple[Role, ...]:
    """The apps of the demo.

    Between them every state but ``pending``, a drop this week, a drop that began on a day, and an app with one week.
    """
    newest = newest_wanted(Week, now, FETCH.ready_after)
    began = newest_wanted(Day, now, FETCH.ready_after).before(3)
    every = tuple(REPORTS.values())
    roles = (
        Role("Corner Bakery", SimulatedApp("", "", Audience(12_400)), every),
        Role("Travel Buddy", SimulatedApp("", "", Audience(48_000, drops_in=newest)), every),
        Role("Second-hand Books", SimulatedApp("", "", Audience(960, drops_from=began), stragglers=0.2), every),
        Role("Tea House (new)", SimulatedApp("", "", Audience(310), launched=newest)),
        Role("Night Market", SimulatedApp("", "", Audience(7_300), published_after=8 * DAY)),
        Role(
            "Gym Pass",
            SimulatedApp("", "", Audience(5_100), faults=(InjectedFault("45009", periods=frozenset({newest})),)),
        ),
        Role("City Library", SimulatedApp("", "", faults=(InjectedFault("40164", STABLE_TOKEN),))),
        Role("Bike Share", SimulatedApp("", "", faults=(InjectedFault("http_502"),))),
    )
    return tuple(
        replace(role, app=replace(role.app, appid=f"wx{number:016x}", secret=f"demo-secret-of-{number:016x}"))
        for number, role in enumerate(roles, start=1)
    )


def configuration(roles: tuple[Role, ...], base_url: str) -> Config:
    """What an operator of these apps would have written."""
    apps = tuple(
        App(
            role.app.appid,
            Datacube(AppSecret(LiteralSecret(role.app.secret))),
            role.name,
            reports=role.reports,
        )
        for role in roles
    )
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

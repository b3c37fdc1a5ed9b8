"""The demo: a simulated WeChat over HTTP, and apps that together show every state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import TYPE_CHECKING

from exporter.config import Api, App, AppSecret, Config, Datacube, Fetch, LiteralSecret
from exporter.httpd import Server
from exporter.periods import DAY, Day, Week, newest_wanted
from exporter.reports import DEFAULT_REPORTS, REPORTS, Report
from exporter.wechat.access.sources import STABLE_TOKEN
from exporter.wechat.simulator import Audience, InjectedFault, SimulatedApp, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.httpd import Request, Response

LISTEN_ADDRESS = "127.0.0.1:10717"
SIMULATOR_ADDRESS = "127.0.0.1:10718"
SEARCH, ARTICLES = "2", "18"
"""WeChat's keys of the entrances through which the demo's apps lose visitors."""

FETCH = Fetch(interval=30.0, retry_interval=10.0, timeout=2.0, history_weeks=26)
"""Short intervals, so that changes are visible at once; as many weeks as the status page draws."""


@dataclass(frozen=True, slots=True)
class DemoApp:
    """One app of the demo, and how the simulated WeChat knows it."""

    name: str
    app: SimulatedApp
    reports: tuple[Report, ...] = DEFAULT_REPORTS


def demo_apps(now: float) -> tuple[DemoApp, ...]:
    """Return the apps of the demo.

    They show every state except ``pending``, a drop in the newest week (of search, and of new visitors who come back),
    a drop that began on one day (of articles), and a new app that has one week only.
    """
    newest = newest_wanted(Week, now, FETCH.ready_after)
    began = newest_wanted(Day, now, FETCH.ready_after).before(3)
    travel = Audience(48_000, drops_in=newest, drops_through=SEARCH, retention_drops_in=newest.before())
    books = Audience(960, drops_from=began, drops_through=ARTICLES)
    every = tuple(REPORTS.values())
    unnumbered = (
        DemoApp("Corner Bakery", SimulatedApp("", "", Audience(12_400)), every),
        DemoApp("Travel Buddy", SimulatedApp("", "", travel), every),
        DemoApp("Second-hand Books", SimulatedApp("", "", books, stragglers=0.2), every),
        DemoApp("Tea House (new)", SimulatedApp("", "", Audience(310), launched=newest)),
        DemoApp("Night Market", SimulatedApp("", "", Audience(7_300), published_after=8 * DAY)),
        DemoApp(
            "Gym Pass",
            SimulatedApp("", "", Audience(5_100), faults=(InjectedFault("45009", periods=frozenset({newest})),)),
        ),
        DemoApp("City Library", SimulatedApp("", "", faults=(InjectedFault("40164", STABLE_TOKEN),))),
        DemoApp("Bike Share", SimulatedApp("", "", faults=(InjectedFault("http_502"),))),
    )
    return tuple(
        replace(entry, app=replace(entry.app, appid=f"wx{number:016x}", secret=f"demo-secret-of-{number:016x}"))
        for number, entry in enumerate(unnumbered, start=1)
    )


def configuration(apps: tuple[DemoApp, ...], base_url: str) -> Config:
    """Return the configuration that an operator of these apps would write."""
    configured = tuple(
        App(
            entry.app.appid,
            Datacube(AppSecret(LiteralSecret(entry.app.secret))),
            entry.name,
            reports=entry.reports,
        )
        for entry in apps
    )
    return Config(fetch=FETCH, api=Api(base_url=base_url), apps=configured)


def simulator(apps: tuple[DemoApp, ...], clock: Callable[[], float], seed: int = 0) -> Simulator:
    """Return the simulated WeChat of these apps."""
    return Simulator((entry.app for entry in apps), clock, seed=seed)


def serve(wechat: Simulator, address: str) -> Server:
    """Serve a simulator over HTTP; the server listens when this returns.

    Raises:
        ListenError: the address is not available.
    """

    def handle(request: Request) -> Response:
        response = wechat.respond(request)
        # The server would add the real time. The exporter compares Date with its clock, and tests set both.
        date = "Date", formatdate(wechat.now(), usegmt=True)
        return replace(response, headers=(date, *response.headers))

    server = Server((address,), handle)
    server.start()
    return server

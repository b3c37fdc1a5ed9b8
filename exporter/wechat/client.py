"""Asks WeChat for one report of one app and says what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, TypeVar

import structlog

from exporter.wechat.access import AccessMethod, Clock, RequestFlow, open_access
from exporter.wechat.codes import MALFORMED, Failed, FetchError
from exporter.wechat.messages import ApiRequest, ApiResponse, TransportError
from exporter.wechat.protocol import error_label, server_time

if TYPE_CHECKING:
    from exporter.config import App, Way
    from exporter.periods import Period
    from exporter.reports import Reading, Report

T = TypeVar("T")
WayKey = tuple[str, str, "Way"]
"""What must be the same for a way in, and so its token, to be gone on with: API address, appid, configuration."""
Observe = Callable[[str, float], None]
"""Is told of each call: its endpoint and how many seconds it took."""

log = structlog.get_logger()


class Sender(Protocol):
    """The door to the network: ``transport.Transport``."""

    def send(self, call: ApiRequest, owner: str = "") -> ApiResponse:
        """Sends one call over a connection of this owner; raises TransportError."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one conversation about one week came to: a reading, or the reason why there is none."""

    result: Reading | FetchError
    errors: tuple[str, ...] = ()
    """The ``errcode`` label of everything that went wrong on the way, also of what was healed."""
    server_time: float | None = None
    """The server's clock at the last response, Unix seconds; None if it did not say."""


class Client:
    """Asks for reports. Each app has its own way in, and so its own token, for as long as it is configured so.

    Safe for use from several threads as long as no app is asked about by two of them at once.

    Args:
        apps: those that can be asked about.
        base_url: where WeChat is.
        sender: the door to the network.
        clock: the wall clock, Unix seconds.
        observe: is told of each call.
        known: the ways in of the client before, which are gone on with where they are the same.
    """

    def __init__(  # noqa: PLR0913 (the wires of the composition root)
        self,
        apps: Iterable[App],
        base_url: str,
        *,
        sender: Sender,
        clock: Clock,
        observe: Observe = lambda _endpoint, _seconds: None,
        known: Mapping[WayKey, AccessMethod] = MappingProxyType({}),
    ) -> None:
        self._base_url = base_url
        self._sender = sender
        self._observe = observe
        self.ways: dict[WayKey, AccessMethod] = {}
        """The way into each app; it holds the app's token."""
        former = {key[:2]: way.tokens for key, way in known.items()}
        for app in apps:
            key = self._key(app)
            way = self.ways[key] = known.get(key) or open_access(app, base_url, clock)
            before = former.get(key[:2])
            if way.tokens is not None and before is not None and before is not way.tokens:
                way.tokens.succeed(before)

    def fetch(self, app: App, report: Report, period: Period) -> Outcome:
        """Request one period of one report of one app."""
        errors: list[str] = []
        replies: list[ApiResponse] = []
        result: Reading | FetchError
        try:
            way = self.ways[self._key(app)]
            owner = f"{app.appid} {report.name} {period.label}"
            result = self._drive(owner, app, way.fetch(report, period), errors, replies)
        except FetchError as reason:
            if reason.errcode == MALFORMED:
                errors.append(MALFORMED)
            result = reason
        return Outcome(result, tuple(errors), server_time(replies[-1]) if replies else None)

    def _key(self, app: App) -> WayKey:
        return self._base_url, app.appid, app.way

    def _drive(
        self, owner: str, app: App, conversation: RequestFlow[T], errors: list[str], replies: list[ApiResponse]
    ) -> T:
        """Carries calls and replies between the conversation and the network until it returns or raises."""
        try:
            call = next(conversation)
            while True:
                try:
                    replies.append(self._send(owner, app, call, errors))
                except Failed as fault:
                    call = conversation.throw(fault)  # which call it was decides whom it concerns
                else:
                    call = conversation.send(replies[-1])
        except StopIteration as end:
            result: T = end.value
            return result

    def _send(self, owner: str, app: App, call: ApiRequest, errors: list[str]) -> ApiResponse:
        began = time.perf_counter()
        try:
            reply = self._sender.send(call, owner)
        except TransportError as fault:
            if fault.kind != MALFORMED:
                errors.append(fault.kind)
            log.debug("call failed", appid=app.appid, endpoint=call.endpoint, error=str(fault))
            raise Failed(str(fault), fault.kind) from None
        finally:
            seconds = time.perf_counter() - began
            self._observe(call.endpoint, seconds)
        label = error_label(reply)
        if label and label != MALFORMED:
            errors.append(label)
        log.debug(
            "called",
            appid=app.appid,
            endpoint=call.endpoint,
            status=reply.status,
            errcode=label,
            seconds=round(seconds, 3),
        )
        return reply

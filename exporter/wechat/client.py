"""Asks WeChat for one report of one app and says what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import structlog

from exporter.wechat.access import Access, Clock, Conversation, way_in
from exporter.wechat.codes import MALFORMED, Failed, Unanswered
from exporter.wechat.exchange import Call, Reply, TransportError
from exporter.wechat.protocol import error_label

if TYPE_CHECKING:
    from exporter.config import App
    from exporter.periods import Week
    from exporter.reports import Reading, Report

T = TypeVar("T")
Observe = Callable[[str, float], None]
"""Is told of each call: its endpoint and how many seconds it took."""

log = structlog.get_logger()


class Sender(Protocol):
    """The door to the network: ``transport.Transport``."""

    def send(self, call: Call) -> Reply:
        """Sends one call; raises TransportError."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one conversation about one week came to: a reading, or the reason why there is none."""

    result: Reading | Unanswered
    errors: tuple[str, ...] = ()
    """The ``errcode`` label of everything that went wrong on the way, also of what was healed."""


class Client:
    """Asks for reports. Each app has its own way in, and so its own token, for as long as it is configured.

    Safe for use from several threads as long as no app is asked about by two of them at once.
    """

    def __init__(self, sender: Sender, base_url: str, clock: Clock, observe: Observe) -> None:
        self._sender = sender
        self._base_url = base_url
        self._clock = clock
        self._observe = observe
        self._ways: dict[App, Access] = {}

    def ask(self, app: App, report: Report, week: Week) -> Outcome:
        """Asks for one week of one app."""
        errors: list[str] = []
        try:
            return Outcome(self._drive(app, self._way(app).converse(report, week), errors), tuple(errors))
        except Unanswered as reason:
            if reason.errcode == MALFORMED:
                errors.append(MALFORMED)
            return Outcome(reason, tuple(errors))

    def _way(self, app: App) -> Access:
        way = self._ways.get(app)
        if way is None:
            way = self._ways[app] = way_in(app, self._base_url, self._clock)
        return way

    def _drive(self, app: App, conversation: Conversation[T], errors: list[str]) -> T:
        """Carries calls and replies between the conversation and the network until it returns or raises."""
        try:
            call = next(conversation)
            while True:
                reply = self._send(app, call, errors)
                call = conversation.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result

    def _send(self, app: App, call: Call, errors: list[str]) -> Reply:
        began = time.perf_counter()
        try:
            reply = self._sender.send(call)
        except TransportError as fault:
            if fault.fault != MALFORMED:
                errors.append(fault.fault)
            log.debug("call failed", appid=app.appid, endpoint=call.endpoint, error=str(fault))
            raise Failed(str(fault), fault.fault) from None
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

"""The same facts as on the status page, for programs: docs/api.md."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from exporter import __version__
from exporter.metrics import catalogue
from exporter.reports import PREFIX
from exporter.status import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.metrics.catalogue import MetricInfo
    from exporter.reports import Report
    from exporter.status import Kept, Status, Trail
    from exporter.web.documents import Surroundings

Facts = dict[str, object]

MEDIA_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class AppsJson:
    """One object with one list of all apps, in the order of the configuration."""

    def piece(self, status: Status, report: Report) -> bytes:
        """One element of the list."""
        return _written(app(status, report))

    def whole(self, statuses: Sequence[Status], pieces: Sequence[bytes], surroundings: Surroundings) -> list[bytes]:
        """The object, in the envelope of Prometheus' own API; its ``apps`` are the last in it."""
        head = _written({"status": "success", "data": exporter(statuses, surroundings)}).removesuffix(b"}}")
        return [head + b',"apps":[', b",\n".join(pieces), b"]}}\n"]


def problem(words: str) -> bytes:
    """The answer while there is none."""
    return _written({"status": "error", "errorType": "unavailable", "error": words}) + b"\n"


def exporter(statuses: Sequence[Status], surroundings: Surroundings) -> Facts:
    """What is said once, beside the apps."""
    return {
        "version": __version__,
        "report": surroundings.report.name,
        "made_timestamp_seconds": surroundings.now,
        "troubles": [asdict(trouble) for trouble in surroundings.troubles],
        "states": {state: sum(status.state is state for status in statuses) for state in State},
    }


def app(status: Status, report: Report) -> Facts:
    """What is said about one app. Names are those of labels and metrics, without the prefix of the exporter."""
    answer, recent = status.answer, status.recent
    live = recent.current
    return {
        "appid": status.appid,
        "name": status.name,
        "state": status.state,
        "state_words": status.state.words,
        _key(catalogue.UP): None if status.state is State.PENDING else status.state.up,
        "state_since_timestamp_seconds": answer.since if answer else None,
        "errcode": (answer.errcode or None) if answer else None,
        "error": (answer.message or None) if answer else None,
        "week": live.week.label if live else None,
        _key(catalogue.WEEK_END): live.week.end if live else None,
        _key(catalogue.WEEK_FIRST_SEEN): live.first_seen if live else None,
        report.current: _figures(live, report),
        report.previous: _figures(recent.previous, report),
        report.median: {field.metric: recent.median(field) for field in report.fields},
        "trail": _trail(recent.trail, report),
        _key(catalogue.LAST_SUCCESS): answer.succeeded if answer else None,
        _key(catalogue.NEXT_FETCH): status.next_fetch,
    }


def _figures(kept: Kept | None, report: Report) -> Mapping[str, float | None]:
    return {field.metric: kept.reading.value(field) if kept else None for field in report.fields}


def _trail(trail: Trail, report: Report) -> Facts:
    """Week after week, the live one last; a whole number is written as one."""
    return {
        report.leading.metric: [
            int(figure) if figure is not None and figure.is_integer() else figure for figure in trail.figures.values()
        ]
    }


def _key(info: MetricInfo) -> str:
    return info.name.removeprefix(PREFIX)


def _written(facts: Facts) -> bytes:
    return json.dumps(facts, separators=(",", ":")).encode()

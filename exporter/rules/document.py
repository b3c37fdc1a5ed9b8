"""The rules as files: Prometheus' own, and the PrometheusRule of its operator. YAML is written here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from exporter.rules import figures, operations
from exporter.rules.model import Links

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.rules.model import Alert, Recording

GROUP = "wechat-miniprogram"
"""One group: its rules run in order, so that alerts see the recordings of the same moment."""

INTERVAL = "1m"
"""Weekly figures need no more, and ten thousand apps that all fall take most of it."""

DEFAULT_LINKS = Links(dashboard="http://localhost:3000/d/wechat-miniprogram", runbook="docs/alerts.md")

_HEAD = "# Written by the command `{}`; change it there, not here.\n"


def rules() -> Iterator[Recording | Alert]:
    """All rules in the order in which they are evaluated."""
    yield from figures.recordings()
    yield from figures.alerts()
    yield from operations.alerts()


def document(links: Links = DEFAULT_LINKS) -> str:
    """A rule file of Prometheus (2.42 or newer, for ``keep_firing_for``)."""
    return _HEAD.format("rules") + _yaml(_groups(links))


def kubernetes(links: Links = DEFAULT_LINKS) -> str:
    """The same as a PrometheusRule of prometheus-operator."""
    labels = {"app.kubernetes.io/name": "wechat-miniprogram-exporter"}
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "wechat-miniprogram-exporter", "labels": labels},
        "spec": _groups(links),
    }
    return _HEAD.format("rules --kubernetes") + _yaml(resource)


def _groups(links: Links) -> dict[str, object]:
    return {"groups": [{"name": GROUP, "interval": INTERVAL, "rules": [rule.written(links) for rule in rules()]}]}


class _Dumper(yaml.SafeDumper):
    """Writes expressions as people do: line by line."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _yaml(content: object) -> str:
    written: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6)
    return written

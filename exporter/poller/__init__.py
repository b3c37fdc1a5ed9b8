"""Decides when WeChat is asked, and keeps what it answers: ``plan`` decides, ``ledger`` follows, ``loop`` acts."""

from exporter.poller.ledger import STATES
from exporter.poller.loop import HEARTBEAT, Asker, Poller, Pulse

__all__ = ["HEARTBEAT", "STATES", "Asker", "Poller", "Pulse"]

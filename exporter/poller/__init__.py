"""Decides when WeChat is asked, and keeps what it answers: ``plan`` decides, ``ledger`` follows, ``loop`` acts."""

from exporter.poller.askers import Asker
from exporter.poller.handover import Turnover
from exporter.poller.ledger import STATES
from exporter.poller.loop import HEARTBEAT, Poller, Pulse

__all__ = ["HEARTBEAT", "STATES", "Asker", "Poller", "Pulse", "Turnover"]

"""Decides when WeChat is requested, and keeps what it answers: ``plan`` decides, ``tracker`` follows, ``loop`` acts."""

from exporter.poller.loop import HEARTBEAT, Heartbeat, Poller
from exporter.poller.reconfigure import ConfigDiff
from exporter.poller.tracker import STATES
from exporter.poller.worker_pool import Fetcher

__all__ = ["HEARTBEAT", "STATES", "ConfigDiff", "Fetcher", "Heartbeat", "Poller"]

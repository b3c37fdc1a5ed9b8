"""Decides when WeChat is requested (``plan``), applies outcomes (``tracker``), and runs both in a thread (``loop``)."""

from exporter.poller.loop import HEARTBEAT, Heartbeat, Poller
from exporter.poller.reconfigure import ConfigDiff
from exporter.poller.tracker import STATES, missing_key
from exporter.poller.worker_pool import Fetcher

__all__ = ["HEARTBEAT", "STATES", "ConfigDiff", "Fetcher", "Heartbeat", "Poller", "missing_key"]

"""Asking WeChat: from a report and a week to a reading, or to the reason why there is none."""

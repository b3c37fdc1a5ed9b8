"""Fetch reports from WeChat: from a report and a period to a reading, or to the reason why there is none."""

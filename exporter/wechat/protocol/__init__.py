"""The protocol: request bodies, and responses parsed into a reading, a token or a ``FetchError``.

Pure functions: no I/O and no clock. The facts are those of docs/wechat-api.md sections 1, 3, 4 and 5.
"""

from exporter.wechat.protocol.reports import event_body, parse_function, parse_invoked, parse_report, report_body
from exporter.wechat.protocol.responses import error_label, retry_after_seconds, server_time
from exporter.wechat.protocol.tokens import (
    Token,
    authorizer_body,
    parse_authorizer_token,
    parse_served_token,
    parse_token,
    token_body,
)

__all__ = [
    "Token",
    "authorizer_body",
    "error_label",
    "event_body",
    "parse_authorizer_token",
    "parse_function",
    "parse_invoked",
    "parse_report",
    "parse_served_token",
    "parse_token",
    "report_body",
    "retry_after_seconds",
    "server_time",
    "token_body",
]

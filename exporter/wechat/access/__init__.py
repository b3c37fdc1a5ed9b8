"""Access methods: how a report is fetched, as generators without I/O.

A ``RequestFlow`` yields requests, is sent the responses, and returns the result or raises ``codes.FetchError``. The
client that drives it owns the network, so that a test can act as the server. Flows nest: that of an access method
delegates to that of its token source, which may delegate to another.

A further access method is one class and one line in ``ACCESS_METHODS``; a further token source is one class and one
line in ``TOKEN_SOURCES``.
"""

from exporter.wechat.access.access_methods import ACCESS_METHODS, AccessMethod, endpoints_of, open_access
from exporter.wechat.access.context import AccessContext
from exporter.wechat.access.request_flow import RequestFlow
from exporter.wechat.access.sources import TOKEN_SOURCES, TokenSource

__all__ = [
    "ACCESS_METHODS",
    "TOKEN_SOURCES",
    "AccessContext",
    "AccessMethod",
    "RequestFlow",
    "TokenSource",
    "endpoints_of",
    "open_access",
]

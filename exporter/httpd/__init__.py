"""An HTTP server with deadlines and limits, independent of what it serves.

Modules, each importing only those below it::

    server              accepts on all addresses, a worker thread per connection, enforces deadlines, stops
    connection_handler  the requests and responses of one connection
    connections         the bytes and the deadline of one connection; the register of all connections
    tls                 the same bytes, encrypted
    messages            requests and responses as values
    addresses           listen addresses
"""

from exporter.httpd.addresses import Address, ListenError, parse_address
from exporter.httpd.connections import Limits
from exporter.httpd.messages import Handler, Headers, Request, Response, text_response
from exporter.httpd.server import Server
from exporter.httpd.tls import Tls

__all__ = [
    "Address",
    "Handler",
    "Headers",
    "Limits",
    "ListenError",
    "Request",
    "Response",
    "Server",
    "Tls",
    "parse_address",
    "text_response",
]

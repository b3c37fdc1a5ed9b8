"""Sockets with deadlines and caps that know nothing of what they serve.

Inside, looking down only::

    server         accepts on every address, one worker thread per connection; reaps and stops
    conversation   one connection's requests and answers, in order
    connections    one connection's bytes, its deadline, and the register of all of them
    tls            the same bytes, encrypted
    messages       requests and answers as values
    addresses      where to listen, as the operator writes it
"""

from exporter.httpd.addresses import Address, ListenError, parse_address
from exporter.httpd.connections import Limits
from exporter.httpd.messages import Handler, Headers, Request, Response
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
]

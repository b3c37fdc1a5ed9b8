"""An HTTP server that hostile and slow clients cannot stop; it knows nothing of what it serves.

Threads of the standard library, with what that lacks: a deadline for each phase of a connection, a cap on
connections under which a newcomer always gets in, and limits on what a client may send.
"""

from exporter.httpd.addresses import ListenError, parse_address
from exporter.httpd.messages import Handler, Limits, Request, Response
from exporter.httpd.server import Server

__all__ = ["Handler", "Limits", "ListenError", "Request", "Response", "Server", "parse_address"]

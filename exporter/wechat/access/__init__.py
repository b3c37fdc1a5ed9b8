"""Ways to a reading, as conversations without I/O.

A conversation is a generator: it yields calls, is sent the replies, and returns what was wanted or raises
the reason why there is none (``codes.Unanswered``). Whoever drives it owns the network, so that a test can play
the server by hand. Conversations nest: a way asks a source of tokens, which may ask another.

One more way is one class and one line in ``WAYS``, one more source of tokens one class and one line in ``TOKENS``.
"""

from exporter.wechat.access.conversation import Clock, Conversation
from exporter.wechat.access.sources import TOKENS, TokenSource
from exporter.wechat.access.ways import WAYS, Access, endpoints_of, way_in

__all__ = ["TOKENS", "WAYS", "Access", "Clock", "Conversation", "TokenSource", "endpoints_of", "way_in"]

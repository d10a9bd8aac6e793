"""Models that the engine can speak to: servers of the OpenAI API, and the offline model.

`Retrying(Limited(OpenAIChat(pool, server, model), limiter))` is a model that waits, slows down and tries again.
"""

from .chat import OpenAIChat
from .dialect import Dialect
from .embedder import OpenAIEmbedder
from .limits import AdaptiveLimiter, Limited
from .retrying import Retrying, RetryPolicy
from .servers import ClientPool, Server
from .troubles import Overloaded

__all__ = [
    "AdaptiveLimiter",
    "ClientPool",
    "Dialect",
    "Limited",
    "OpenAIChat",
    "OpenAIEmbedder",
    "Overloaded",
    "RetryPolicy",
    "Retrying",
    "Server",
]

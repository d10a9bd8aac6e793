"""Models that the engine can speak to: servers of the OpenAI API, and the offline model.

`Retrying(Limited(OpenAIChat(pool, server, model), limiter))` is a model that waits, slows down and tries again;
with `Server(address, keys=KeyPool([Key("one", "sk-…"), Key("two", "sk-…", hourly_limit=100)]))` its keys take turns.
"""

from generation.engine.errors import KeyRefused, OutOfCalls, Overloaded, RateLimited

from .chat import OpenAIChat
from .dialect import Dialect
from .embedder import Embedded, OpenAIEmbedder, embedder
from .keys import Key, KeyPool, KeyRing, KeyRules
from .limits import AdaptiveLimiter, Limited
from .retrying import Retrying, RetryPolicy
from .servers import ClientPool, Server

__all__ = [
    "AdaptiveLimiter",
    "ClientPool",
    "Dialect",
    "Embedded",
    "Key",
    "KeyPool",
    "KeyRefused",
    "KeyRing",
    "KeyRules",
    "Limited",
    "OpenAIChat",
    "OpenAIEmbedder",
    "OutOfCalls",
    "Overloaded",
    "RateLimited",
    "RetryPolicy",
    "Retrying",
    "Server",
    "embedder",
]

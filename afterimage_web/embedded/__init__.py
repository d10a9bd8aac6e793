"""The services that `manage.py up` brings along: PostgreSQL, Valkey, the vector process, workers and the web server."""

from afterimage_web.embedded.addresses import EmbeddedError, Urls, kombu_url, redis_py_url, urls, urls_from
from afterimage_web.embedded.stack import running

__all__ = ["EmbeddedError", "Urls", "kombu_url", "redis_py_url", "running", "urls", "urls_from"]

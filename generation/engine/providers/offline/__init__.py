"""The explicit offline model."""

from .model import NAME, OfflineChat

__all__ = ["NAME", "OfflineChat"]

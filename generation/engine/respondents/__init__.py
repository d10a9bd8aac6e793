"""Respondents: how the assistant that is imitated comes to its answer."""

from .speaking import Speaking

__all__ = ["Speaking"]

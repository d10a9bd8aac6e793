"""Prompt modifiers: what the respondent is told besides its own prompt, and from which passages."""

from .chain import Chain
from .plain import Plain
from .with_context import WithContext
from .with_retrieval import WithRetrieval

__all__ = ["Chain", "Plain", "WithContext", "WithRetrieval"]

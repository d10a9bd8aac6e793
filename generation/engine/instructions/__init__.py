"""Instruction generators: who writes the first message of a dialog."""

from .contextual import Contextual
from .simple import Simple

__all__ = ["Contextual", "Simple"]

"""Personas from documents: how they are written, how far they branch, and which of them asks."""

from .casting import Casting, cast
from .growing import BRANCHES, calls_for, calls_of, depth_for, layers, personas_of, target_per_document
from .selection import Grown, PersonaHand, layer_weights
from .writing import LONGEST_TEXT, PersonaWriter, excerpt_of

__all__ = [
    "BRANCHES", "LONGEST_TEXT", "Casting", "Grown", "PersonaHand", "PersonaWriter", "calls_for", "calls_of", "cast",
    "depth_for", "excerpt_of", "layer_weights", "layers", "personas_of", "target_per_document",
]  # fmt: skip

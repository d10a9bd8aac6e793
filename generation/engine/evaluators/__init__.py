"""Evaluators: who says how good a dialog is."""

from .criteria import BUILT_IN, Criterion
from .model_judge import ModelJudge
from .panel import Panel, assemble
from .vector_judge import VectorJudge

__all__ = ["BUILT_IN", "Criterion", "ModelJudge", "Panel", "VectorJudge", "assemble"]

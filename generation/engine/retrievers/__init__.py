"""Retrievers that wrap others. Where passages are really looked up is not the engine's business."""

from .patient import Patient

__all__ = ["Patient"]

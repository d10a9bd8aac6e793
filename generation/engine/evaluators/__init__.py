"""Evaluators: who says how good a dialog is."""

from .model_judge import ModelJudge

__all__ = ["ModelJudge"]

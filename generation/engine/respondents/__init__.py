"""Respondents: how the assistant that is imitated comes to its answer."""

from .speaking import Speaking
from .tool_using import ToolResults, ToolUsing

__all__ = ["Speaking", "ToolResults", "ToolUsing"]

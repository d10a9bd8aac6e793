"""Simulators: who plays the user."""

from .correspondent import Correspondent, write_correspondent_prompt

__all__ = ["Correspondent", "write_correspondent_prompt"]

"""The shapes that trainers read: one file a format, one line a dialog. Pure: dialogs in, JSON values out.

What every format does alike, so that no chat template refuses a row:
- A row begins with the user, alternates and ends with the assistant. Messages of the same speaker in a row are joined by
  an empty line; a dialog that begins or ends otherwise, or has an empty message, is skipped with a reason.
- The system prompt is written only when asked for. Reasoning is left out.
- A row holds what the trainer reads and nothing else, unless metadata is asked for.
"""

from __future__ import annotations

from . import messages, sharegpt
from .contract import Format, Options, Skip
from .jsonl import encode
from .metadata import metadata

FORMATS: dict[str, Format] = {
    "messages": Format(
        label="Messages",
        description="Role and content, as OpenAI, TRL, Axolotl, Unsloth and most trainers read it.",
        row=messages.row,
    ),
    "sharegpt": Format(
        label="ShareGPT",
        description="“from: human” and “from: gpt”, as LLaMA-Factory and older trainers read it.",
        row=sharegpt.row,
    ),
}

__all__ = ["FORMATS", "Format", "Options", "Skip", "encode", "metadata"]

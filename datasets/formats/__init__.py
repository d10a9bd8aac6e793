"""The shapes that trainers read: one file a format, one line a dialog. Pure: dialogs in, JSON values out.

What every format does alike, so that no chat template refuses a row:
- A row begins with the user, alternates and ends with the assistant. Messages of the same speaker in a row are joined by
  an empty line; a dialog that begins or ends otherwise, or has an empty message, is skipped with a reason.
- The system prompt, and the reasoning where the format can hold it, are written only when asked for.
- A row holds what the trainer reads and nothing else, unless metadata is asked for.
Only `raw` is none for trainers: it holds every dialog as it is.
"""

from __future__ import annotations

from . import messages, raw, sharegpt
from .contract import Format, Judged, Options, Skip
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
    "raw": Format(
        label="AfterImage rows",
        description="As the AfterImage library writes them: contexts, persona and evaluation beside what was said. "
        "Imported rows come out as they came in.",
        row=raw.row,
        reads_trace=True,
        judgement=raw.judgement,
    ),
}

__all__ = ["FORMATS", "Format", "Judged", "Options", "Skip", "encode", "metadata"]

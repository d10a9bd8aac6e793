"""The shapes that trainers read: one file a format, one line a dialog. Pure: dialogs in, JSON values out.

What every format does alike, so that no chat template refuses a row:
- A row begins with the user, alternates and ends with the assistant. Messages of the same speaker in a row are joined by
  an empty line; a dialog that begins or ends otherwise, or has an empty message, is skipped with a reason.
- The system prompt, and the reasoning where the format can hold it, are written only when asked for.
- A row holds what the trainer reads and nothing else, unless metadata is asked for.
- Functions, where the assistant could call any, are a column; each call is followed by its result, or the dialog is
  skipped.
Only `raw` is none for trainers: it holds every dialog as it is. `rows` holds what was made by a schema, and nothing else.
"""

from __future__ import annotations

from . import alpaca, messages, openai, raw, rows, sharegpt
from .contract import Format, Judged, Options, Rated, Skip
from .jsonl import encode
from .metadata import metadata
from .preference import PREFERENCES

FORMATS: dict[str, Format] = {
    "messages": Format(
        label="Messages",
        description="Role and content, as TRL, Axolotl, Unsloth and most trainers read it. Tools as a column, their "
        "arguments as objects.",
        row=messages.row,
    ),
    "openai": Format(
        label="OpenAI",
        description="The same as the chat API of OpenAI has it: calls of tools have ids, their arguments are a string "
        "of JSON.",
        row=openai.row,
    ),
    "sharegpt": Format(
        label="ShareGPT",
        description="“from: human” and “from: gpt”, as LLaMA-Factory and older trainers read it.",
        row=sharegpt.row,
    ),
    "llama_factory": Format(
        label="LLaMA-Factory",
        description="Instruction, input, output and the turns before as history.",
        row=alpaca.llama_factory,
        reads_trace=True,
    ),
    "alpaca": Format(
        label="Alpaca",
        description="Instruction, input and output, of conversations with one turn.",
        row=alpaca.alpaca,
        reads_trace=True,
    ),
    "rows": Format(
        label="Structured rows",
        description="Instruction, context, persona and the output of a JSON schema, from runs that make rows.",
        row=rows.row,
        reads_trace=True,
    ),
    "raw": Format(
        label="AfterImage rows",
        description="As the AfterImage library writes them: contexts, persona and evaluation beside what was said. "
        "Imported rows come out as they came in.",
        row=raw.row,
        reads_trace=True,
        judgement=raw.judgement,
        cast=raw.cast,
    ),
    **PREFERENCES,
}

__all__ = ["FORMATS", "PREFERENCES", "Format", "Judged", "Options", "Rated", "Skip", "encode", "metadata"]

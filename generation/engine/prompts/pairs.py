"""What makes an answer better or worse on purpose, for preference pairs."""

from __future__ import annotations

from generation.engine.protocols import ModifiedPrompt

ENHANCED = """\
Take particular care with this answer: think it through step by step before you write, answer every part of what was \
asked, give the reasons and the details that matter, and say plainly what is uncertain."""

DEGRADED = """\
Keep this answer very brief: one or two short sentences, without reasons, details or examples."""


def nudged(prompt: ModifiedPrompt, nudge: str) -> ModifiedPrompt:
    """The respondent's prompt with a wish for this one answer; without a wish, as it is."""
    return ModifiedPrompt(f"{prompt.text}\n\n{nudge}", prompt.sources) if nudge else prompt

"""The passages that the first message was written from are given to the respondent."""

from __future__ import annotations

from dataclasses import dataclass

from generation.engine import prompts
from generation.engine.errors import DialogError
from generation.engine.protocols import Brief, ModifiedPrompt


@dataclass(frozen=True, slots=True)
class WithContext:
    template: str = ""
    """How prompt and passages are put together, by `{prompt}` and `{context}`; empty is the usual way."""

    async def modify(self, prompt: str, brief: Brief, query: str) -> ModifiedPrompt:
        """Raises DialogError when the brief has no passages: an ungrounded answer must be asked for."""
        if not brief.contexts:
            raise DialogError("No passage is reserved for this conversation: its passages may have been deleted.")
        return ModifiedPrompt(prompts.grounded(prompt, brief.contexts, self.template), brief.contexts)

"""The respondent's own prompt and nothing else: an ungrounded dialog, on purpose."""

from __future__ import annotations

from dataclasses import dataclass

from generation.engine import prompts
from generation.engine.protocols import Brief, ModifiedPrompt


@dataclass(frozen=True, slots=True)
class Plain:
    async def modify(self, prompt: str, brief: Brief, query: str) -> ModifiedPrompt:
        return ModifiedPrompt(prompts.ungrounded(prompt))

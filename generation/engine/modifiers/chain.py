"""Several modifiers in order: each is given the prompt that the one before it left."""

from __future__ import annotations

from dataclasses import dataclass

from generation.engine.protocols import Brief, ModifiedPrompt, PromptModifier

from .with_retrieval import merge


@dataclass(frozen=True, slots=True)
class Chain:
    modifiers: tuple[PromptModifier, ...]

    async def modify(self, prompt: str, brief: Brief, query: str) -> ModifiedPrompt:
        modified = ModifiedPrompt(prompt)
        for modifier in self.modifiers:
            following = await modifier.modify(modified.text, brief, query)
            modified = ModifiedPrompt(following.text, merge(modified.sources, following.sources))
        return modified

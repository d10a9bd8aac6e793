"""Turn hooks: who is told of each step of each dialog."""

from __future__ import annotations

from dataclasses import dataclass

from .protocols import Moment, TurnHooks


class Hooks:
    """Does nothing at every step; a hook of one's own overrides what it is for."""

    async def before_question(self, moment: Moment) -> None: ...

    async def after_question(self, moment: Moment) -> None: ...

    async def before_answer(self, moment: Moment) -> None: ...

    async def after_answer(self, moment: Moment) -> None: ...


@dataclass(frozen=True, slots=True)
class HooksInTurn:
    """Several hooks, told one after the other."""

    hooks: tuple[TurnHooks, ...]

    async def before_question(self, moment: Moment) -> None:
        for hook in self.hooks:
            await hook.before_question(moment)

    async def after_question(self, moment: Moment) -> None:
        for hook in self.hooks:
            await hook.after_question(moment)

    async def before_answer(self, moment: Moment) -> None:
        for hook in self.hooks:
            await hook.before_answer(moment)

    async def after_answer(self, moment: Moment) -> None:
        for hook in self.hooks:
            await hook.after_answer(moment)

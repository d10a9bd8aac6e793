"""Turn hooks: who is told what, when, and in which order."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from generation.engine.errors import FatalError
from generation.engine.hooks import Hooks, HooksInTurn
from generation.engine.protocols import Brief, Failed, Made, Moment
from tests.engine.parts import Model, maker


@dataclass
class Notes:
    """A hook that writes down every call."""

    name: str = ""
    told: list[tuple[str, Moment]] = field(default_factory=list)

    async def before_question(self, moment: Moment) -> None:
        self.told.append(("before question", moment))

    async def after_question(self, moment: Moment) -> None:
        self.told.append(("after question", moment))

    async def before_answer(self, moment: Moment) -> None:
        self.told.append(("before answer", moment))

    async def after_answer(self, moment: Moment) -> None:
        self.told.append(("after answer", moment))

    @property
    def order(self) -> list[str]:
        return [what for what, _ in self.told]


async def test_two_turns_tell_each_step_in_order_and_a_first_question_that_is_given_only_when_it_is_there() -> None:
    notes = Notes()
    assert isinstance(await maker(Model(), hooks=notes).make(Brief(seed=1, turns=2)), Made)
    assert notes.order == [
        "after question",
        "before answer",
        "after answer",
        "before question",
        "after question",
        "before answer",
        "after answer",
    ]


async def test_a_moment_is_a_snapshot_of_the_dialog_so_far() -> None:
    notes = Notes()
    await maker(Model(), hooks=notes).make(Brief(seed=1, turns=2))
    assert [(len(moment.messages), moment.answered) for _, moment in notes.told] == [
        (1, 0),
        (1, 0),
        (2, 1),
        (2, 1),
        (3, 1),
        (3, 1),
        (4, 2),
    ]
    assert {moment.brief.turns for _, moment in notes.told} == {2}
    assert [moment.prompt for _, moment in notes.told] == ["", *["You help."] * 6]


async def test_several_hooks_are_told_one_after_the_other() -> None:
    said: list[str] = []

    class Says(Hooks):
        def __init__(self, name: str) -> None:
            self.name = name

        async def before_answer(self, moment: Moment) -> None:
            said.append(self.name)

    hooks = HooksInTurn((Says("first"), Says("second")))
    await maker(Model(), hooks=hooks).make(Brief(seed=1, turns=2))
    assert said == ["first", "second"] * 2


@pytest.mark.parametrize(("error", "kind"), [(ValueError("No."), "dialog"), (FatalError("Stop."), "fatal")])
async def test_what_a_hook_raises_fails_the_dialog_and_keeps_what_it_cost(error: Exception, kind: str) -> None:
    class Breaks(Hooks):
        async def after_answer(self, moment: Moment) -> None:
            raise error

    outcome = await maker(Model(), hooks=Breaks()).make(Brief(seed=1, turns=1))
    assert isinstance(outcome, Failed)
    assert outcome.kind == kind
    assert str(error) in outcome.error
    assert [step.operation for step in outcome.steps] == ["instruction", "answer"]

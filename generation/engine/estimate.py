"""What a run will take: calls, tokens, money and time, reckoned before the first call.

With N conversations and T turns each, T uniform on 1..M, so that E[T] = (M+1)/2:

- calls: N of the instruction writer, N·E[T] of the respondent, N·E[T-1] of the correspondent, N of the judge if there is
  one: N·(1 + E[2T-1]) and N with a judge. E[2T-1] = M.
- history: answer j is given j questions and j-1 answers, question j+1 is given j of each. Summed over a dialog that is
  T(T+1)/2 questions and T(T-1)/2 answers for the respondent, T(T-1)/2 of each for the correspondent, with
  E[T(T+1)/2] = (M+1)(M+2)/6 and E[T(T-1)/2] = (M-1)(M+1)/6.
- a batch of B first questions is written by one call: N/B calls of the instruction writer.
- a structured row is one call of the respondent and none of the correspondent. A dialog with tools has the respondent
  ask once more a turn, and one result written by the correspondent's model.
- a preference pair of R answers has R - 1 last answers more, and each of the R is judged.
- an attempt at improving costs at most a whole dialog without its instruction; how many there are is not known before,
  so they are reckoned apart, as the most that they can be.
- every request also carries its system prompt: the user's own, our rules, and the passages where a role is given them.
- time: all calls at their latency through `concurrency` lines, or the longest single dialog where that is more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from datasets.schema import Dialog, Message, Source

from . import prompts
from .prompts import judging
from .protocols import Brief, ModelRole, Turn
from .recipe import Pairs, Recipe, Rows, ToolDialogs

CHARS_PER_TOKEN = 4.0
"""Of English prose in common tokenizers. Other scripts take more tokens."""
MESSAGE_TOKENS = 4
"""What a chat format adds to each message."""
TYPICAL_REPLY: Mapping[ModelRole, int] = {"instruction": 40, "correspondent": 30, "respondent": 220, "judge": 150}
"""Completion tokens of one reply."""


@dataclass(frozen=True, slots=True)
class Speech:
    """What is known of a role's model. Prices are for a million tokens, `latency` in seconds a call."""

    prompt_price: Decimal = Decimal(0)
    completion_price: Decimal = Decimal(0)
    latency: float = 2.0


@dataclass(frozen=True, slots=True)
class Texts:
    """Sizes in characters of what prompts are made from. A built-in prompt is given as its own length."""

    respondent: int
    correspondent: int = len(prompts.DEFAULT_CORRESPONDENT)
    instruction: int = len(prompts.DEFAULT_INSTRUCTION)
    persona: int = 0
    passage: float = 0
    """The mean passage."""


@dataclass(frozen=True, slots=True)
class RoleEstimate:
    calls: float
    prompt_tokens: float
    completion_tokens: float
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Estimate:
    roles: Mapping[ModelRole, RoleEstimate]
    conversations: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal
    seconds: float
    improving: RoleEstimate | None = None
    """The most that attempts at improving can add; None where the recipe has none."""

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class _Expected:
    """Expectations over the number of turns."""

    turns: float
    follow_ups: float
    seen_questions: float
    seen_answers: float

    @classmethod
    def of(cls, most: int) -> _Expected:
        return cls((most + 1) / 2, (most - 1) / 2, (most + 1) * (most + 2) / 6, (most - 1) * (most + 1) / 6)


def estimate(recipe: Recipe, texts: Texts, speeches: Mapping[ModelRole, Speech], slots: int) -> Estimate:
    """For so many `slots`. `speeches` has every role that speaks; KeyError otherwise."""
    loads = _loads(recipe, texts)
    roles = {role: _priced(slots, load, speeches[role]) for role, load in loads.items()}
    total = _sum(roles.values())
    return Estimate(
        roles=roles,
        conversations=slots,
        calls=round(total.calls),
        prompt_tokens=round(total.prompt_tokens),
        completion_tokens=round(total.completion_tokens),
        cost=total.cost,
        seconds=_seconds(recipe, loads, speeches, slots),
        improving=_improving(recipe, roles),
    )


def _sum(parts: Iterable[RoleEstimate]) -> RoleEstimate:
    parts = list(parts)
    return RoleEstimate(
        calls=sum(part.calls for part in parts),
        prompt_tokens=sum(part.prompt_tokens for part in parts),
        completion_tokens=sum(part.completion_tokens for part in parts),
        cost=sum((part.cost for part in parts), Decimal(0)),
    )


def _improving(recipe: Recipe, roles: Mapping[ModelRole, RoleEstimate]) -> RoleEstimate | None:
    if recipe.improve is None:
        return None
    once, times = _sum(role for name, role in roles.items() if name != "instruction"), recipe.improve.attempts
    return RoleEstimate(
        times * once.calls, times * once.prompt_tokens, times * once.completion_tokens, times * once.cost
    )


@dataclass(frozen=True, slots=True)
class _Load:
    """One role's work on one dialog, as expected: calls, and prompt and completion tokens of all of them."""

    calls: float
    prompt: float
    completion: float

    def times(self, factor: float) -> _Load:
        return _Load(self.calls * factor, self.prompt * factor, self.completion * factor)

    def plus(self, other: _Load) -> _Load:
        return _Load(self.calls + other.calls, self.prompt + other.prompt, self.completion + other.completion)


def _loads(recipe: Recipe, texts: Texts) -> dict[ModelRole, _Load]:
    passages = recipe.contexts if recipe.corpus is not None else 0
    given = _passages_given(recipe)
    expected = _Expected.of(recipe.max_turns)
    question = TYPICAL_REPLY["correspondent"] + MESSAGE_TOKENS
    answer = TYPICAL_REPLY["respondent"] + MESSAGE_TOKENS
    sizes = _Sizes(texts)
    loads: dict[ModelRole, _Load] = {
        "instruction": _load("instruction", 1 / recipe.questions.batch, sizes.instruction(passages)),
        "correspondent": _load(
            "correspondent", expected.follow_ups, sizes.correspondent(), expected.seen_answers * (question + answer)
        ),
        "respondent": _load(
            "respondent",
            expected.turns,
            sizes.respondent(given),
            expected.seen_questions * question + expected.seen_answers * answer,
        ),
    }
    if "judge" in recipe.roles:
        seen = given * (expected.turns if recipe.retrieval.when == "answer" else 1)
        loads["judge"] = _load("judge", 1, sizes.judge(round(seen)), expected.turns * (question + answer))
    return _of_product(recipe, loads, expected)


def _of_product(recipe: Recipe, loads: dict[ModelRole, _Load], expected: _Expected) -> dict[ModelRole, _Load]:
    """The loads of a plain dialog, made those of what the recipe makes."""
    product = recipe.product
    if isinstance(product, Rows):
        del loads["correspondent"]
        loads["respondent"] = loads["respondent"].times(1 / expected.turns)
    elif isinstance(product, ToolDialogs):
        results = _load("correspondent", expected.turns, 150)
        loads["correspondent"] = loads["correspondent"].plus(results)
        loads["respondent"] = loads["respondent"].times(2)
    elif isinstance(product, Pairs):
        further = loads["respondent"].times((product.answers - 1) / expected.turns)
        loads["respondent"] = loads["respondent"].plus(further)
        if "judge" in loads:
            loads["judge"] = loads["judge"].times(product.answers)
    return loads


def _passages_given(recipe: Recipe) -> int:
    """How many passages stand before the respondent at each answer."""
    if recipe.corpus is None:
        return 0
    own = recipe.contexts if recipe.retrieval.with_context else 0
    return own + (0 if recipe.retrieval.when == "never" else recipe.retrieval.depth)


def _load(role: ModelRole, calls: float, each: float, history: float = 0) -> _Load:
    return _Load(calls, calls * each + history, calls * TYPICAL_REPLY[role])


def _priced(conversations: int, load: _Load, speech: Speech) -> RoleEstimate:
    prompt, completion = conversations * load.prompt, conversations * load.completion
    cost = (Decimal(prompt) * speech.prompt_price + Decimal(completion) * speech.completion_price) / 1_000_000
    return RoleEstimate(conversations * load.calls, prompt, completion, cost.quantize(Decimal("0.000001")))


def _seconds(
    recipe: Recipe, loads: Mapping[ModelRole, _Load], speeches: Mapping[ModelRole, Speech], slots: int
) -> float:
    lines = max(1, min(recipe.concurrency, slots))
    spread = slots * sum(load.calls * speeches[role].latency for role, load in loads.items()) / lines
    most = {"instruction": 1, "correspondent": recipe.max_turns - 1, "respondent": recipe.max_turns, "judge": 1}
    return max(spread, sum(most[role] * speeches[role].latency for role in loads))


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Tokens of each role's request without history, measured on the very prompts that will be sent."""

    texts: Texts

    def instruction(self, passages: int) -> float:
        brief = Brief(seed=0, turns=1)
        turns = prompts.first_question("x" * self.texts.instruction, "x" * self.texts.correspondent, brief, ())
        return _tokens(turns) + self._passages(passages) + self._persona()

    def correspondent(self) -> float:
        exchange = (Message(role="user", content=""), Message(role="assistant", content=""))
        return _tokens(prompts.next_question("x" * self.texts.correspondent, None, exchange)) + self._persona()

    def respondent(self, passages: int) -> float:
        prompt = "x" * self.texts.respondent
        text = prompts.grounded(prompt, ()) if passages else prompts.ungrounded(prompt)
        return _tokens([Turn("system", text)]) + self._passages(passages)

    def judge(self, passages: int) -> float:
        return _tokens(judging.judge(Dialog(messages=()), (), judging.CRITERIA)) + self._passages(passages)

    def _passages(self, number: int) -> float:
        title = Source(passage=0, document=0, title="x" * 24, text="", start=0, end=0)
        return number * (len(prompts.context([title])) + self.texts.passage) / CHARS_PER_TOKEN

    def _persona(self) -> float:
        return self.texts.persona / CHARS_PER_TOKEN


def _tokens(turns: list[Turn]) -> float:
    return sum(len(turn.content) / CHARS_PER_TOKEN + MESSAGE_TOKENS for turn in turns)

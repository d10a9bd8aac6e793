"""Pairs of a better and a worse answer to the same question, from the versions of one conversation.

Of judged versions the best is compared with the worst that shares all that was said before one answer, and that answer is
the pair. Where somebody has chosen one version and rejected another, as in pairs that were imported, it is theirs.
In the formats that are text, a prompt of several turns is written as `Human: …` and `Assistant: …`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from datasets.schema import Dialog, Message

from .contract import Format, Options, Rated, Row, Skip
from .said import said

NAMES = {"user": "Human", "assistant": "Assistant"}


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    score: float | None
    label: str


@dataclass(frozen=True, slots=True)
class Choice:
    """`prompt` ends with the question; `answers` to it are the best first."""

    system: str
    prompt: tuple[Message, ...]
    answers: tuple[Answer, ...]

    @property
    def chosen(self) -> Answer:
        return self.answers[0]

    @property
    def rejected(self) -> Answer:
        return self.answers[-1]


def choose(versions: Sequence[Rated], options: Options) -> Choice | Skip:
    rejected = next((one for one in versions if one.choice == "rejected"), None)
    if rejected:
        return _chosen(versions, rejected, options)
    scored = sorted((one for one in versions if one.score is not None), key=_score, reverse=True)
    if len(scored) < 2:
        return Skip("Fewer than two of its versions have been judged.")
    best = scored[0]
    parts = ((parted(best.dialog, other.dialog), other) for other in reversed(scored[1:]))
    length, worst = next(((length, other) for length, other in parts if length), (0, best))
    if not length:
        return Skip("No two of its judged versions differ in an answer to the same question.")
    if _score(worst) >= _score(best) or _score(best) - _score(worst) < options.min_gap - 1e-9:
        return Skip("Its best and its worst answer are scored closer than the smallest gap.")
    return _choice(best, worst, scored, length, options)


def _chosen(versions: Sequence[Rated], rejected: Rated, options: Options) -> Choice | Skip:
    chosen = next((one for one in versions if one.choice == "chosen"), rejected)
    length = parted(chosen.dialog, rejected.dialog)
    if not length:
        return Skip(
            "The version that counts no longer differs from the rejected one in an answer to the same question."
        )
    return _choice(chosen, rejected, sorted(versions, key=_score, reverse=True), length, options)


def _score(version: Rated) -> float:
    """The worst where there is none."""
    return -1.0 if version.score is None else version.score


def parted(one: Dialog, other: Dialog) -> int:
    """How many messages stand before the one answer in which they first differ; 0 if they part otherwise."""
    same = takewhile(lambda both: both[0] == both[1], zip(one.messages, other.messages, strict=False))
    length = sum(1 for _ in same)
    if one.system_prompt != other.system_prompt or not 0 < length < min(len(one.messages), len(other.messages)):
        return 0
    plain = all(not dialog.messages[length].tool_calls for dialog in (one, other))
    speakers = (one.messages[length - 1].role, one.messages[length].role, other.messages[length].role)
    differ = one.messages[length].content.strip() != other.messages[length].content.strip()
    return length if plain and differ and speakers == ("user", "assistant", "assistant") else 0


def _choice(best: Rated, worst: Rated, ranked: Sequence[Rated], length: int, options: Options) -> Choice | Skip:
    """The answers of all versions that part there, each version cut after it and made fit for training."""
    others = [one for one in ranked if one not in (best, worst) and parted(best.dialog, one.dialog) == length]
    answers: dict[str, Answer] = {}
    for version in (best, worst, *others):
        what = said(version.dialog.model_copy(update={"messages": version.dialog.messages[: length + 1]}), options)
        if isinstance(what, Skip):
            return what
        if version is best:
            system, prompt = what.system, what.messages[:-1]
        text = what.messages[-1].content
        answers.setdefault(text, Answer(text, version.score, version.label))
    chosen, rejected, *between = answers.values()
    return Choice(system, prompt, (chosen, *between, rejected))


# -- shapes -------------------------------------------------------------------------------------------------------------


def dpo(choice: Choice) -> Row:
    return {"prompt": _text(choice), "chosen": choice.chosen.text, "rejected": choice.rejected.text}


def orpo(choice: Choice) -> Row:
    return dpo(choice) | {"chosen_score": choice.chosen.score, "rejected_score": choice.rejected.score}


def chat_dpo(choice: Choice) -> Row:
    opening = [{"role": "system", "content": choice.system}] if choice.system else []
    return {
        "prompt": [*opening, *({"role": one.role, "content": one.content} for one in choice.prompt)],
        "chosen": [{"role": "assistant", "content": choice.chosen.text}],
        "rejected": [{"role": "assistant", "content": choice.rejected.text}],
    }


def ultrafeedback(choice: Choice) -> Row:
    return {
        "instruction": _text(choice),
        "completions": [{"response": one.text, "score": one.score, "label": one.label} for one in choice.answers],
        "chosen": {"response": choice.chosen.text, "score": choice.chosen.score},
        "rejected": {"response": choice.rejected.text, "score": choice.rejected.score},
    }


def anthropic_hh(choice: Choice) -> Row:
    before = choice.system + "".join(f"\n\n{_labelled(one)}" for one in choice.prompt) + "\n\nAssistant: "
    return {"chosen": before + choice.chosen.text, "rejected": before + choice.rejected.text}


def _text(choice: Choice) -> str:
    one = len(choice.prompt) == 1
    parts = [choice.prompt[0].content] if one else [_labelled(message) for message in choice.prompt]
    return "\n\n".join([choice.system, *parts] if choice.system else parts)


def _labelled(message: Message) -> str:
    return f"{NAMES[message.role]}: {message.content}"


# -- formats ------------------------------------------------------------------------------------------------------------


def _alone(dialog: Dialog, options: Options) -> Skip:
    return Skip("It is one version alone, and a pair takes two.")


def _format(label: str, description: str, shape: Callable[[Choice], Row]) -> Format:
    def compare(versions: Sequence[Rated], options: Options) -> Row | Skip:
        choice = choose(versions, options)
        if isinstance(choice, Skip):
            return choice
        if any(message.role not in NAMES or message.tool_calls for message in choice.prompt):
            return Skip("It uses functions, and preference formats have no place for them.")
        return shape(choice)

    return Format(label=label, description=description, row=_alone, compare=compare)


PREFERENCES: dict[str, Format] = {
    "chat_dpo": _format(
        "Preference pairs: messages", "Prompt, chosen and rejected as messages, as TRL's trainers read them.", chat_dpo
    ),
    "dpo": _format("Preference pairs: DPO", "Prompt, chosen and rejected as text.", dpo),
    "orpo": _format("Preference pairs: ORPO", "As DPO, with the scores of both.", orpo),
    "ultrafeedback": _format(
        "Preference pairs: UltraFeedback", "Every answer to the prompt in full, with its score.", ultrafeedback
    ),
    "anthropic_hh": _format(
        "Preference pairs: Anthropic HH", "Both conversations as text between Human and Assistant.", anthropic_hh
    ),
}

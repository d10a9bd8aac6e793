"""The offline model: no network and no understanding, only rules that cut questions and answers out of passages."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from generation.engine.protocols import ChatRequest, Completion

from . import acting, answers, judging, people
from .lexicon import lower_first
from .patterns import Angle
from .questions import Candidate, questions
from .reading import Passage, Sentence, alike, content, is_english, passages, salient, sentences, tagged, topics

NAME = "offline"
_ANGLES: tuple[tuple[str, Angle], ...] = (
    ("how to do something", "how"),
    ("has run into a problem", "problem"),
    ("applies to their own case", "applies"),
    ("understand why", "why"),
    ("choose between", "applies"),
    ("precise detail", "detail"),
    ("what follows from", "next"),
    ("half remembers", "confirm"),
)
_LEAD_INS = ("Hi, ", "Hello. ", "Quick question: ", "Sorry if this is obvious. ")
# How personas begin to write, by what is said of them.
_MANNERS = (
    (re.compile(r"\b(?:new|beginner|novice|first|never|unfamiliar|just started|moved)\b", re.I), "I'm new to this. "),
    (re.compile(r"\b(?:busy|hurry|impatient|brief|short|terse|no time)\b", re.I), "Quick question: "),
    (re.compile(r"\b(?:polite|formal|courteous|older|retired)\b", re.I), "Good day. "),
    (re.compile(r"\b(?:worried|anxious|nervous|careful|cautious|afraid)\b", re.I), "Just to be sure: "),
)
_LINKS = ("Okay. ", "Thanks. ", "I see. ", "Got it. ", "Good to know. ", "", "", "", "")
_DEEPER = (
    "Could you say a bit more about {topic}?",
    "What else should I know about {topic}?",
    "Is there anything special about {topic}?",
    "And what about {topic}?",
    "How does that work with {topic}?",
    "I'm still unsure about {topic}. Can you explain?",
    "Tell me more about {topic}, please.",
)
_MORE = (
    "Is there anything else that I should know?",
    "What else should I keep in mind?",
    "And what else?",
    "Thanks. Is that all?",
    "Okay, and then?",
)
_AGAIN = re.compile("|".join(map(re.escape, answers.AGAIN)))
_AFTER_NOTHING = (
    "That's a pity. What can you tell me about {topic}, then?",
    "All right. And about {topic}?",
    "Then let me ask about {topic}. What should I know?",
)
_WITHOUT_PASSAGES = (
    "I'm about to start with this. What should I know first?",
    "What do people like me usually get wrong here?",
    "Can you tell me what you can help me with?",
    "I'm not sure where to begin. What would you suggest?",
)
_CORRESPONDENT = """\
You are a person who writes to an assistant. The assistant is described so: {described}

You have a real need that falls within its subject{topics}, and you do not know the answer yourself. You know your own \
situation and tell of it only what is needed. You write the way people type: short messages in your own words, one \
concern at a time. You react to what you are told: ask for what is still missing, doubt what does not fit, or move on to \
the next thing that you need. You ask and react; you never answer, teach or help, and you stay with the subject."""


class OfflineChat:
    """Composes replies from the passages of a request: the same for the same request and seed.

    `latency` is how long a reply takes, in seconds, so that progress can be seen. Token counts are estimates, four
    characters to a token.
    """

    def __init__(self, *, latency: float = 0.0) -> None:
        self._latency = latency

    async def complete(self, request: ChatRequest) -> Completion:
        begun = time.perf_counter()
        if self._latency:
            await asyncio.sleep(self._latency)
        prompt = "\n".join(turn.content for turn in request.turns)
        text = _REPLIES[request.operation](request, random.Random(_seed(request, prompt)))  # noqa: S311 (no secret)
        latency = time.perf_counter() - begun
        return Completion(text, NAME, _tokens(prompt), _tokens(text), latency, "stop")


def _seed(request: ChatRequest, prompt: str) -> int:
    return zlib.crc32(prompt.encode("utf-8", "replace")) ^ (request.seed or 0)


def _tokens(text: str) -> int:
    return max(1, len(text) // 4)


# -- the user's side ----------------------------------------------------------------------------------------------------


def _instruction(request: ChatRequest, chance: random.Random) -> str:
    count = _count(request.schema) if request.schema is not None else 1
    wishes = acting.wishes(request, chance)
    found = [Candidate(wish, 1, "how") for wish in wishes] or questions(passages(request))
    already = tagged(request.turns[-1].content, "already_asked")
    avoid = [line.removeprefix("- ") for line in "\n".join(already).splitlines()]
    asked: list[str] = []
    for _ in range(count):
        asked.append(_first_question(request, found, [*avoid, *asked], chance))
    if request.schema is None:
        return asked[0]
    return json.dumps(_with_texts(request.schema, asked), ensure_ascii=False)


def _first_question(
    request: ChatRequest, found: Sequence[Candidate], before: Sequence[str], chance: random.Random
) -> str:
    fresh = [one for one in found if all(alike(one.text, other) < 0.7 for other in before)]
    if not fresh:
        return chance.choice(_WITHOUT_PASSAGES)
    chosen = _drawn(fresh, _angle(request), chance).text
    fitting = [lead_in for pattern, lead_in in _MANNERS if pattern.search(_persona(request))]
    if chance.random() > (0.5 if fitting else 0.2):
        return chosen
    lead_in = chance.choice(fitting or _LEAD_INS)
    return lead_in + (chosen if lead_in.endswith(". ") else lower_first(chosen, chosen.lower()))


def _persona(request: ChatRequest) -> str:
    return " ".join(tagged("\n".join(turn.content for turn in request.turns), "persona"))


def _angle(request: ChatRequest) -> Angle | None:
    prompt = request.turns[0].content
    return next((angle for words, angle in _ANGLES if words in prompt), None)


def _drawn(found: Sequence[Candidate], angle: Angle | None, chance: random.Random) -> Candidate:
    """One of them, the better patterns and those of the angle more often than others."""
    return chance.choices(found, [one.weight**2 * (6 if one.angle == angle else 1) for one in found])[0]


def _count(schema: Mapping[str, Any]) -> int:
    lists = [part for part in schema.get("properties", {}).values() if part.get("type") == "array"]
    return max(1, lists[0].get("minItems", 1)) if lists else 1


def _with_texts(schema: Mapping[str, Any], texts: Sequence[str]) -> Any:
    """A value of the schema that holds the texts: all in a list, one in a string."""
    match schema.get("type"):
        case "object":
            return {key: _with_texts(part, texts) for key, part in schema.get("properties", {}).items()}
        case "array":
            return [_with_texts(schema.get("items", {}), [text]) for text in texts]
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
    return texts[0]


def _question(request: ChatRequest, chance: random.Random) -> str:
    """The next question: about a detail of the last answer, and never one that was asked before."""
    own = [turn.content for turn in request.turns if turn.role == "assistant"]
    told = tagged("\n".join(turn.content for turn in request.turns), "assistant_last_message")
    last = _AGAIN.sub("", told[-1] if told else request.turns[-1].content)
    if "no information" in last or "have nothing" in last:
        offered = _offered(last, own, chance)
        return _unasked([pattern.format(topic=offered) for pattern in _AFTER_NOTHING], own, chance)
    doubts = [one for one in questions([Passage("", tuple(sentences(last)))]) if one.angle == "confirm"]
    doubts = [one for one in doubts if all(alike(one.text, other) < 0.6 for other in own)]
    if doubts and chance.random() < 0.2:
        return chance.choice(_LINKS) + chance.choice(doubts).text
    unasked = _unasked_topics(last, own)
    if not unasked:
        return _unasked(list(_MORE), own, chance)
    topic = chance.choice(unasked)
    return chance.choice(_LINKS) + _unasked([pattern.format(topic=topic) for pattern in _DEEPER], own, chance)


def _offered(last: str, own: Sequence[str], chance: random.Random) -> str:
    offered = [name for name in re.findall(r"“([^”]+)”", last) if all(name not in one for one in own)]
    return lower_first(chance.choice(offered)) if offered else "the rest of it"


def _unasked_topics(last: str, own: Sequence[str]) -> list[str]:
    """What the last answer speaks of and none of the own messages does."""
    asked = set(content(" ".join(own)))
    return [topic for topic in dict.fromkeys(topics(last)) if not set(content(topic)) & asked]


def _unasked(choices: list[str], own: Sequence[str], chance: random.Random) -> str:
    """One that was not said before; when all were, the first of them with a word that tells it from the others."""
    left = [one for one in choices if one not in own]
    return chance.choice(left) if left else f"Once more ({len(own)}): {choices[0]}"


# -- the assistant's side -----------------------------------------------------------------------------------------------


def _answer(request: ChatRequest, chance: random.Random) -> str:
    words = _words(request, chance)
    return words if request.schema is None else acting.step(request, chance, words)


def _words(request: ChatRequest, chance: random.Random) -> str:
    asked = [turn.content for turn in request.turns if turn.role == "user"]
    said = "\n".join(turn.content for turn in request.turns if turn.role == "assistant")
    found = passages(request)
    if not found:
        return answers.nothing((), chance)
    return answers.answer(found, asked or [""], said, chance)


# -- the others ---------------------------------------------------------------------------------------------------------


def _improve(request: ChatRequest, chance: random.Random) -> str:
    """Of a row, or of an answer."""
    return acting.row(request, chance) if request.schema_name == "row" else _answer(request, chance)


def _judge(request: ChatRequest, chance: random.Random) -> str:
    prompt = "\n".join(turn.content for turn in request.turns)
    found = passages(request)
    made = judging.marks(prompt, found)
    if request.schema is None:
        return "\n".join(f"{name}: {mark.score} ({mark.feedback})" for name, mark in made.items())
    bad = judging.first_bad(prompt, found)
    return json.dumps(judging.filled(request.schema, made, bad), ensure_ascii=False)


def _correspondent_prompt(request: ChatRequest, chance: random.Random) -> str:
    prompts = tagged("\n".join(turn.content for turn in request.turns), "assistant_prompt")
    prompt = prompts[0] if prompts else request.turns[-1].content
    lines: list[Sentence] = list(sentences(prompt))
    described = lines[0].text if lines else "a general assistant."
    about = [phrase for phrase in salient(prompt, 3) if phrase not in described] if is_english(prompt) else []
    named = f" (for instance {', '.join(about)})" if about else ""
    return _CORRESPONDENT.format(described=f"“{described}”", topics=named)


def _personas(request: ChatRequest, chance: random.Random) -> str:
    return people.personas(passages(request), _persona(request), chance)


def _test(request: ChatRequest, chance: random.Random) -> str:
    return "The offline model answers. It needs no key and no network, and it only rearranges what your passages say."


_REPLIES: dict[str, Callable[[ChatRequest, random.Random], str]] = {
    "instruction": _instruction,
    "question": _question,
    "answer": _answer,
    "improve": _improve,
    "row": acting.row,
    "tool_result": acting.result,
    "judge": _judge,
    "persona": _personas,
    "correspondent_prompt": _correspondent_prompt,
    "test": _test,
}

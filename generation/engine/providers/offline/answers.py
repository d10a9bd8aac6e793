"""Answers put together from the sentences that have most to do with a question."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from .lexicon import VERBS, lower_first
from .reading import Passage, Sentence, alike, content, is_english, salient, whole

MOST_SENTENCES = 4
ENOUGH = 0.34
"""The share of a question's weight that a sentence must cover to be about it."""
ENOUGH_ELSEWHERE = 0.15
"""The same where the little words of the language are not known, and so take part."""
BACK_REFERENCE = re.compile(
    r"(?:it|they|this|these|that|those|he|she|such|the same|otherwise|instead|then|in that case)\b", re.I
)
STEPS = re.compile(
    r"\b(?:how (?:do|can|to|should)|what are the steps|what should I do|what do I (?:have|need)|next step)\b", re.I
)
WORTH_MORE = 0.6
"""Something new is said rather than what was said already when it covers that share of what the old did."""
AGAIN = ("As I said: ", "As mentioned: ", "Once more, then: ")
_NOTHING = (
    "I have no information about that. I can tell you about {topics}, if that helps.",
    "That is a point on which I have nothing. What I do know about is {topics}.",
    "I can't say: I have no information on this. I could help with {topics}.",
)
_NOTHING_AT_ALL = (
    "I have no information about that. Could you tell me a little more about what you need?",
    "That is a point on which I have nothing. Is there something else that I can help with?",
)
_STEP_OPENINGS = ("Here is how:", "These are the steps:", "Do it in this order:", "Go about it like this:")
YES_OR_NO = re.compile(
    r"(?:(?:is|are|was|were|can|may|must|should|will|does|do|did) (?!there\b)|am I right|somebody told me)",
    re.IGNORECASE,
)
NEGATION = re.compile(r"\b(?:not|never|no|cannot|neither|nor|without)\b|n[’']t\b", re.IGNORECASE)
CERTAIN = 0.9
_ALSO = ("Also, ", "Besides, ", "Apart from that, ", "")
_LINKABLE = re.compile(r"(?:the|a|an|each|every|all|any|no|some|most|your|our|you|it|if|when)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """A sentence, where it stands, and how much of the question it covers (0 to 1)."""

    passage: int
    number: int
    sentence: Sentence
    cover: float


def answer(passages: Sequence[Passage], asked: Sequence[str], said_before: str, chance: random.Random) -> str:
    """An answer to the last of the user's messages; `said_before` is what was answered already, which is not repeated.

    "Is there anything else?" says nothing of its own subject: the message before it does, and only news will do.
    """
    question = asked[-1]
    wants_more = not content(question) and len(asked) > 1
    places = _ranked(passages, asked[-2] if wants_more else question)
    enough = ENOUGH if _english(passages) else ENOUGH_ELSEWHERE
    if not places or places[0].cover < enough:
        return nothing(passages, chance)
    fresh = [place for place in places if place.sentence.text[:60] not in said_before]
    least = 0.1 if wants_more else max(enough, WORTH_MORE * places[0].cover)
    if fresh and fresh[0].cover >= least:
        return _composed(passages, _with_neighbours(passages, _chosen(fresh)), question, chance)
    again = _composed(passages, _chosen(places)[:2], question, chance)
    if not said_before:
        return again
    return chance.choice(AGAIN) + ("\n\n" if again.startswith("- ") else "") + again


def _english(passages: Sequence[Passage]) -> bool:
    return is_english(" ".join(sentence.text for passage in passages for sentence in passage.sentences))


def nothing(passages: Sequence[Passage], chance: random.Random) -> str:
    """Says plainly that there is no answer, and what there would be one about."""
    topics = list(dict.fromkeys(s.heading for p in passages for s in p.sentences if s.heading and "?" not in s.heading))
    topics = topics or salient("\n".join(s.text for p in passages for s in p.sentences))
    if not topics:
        return chance.choice(_NOTHING_AT_ALL)
    named = [f"“{topic}”" for topic in topics[:3]]
    return chance.choice(_NOTHING).format(topics=" or ".join(filter(None, [", ".join(named[:-1]), named[-1]])))


def _ranked(passages: Sequence[Passage], question: str) -> list[Place]:
    """Sentences by how much of the question they cover, rare words weighing more than common ones."""
    asked = set(content(question))
    found = [
        (p, n, sentence, set(content(sentence.text)), set(content(sentence.heading)))
        for p, passage in enumerate(passages)
        for n, sentence in enumerate(passage.sentences)
        if whole(sentence) or sentence.item
    ]
    seen = Counter(word for *_, own, above in found for word in own | above)
    # From a few passages one cannot tell how common a word is at large, so weights differ by no more than half.
    weight = {word: 1 - 0.5 * seen[word] / len(found) for word in asked} if found else {}
    full = sum(weight.values()) or 1.0
    places = [
        Place(p, n, sentence, _cover(weight, own, above, sentence) / full) for p, n, sentence, own, above in found
    ]
    return sorted(places, key=lambda place: (-place.cover, place.passage, place.number))


def _cover(weight: dict[str, float], own: set[str], above: set[str], sentence: Sentence) -> float:
    """What the heading alone brings counts half: it says what a sentence is about, not what it says."""
    covered = sum(one if word in own else 0.5 * one for word, one in weight.items() if word in own or word in above)
    brevity = 0.02 * len(weight) / (1 + abs(len(sentence.text) - 120) / 120)
    return covered + brevity if covered else 0.0


def _chosen(places: Sequence[Place]) -> list[Place]:
    """The best sentences that say different things."""
    chosen: list[Place] = []
    for place in places:
        if len(chosen) == MOST_SENTENCES or place.cover < 0.6 * places[0].cover:
            break
        if len(place.sentence.text) > 12 and all(alike(place.sentence.text, one.sentence.text) < 0.8 for one in chosen):
            chosen.append(place)
    return chosen


def _with_neighbours(passages: Sequence[Passage], chosen: Sequence[Place]) -> list[Place]:
    """The chosen in reading order, with the sentence that one refers back to, and the list that one announces."""
    taken = {(place.passage, place.number): place for place in chosen}
    for place in chosen:
        around = passages[place.passage].sentences
        if place.number and BACK_REFERENCE.match(place.sentence.text):
            _take(taken, around, place.passage, place.number - 1)
        following = place.number + 1
        if place.sentence.text.endswith(":"):
            while following < len(around) and around[following].item and following < place.number + 9:
                _take(taken, around, place.passage, following)
                following += 1
        elif following < len(around) and BACK_REFERENCE.match(around[following].text) and len(taken) < MOST_SENTENCES:
            _take(taken, around, place.passage, following)
    # Passages in the order of their best sentence, sentences in the order in which they stand.
    order = {passage: number for number, passage in enumerate(dict.fromkeys(place.passage for place in chosen))}
    return [taken[key] for key in sorted(taken, key=lambda key: (order[key[0]], key[1]))]


def _take(taken: dict[tuple[int, int], Place], around: Sequence[Sentence], passage: int, number: int) -> None:
    if whole(around[number]) or around[number].item:
        taken.setdefault((passage, number), Place(passage, number, around[number], 0.0))


def _composed(passages: Sequence[Passage], chosen: Sequence[Place], question: str, chance: random.Random) -> str:
    texts = [place.sentence.text for place in chosen]
    if not _english(passages):
        return " ".join(map(_ended, texts))
    steps = [text for text in texts if text.split()[0].lower() in VERBS]
    if STEPS.search(question) and len(steps) >= 3:
        listed = "\n".join(f"{number}. {_ended(text)}" for number, text in enumerate(steps, 1))
        rest = " ".join(_ended(text) for text in texts if text not in steps)
        return f"{chance.choice(_STEP_OPENINGS)}\n\n{listed}" + (f"\n\n{rest}" if rest else "")
    if sum(place.sentence.item for place in chosen) > 1:
        return _listed(chosen)
    return _verdict(chosen, question) + _joined(chosen, chance)


def _verdict(chosen: Sequence[Place], question: str) -> str:
    """Yes or no, when the first sentence covers the whole of a question that asks for it."""
    asked = YES_OR_NO.match(question)
    if not asked or chosen[0].cover < CERTAIN or NEGATION.search(question):
        return ""
    return "No. " if NEGATION.search(chosen[0].sentence.text) else "Yes. "


def _joined(chosen: Sequence[Place], chance: random.Random) -> str:
    """Sentences of one passage follow each other; what comes from another is added as a new thought."""
    said = _ended(chosen[0].sentence.text)
    for before, place in pairwise(chosen):
        text = _ended(place.sentence.text)
        if place.passage == before.passage:
            said += f" {text}"
            continue
        link = chance.choice(_ALSO) if _LINKABLE.match(text) else ""
        said += f"\n\n{link}{lower_first(text) if link else text}"
    return said


def _listed(chosen: Sequence[Place]) -> str:
    """Prose as prose, items of a list as a list."""
    lines: list[str] = []
    for before, place in zip((None, *chosen), chosen, strict=False):
        if place.sentence.item:
            lines.append(("" if before is not None and before.sentence.item else "\n") + f"- {place.sentence.text}")
        else:
            lines.append(("\n" if before is not None else "") + _ended(place.sentence.text))
    return "\n".join(lines).strip()


def _ended(text: str) -> str:
    return text if text[-1] in ".!?:…”\"')" else f"{text}."

"""Questions about passages: what the patterns find in their sentences and headings, or else their topics."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .lexicon import is_plural, upper_first
from .patterns import DANGLING, PRONOUN, RULES, Angle, of_heading
from .reading import Passage, Sentence, is_english, salient, whole

LONGEST = 170
STRONG = 2
_ASIDE = re.compile(r"(?:Note that|Please|Note:|Tip:|Important:|By default,|In general,|Usually,) ?")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A question, how good its pattern is, and the angle from which it asks."""

    text: str
    weight: float
    angle: Angle


def questions(passages: Sequence[Passage]) -> list[Candidate]:
    """Every question that can be made of the passages. Empty only when there is nothing to ask about."""
    everything = "\n".join(sentence.text for passage in passages for sentence in passage.sentences)
    if not is_english(everything):
        return [Candidate(f"What can you tell me about “{phrase}”?", 1, "detail") for phrase in salient(everything)]
    found = [
        candidate
        for passage in passages
        for sentence in passage.sentences
        for candidate in _about_sentence(sentence, everything)
    ]
    headings = dict.fromkeys(sentence.heading for passage in passages for sentence in passage.sentences)
    found += [Candidate(text, weight, angle) for one in headings for weight, angle, text in of_heading(one, everything)]
    strong = sum(one.weight >= STRONG for one in found)
    return found if strong >= 4 else [*found, *_about_topics(everything)]


def _about_sentence(sentence: Sentence, context: str) -> Iterable[Candidate]:
    """The questions about one sentence; `context` helps to tell names from words at its beginning."""
    if not whole(sentence) or PRONOUN.match(sentence.text) or "?" in sentence.text or len(sentence.text) > 320:
        return
    said = upper_first(_ASIDE.sub("", sentence.text, count=1).strip().rstrip(".!:…"))
    for rule in RULES:
        for weight, angle, text in rule(said, context):
            if _is_sound(text):
                yield Candidate(upper_first(text), weight, angle)


def _is_sound(text: str) -> bool:
    balanced = text.count("(") == text.count(")") and text.count("“") == text.count("”")
    return balanced and len(text) <= LONGEST and not DANGLING.search(text[:-1])


def _about_topics(text: str) -> Iterable[Candidate]:
    """What can be asked of any text: about the phrases that it turns about."""
    phrases = salient(text)
    for number, phrase in enumerate(phrases):
        weight = 0.8 - 0.1 * number
        yield Candidate(f"What should I know about {phrase}?", weight, "detail")
        yield Candidate(f"Why {'do' if is_plural(phrase) else 'does'} {phrase} matter?", weight, "why")
        yield Candidate(f"Can you explain the point about {phrase} to me?", weight, "how")

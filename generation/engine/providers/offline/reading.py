"""How the offline model reads: passages out of a prompt, sentences out of a passage, and which words count."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from generation.engine.protocols import ChatRequest

from .lexicon import VERBS, base, word_set

STOPWORDS = word_set(
    """
    a about above after again all also am an and any are as at be because been before being below between both but
    by can cannot could did do does doing don't down during each else ever every few for from further had has have
    having he her here hers him his how i i'm if in into is isn't it it's its just know let like may me might more
    most must my need no nor not now of off on once only or other our ours out over own please same shall she should
    so some such tell than that the their theirs them then there these they thing this those through to too under
    until up upon us use very want was we were what when where whether which while who whom whose why will with
    would you your yours yourself exactly happen happens mean means really right true possible explain sure question
    work works actually anything something asked say said got get hi hello thanks thank okay one
    ask asked asking told unsure still bit special else come comes itself themselves myself then pity start new sorry
    obvious quick within around via per mention mentioned meant keep mind tell sure detail details watch first steps supposed stuck wrong somebody think note thing things need needs
    """
)
_TELLS_ENGLISH = word_set(
    """
    the of and to in is a for be on are it with that or by you not as if when
    """
)
# From the last opening before a closing one: prompts also name their tags in running text.
_CLOSED = r"<{0}\b([^>]*)>((?:(?!<{0}\b).)*?)</{0}\s*>"
_OPEN = r"(?m)^<{0}\b([^>]*)>\s*\n((?s:.*))\Z"
_TITLE = re.compile(r'title="([^"]*)"')
_WORD = re.compile(r"[^\W_]+(?:[’'-][^\W_]+)*")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$")
_ITEM = re.compile(r"^\s*(?:[-*•–]|\d{1,2}[.)])\s+")
LONGEST_PHRASE = 60
_HYPHENATED = re.compile(r"(?<=[a-z])[-\u00ad]\n\s*(?=[a-z])")
_MARKS = re.compile(r"\*\*|__|`|!?\[([^\]]*)\]\([^)]*\)")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"”’')\]]*\s+(?=[\"“‘(\[]?[A-ZÀ-ÖØ-ÞĀ-Ž0-9])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|No|Nos|Art|Sec|Fig|Co|Corp|Inc|Ltd|Jr|Sr|vs?|e\.g|i\.e|etc|cf|approx|pp?|id|ante|"
    r"post|al|seq|Ct|Cir|Supp|Rev|Stat|ed)|\b[A-Z])\.$",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][\w’'-]+(?: (?:of |the )?[A-Z][\w’'-]+){0,3}")
_CITED = re.compile(r"——|^(?:Id\.|Ibid|See\b|Cf\.|Pp?\. |\d+ [A-Z]\.)")
_VAGUE = word_set(
    "back case compass date days end following half following kind least lot meaning most number part point result rest same "
    "second sense several side sort third time times top total word words"
)
_DETERMINER = re.compile(r"\b(?:the|a|an|your|our|each|every) ", re.IGNORECASE)
_SUFFIX = re.compile(r"(?:ings?|edly|ed|ies|es|s|ly)$")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, the heading that it stands under, and whether it is an item of a list."""

    text: str
    heading: str = ""
    item: bool = False


@dataclass(frozen=True, slots=True)
class Passage:
    title: str
    sentences: tuple[Sentence, ...]


# -- out of the prompt --------------------------------------------------------------------------------------------------


def tagged(text: str, tag: str) -> list[str]:
    """What stands between the tags of that name; a tag that is never closed holds the rest."""
    return [_unquoted(found[2]) for found in _tags(text, tag)]


def passages(request: ChatRequest) -> list[Passage]:
    """The passages of a request, whether each has tags of its own or all stand in one context."""
    prompt = "\n".join(turn.content for turn in request.turns)
    read = [_passage(part[1], part[2]) for part in _tags(prompt, "passage") or _tags(prompt, "context")]
    return [passage for passage in read if passage.sentences]


def _tags(text: str, tag: str) -> list[re.Match[str]]:
    closed = list(re.finditer(_CLOSED.format(tag), text, re.DOTALL | re.IGNORECASE))
    return closed or list(re.finditer(_OPEN.format(tag), text, re.IGNORECASE))


def _passage(attributes: str, text: str) -> Passage:
    title = _TITLE.search(attributes)
    return Passage(html.unescape(title[1]) if title else "", tuple(sentences(_unquoted(text))))


def _unquoted(text: str) -> str:
    return text.replace("&lt;", "<").strip()


# -- sentences ----------------------------------------------------------------------------------------------------------


def sentences(text: str) -> Iterable[Sentence]:
    """Sentences and list items in their order, without Markdown; headings become what the following stand under."""
    heading = ""
    for block in re.split(r"\n\s*\n", _HYPHENATED.sub("", text)):
        prose: list[str] = []
        for line in block.strip().splitlines():
            if found := _HEADING.match(line.strip()):
                yield from _split(prose, heading)
                heading, prose = plain(found[1]), []
            elif _ITEM.match(line):
                yield from _split(prose, heading)
                prose = []
                yield Sentence(plain(_ITEM.sub("", line)), heading, item=True)
            elif not line.lstrip().startswith("|"):
                prose.append(line)
        if _is_title(prose):
            heading = plain(prose[0])
        else:
            yield from _split(prose, heading)


def _is_title(lines: Sequence[str]) -> bool:
    """A short line alone, without an end: what is left of a heading when its format is gone."""
    if len(lines) != 1 or not 3 < len(lines[0].strip()) < 60:
        return False
    line = lines[0].strip()
    return line[0].isupper() and line[-1] not in ".:;,!" and line.count(" ") < 8


def _split(lines: Sequence[str], heading: str) -> Iterable[Sentence]:
    held = ""
    for piece in _SENTENCE_END.split(plain(" ".join(lines))):
        held = f"{held} {piece}".strip()
        if held and not _ABBREVIATION.search(held):
            yield Sentence(held, heading)
            held = ""
    if held:
        yield Sentence(held, heading)


def plain(text: str) -> str:
    """On one line, without Markdown's marks."""
    return " ".join(_MARKS.sub(lambda mark: mark[1] or "", text).split())


def whole(sentence: Sentence) -> bool:
    """Whether it is a sentence that can stand alone, and not the torn edge of a passage, a number or a reference."""
    text = sentence.text
    if not 20 <= len(text) <= 400 or not (text[0].isupper() or text[0].isdigit() or text[0] in "“\"'‘"):
        return False
    if _CITED.search(text) or text.count("“") != text.count("”") or text.count("(") != text.count(")"):
        return False
    letters = sum(map(str.isalpha, text))
    return letters > 0.7 * len(text.replace(" ", "")) and (sentence.item or text[-1] in ".!?”\"')…:")


# -- words --------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """Roughly the same for the forms of a word: enough to compare by, never shown."""
    if len(word) <= 4 or not word.isascii():
        return word.removesuffix("s") if len(word) == 4 else word
    cut = _SUFFIX.sub("", word)
    if len(cut) < 3:
        return word
    cut = cut[:-1] if len(cut) > 3 and cut[-1] == cut[-2] and cut[-1] not in "sl" else cut
    return cut.removesuffix("e").removesuffix("i").removesuffix("y")


def content(text: str) -> list[str]:
    """The stems of the words that carry meaning, in their order."""
    lowered = (word.lower().replace("’", "'") for word in _WORD.findall(text))
    return [stem(word.removesuffix("'s")) for word in lowered if word not in STOPWORDS]


def is_english(text: str) -> bool:
    found = [word.lower() for word in _WORD.findall(text[:3000])]
    return bool(found) and sum(word in _TELLS_ENGLISH for word in found) >= 0.15 * len(found)


def alike(one: str, other: str) -> float:
    """The share of content words that two texts have in common, from 0 to 1."""
    first, second = set(content(one)), set(content(other))
    return len(first & second) / max(1, min(len(first), len(second)))


def salient(text: str, most: int = 6) -> list[str]:
    """The phrases that a text turns about, as they can be spoken of: names, things, and pairs of words that recur."""
    counted = Counter(topics(text))
    found = _WORD.findall(text)
    pairs = Counter(f"{a} {b}" for a, b in pairwise(found) if {a, b} == {a.lower(), b.lower()} and _good(a, b))
    counted.update({pair: 2 * (count - 1) for pair, count in pairs.items() if count > 1})
    if not counted:
        counted.update(word for word in found if len(word) > 5 and word.lower() not in STOPWORDS)
    ranked = sorted(counted.items(), key=lambda one: (-one[1], -len(one[0])))
    return [phrase for phrase, _ in ranked if len(phrase) <= LONGEST_PHRASE][:most]


def topics(text: str) -> list[str]:
    """What a text speaks of, as often as it does: names, and things such as "the battery level"."""
    names = [name.removesuffix("’s").removesuffix("'s") for name in _NAME.findall(text)]
    return [name for name in names if len(name) > 2] + list(_things(text))


def _things(text: str) -> Iterable[str]:
    for start in _DETERMINER.finditer(text):
        words: list[str] = []
        for word in text[start.end() : start.end() + 80].split()[:4]:
            bare = word.rstrip(".,;:)”")
            if _ends_a_thing(bare, words):
                break
            words.append(bare)
            if bare != word:
                break
        # A phrase that breaks off before "subject-matter" or "Court" is no phrase.
        whole_phrase = not words or bare in words or (bare.isalpha() and bare.islower())
        if words and whole_phrase and len(words[-1]) > 3 and words[-1] not in _VAGUE:
            yield f"the {' '.join(words)}"


def _ends_a_thing(word: str, before: Sequence[str]) -> bool:
    if not (word.isalpha() and word.islower()) or word in STOPWORDS or base(word) or len(before) == 3:
        return True
    return bool(before) and (word in VERBS or word.endswith(("ed", "ing")))


def _good(*pair: str) -> bool:
    return all(len(word) > 2 and word not in STOPWORDS for word in pair)

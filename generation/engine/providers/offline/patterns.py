"""Patterns over what a sentence or a heading says, each with the questions that it answers and their angle."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Literal

from .lexicon import (
    AUXILIARIES,
    NUMBER,
    REPORTS,
    SPAN,
    TAKES_OBJECT,
    TIME,
    VERBS,
    as_mine,
    base,
    base_of_past,
    gerund_to_base,
    is_plural,
    lower_first,
)

Angle = Literal["how", "problem", "applies", "why", "detail", "next", "confirm"]
Made = Iterable[tuple[float, Angle, str]]
"""How good the pattern is, the angle, and the question."""

_CLAUSE_END = re.compile(
    r",? (?:if|when|once|after|before|until|unless|because|so that|since|which|by|but|and then|in order)\b|[;:(—–]|, "
)
DANGLING = re.compile(r" (?:under|in|on|of|for|to|with|from|at|by|the|a|an|and|or|as|than)$")
_FINITE = re.compile(r" (?:is|are|was|were|did|do|does|has|have|had|can|could|may|must|will|would|should)\b")
_MAIN_END = re.compile(
    r" (?:if|when|because|that|which|who|so|and|but|until|after|before|unless|since|while|as|where)\b"
)
_EMPTY_HEADINGS = re.compile(
    r"(?:syllabus|opinion|introduction|contents|abstract|appendix|overview|summary|background|conclusion|discussion|page|"
    r"notes?|references|example|general|table|figure|chapter|section|part)\b",
    re.IGNORECASE,
)
_PAST_CASE = re.compile(r"\b(?:was|were|had|did|died|\w{3,}ed)\b")
PRONOUN = re.compile(
    r"(?:this|that|these|those|it|its|they|their|he|she|his|her|such|here|there|however|also|then|instead|otherwise|both|"
    r"another|therefore|thus|but|and|or|so|yet|for example|in addition|as a result|see)\b",
    re.IGNORECASE,
)
_SUBJECT = r"((?:(?:the|a|an|each|every|all|any|our|your|most|some|new) )?[\w’'/-]+(?: (?:of|for|in|and|with) (?:the |a |an )?[\w’'/-]+| [\w’'/-]+){0,4}?)"
_PURPOSE = re.compile(r"To (?!date\b|this\b|that\b|my\b|be\b)([a-z]+\b[^,;:]{3,80}), ")
_CONDITION = re.compile(r"(If|When|Whenever|Once|After|Before|Unless|Until|While) ([^,;:]{8,110}), (.{8,})$")
_TRAILING = re.compile(r"(.{12,120}?),? (if|when|once|after|before|unless|until) ([^,;:]{8,90})$")
_YOU = re.compile(
    r"You (can|may|could|must|need to|have to|should|cannot|can[’']t|may not|must not|should not) (.{6,})$"
)
_FORBIDDEN = re.compile(r"(?:Do not|Don[’']t|Never|Avoid) (.{6,})$")
_STATED = re.compile(rf"{_SUBJECT} ({AUXILIARIES}) (?!not\b)(.{{4,}})$", re.IGNORECASE)
_REASON = re.compile(r"(.{5,120}?),? (?:because|so that|since|in order to|to make sure) ")
_KEY_VALUE = re.compile(r"([A-Z][\w ,/()’-]{2,40}): (\S.{1,80})$")
_CONTROL = re.compile(
    r"\b(?:open|click|tap|select|choose|press|go to|under|see) (?:the )?([“\"][^”\"]{3,40}[”\"])", re.IGNORECASE
)
_QUOTED = re.compile(r"[“\"]([^”\"]{4,40})[”\"]")
_PLACE = re.compile(
    r"((?:stored|kept|located|found|saved|shown|listed|displayed|placed|mounted|sent|recorded|held)\b.{0,40}?) (?:in|on|at|under|to|behind) "
)


def _short(phrase: str) -> str:
    """A phrase without the clauses that follow it, which mostly hold the answer."""
    cut = _CLAUSE_END.split(phrase, maxsplit=1)[0].strip(" ,")
    while (shorter := DANGLING.sub("", cut)) != cut:
        cut = shorter
    return cut


# -- patterns over sentences --------------------------------------------------------------------------------------------


def _purpose(said: str, context: str) -> Made:
    if not (found := _PURPOSE.match(said)) or found[1].split()[0] not in VERBS:
        return
    goal = as_mine(found[1])
    yield 4, "how", f"How do I {goal}?"
    yield 3, "how", f"I want to {goal}. What are the steps?"
    yield 3, "how", f"What do I have to do to {goal}?"
    yield 3, "problem", f"I'm trying to {goal} and I'm stuck. What am I supposed to do?"
    yield 2, "next", f"What happens once I {goal}?"
    yield 2, "confirm", f"I think I know how to {goal}, but could you go through it with me?"


def _condition(said: str, context: str) -> Made:
    if not (found := _CONDITION.match(said)):
        return
    word, case, main = found[1].lower(), as_mine(found[2]), found[3]
    to_do = main.split()[0].lower() in VERBS or re.match(
        r"(?:please|you (?:must|should|need|have|can)|do not|contact)\b", main
    )
    clause = f"{word} {case}"
    if PRONOUN.match(case):
        return
    if to_do:
        yield 4, "how", f"What should I do {clause}?"
        yield 3, "next", f"What is my next step {clause}?"
    elif _PAST_CASE.search(case) and not _FINITE.search(main.replace(" had", "").replace(" was", "")):
        yield 4, "next", f"What happened {clause}?"
    else:
        yield 4, "next", f"What happens {clause}?"
        yield 2, "applies", f"Is there anything I need to know {clause}?"
    if word in ("if", "when", "whenever", "once") and re.search(
        r"\b(?:light|lamp|LED|error|message|blink|alarm|code|screen)", case
    ):
        yield 5, "problem", f"What does it mean {'when' if word == 'once' else word} {case}?"
    if word == "if" and " I " in f" {case} ":
        yield 3, "problem", f"Say {case}. What then?"


def _trailing_condition(said: str, context: str) -> Made:
    found = _TRAILING.match(said)
    if not found or "," in found[1] or PRONOUN.match(as_mine(found[3])):
        return
    main, word, case = found[1], found[2].lower(), as_mine(found[3])
    if main.split()[0].lower() in VERBS:
        yield 3, "problem", f"What should I do {word} {case}?"
        yield 2, "how", f"Is there something I have to do {word} {case}?"
        return
    if word in ("if", "when", "once", "after"):
        yield 3, "next", f"What happens {word} {case}?"
    if asked := _inverted(main, context):
        yield 3, "detail", f"When {asked.replace('cannot ', 'can ', 1)}?"


def _you(said: str, context: str) -> Made:
    if not (found := _YOU.match(said)):
        return
    word, action = found[1].replace("’", "'"), as_mine(_short(found[2]))
    if word in ("can", "may", "could"):
        yield 4, "how", f"How can I {action}?"
        yield 3, "applies", f"Can I {action}?"
        yield 2, "confirm", f"Somebody told me that I can {action}. Is that so?"
    elif word in ("must", "need to", "have to", "should"):
        yield 3, "applies", f"Do I have to {action}?"
        yield 3, "why", f"Why do I need to {action}?"
        yield 2, "next", f"What happens if I do not {action}?"
    else:
        yield 4, "applies", f"Can I {action}?"
        yield 3, "next", f"What happens if I {action}?"
        yield 2, "why", f"Why can't I {action}?"


def _forbidden(said: str, context: str) -> Made:
    found = _FORBIDDEN.match(said)
    if not found or said.startswith("Avoid") or found[1].split()[0].lower() not in VERBS:
        return
    action = as_mine(_short(found[1]))
    yield 3, "why", f"Why should I not {action}?"
    yield 3, "applies", f"Is it all right to {action}?"
    yield 2, "next", f"What could happen if I {action}?"


def _stated(said: str, context: str) -> Made:
    """The subject has an auxiliary, which moves before it in a question."""
    if not (parts := _parts(said, context)):
        return
    subject, word, rest = parts
    if word in ("is", "are") and re.match(r"(?:a|an|the) \w", rest):
        yield 3, "detail", f"What exactly {word} {subject}?"
        yield 1, "how", f"Could you explain what {subject} {word}?"
    for pattern, ask in _MEASURES:
        if measured := re.search(pattern, f" {rest}"):
            before = _short(f" {rest}"[: measured.start()].strip())
            yield 5, "detail", f"{ask} {word} {subject} {before}".strip() + "?"
            break
    if limit := re.match(r"(?:limited|restricted|reduced|set|raised) to ", rest):
        yield 4, "detail", f"What {word} {subject} {limit[0].strip()}?"
    if place := _PLACE.match(rest):
        yield 4, "detail", f"Where {word} {subject} {place[1]}?"
    if (reason := _REASON.match(said)) and (asked := _inverted(reason[1], context)):
        yield 5, "why", f"Why {asked}?"
    if len(rest) < 110 and ":" not in rest and not re.search(rf" (?:and|or|but) (?:{AUXILIARIES})\b", rest):
        yield 2, "applies", as_mine(f"{word.replace('cannot', 'can')} {subject} {_short(rest)}") + "?"
    if len(said) < 130:
        yield 1, "confirm", f"Am I right that {as_mine(lower_first(said, context))}?"


_MEASURES = (
    (rf" for {SPAN}", "How long"),
    (rf" (?:within|in less than) {SPAN}", "How soon"),
    (rf" (?:every|once an?|twice an?) (?:{NUMBER} )?(?:time|{TIME}|morning|evening)\b", "How often"),
    (r" (?:daily|weekly|monthly|yearly|every \w+day)\b", "How often"),
    (rf" until (?:{NUMBER}|\w+day)\b", "Until when"),
)


def _does(said: str, context: str) -> Made:
    """A plain verb in the third person, which asks with "does"."""
    if not (parts := _verbal(said, context)):
        return
    subject, verb, rest = parts
    if verb == "do":
        if rest.startswith("not ") and len(rest) < 100:
            yield 3, "applies", f"Does {subject} {as_mine(_short(rest[4:]))}?"
        return
    if verb in ("last", "take") and re.match(SPAN, rest):
        yield 5, "detail", f"How long does {subject} {verb}?"
    elif verb == "cost":
        yield 5, "detail", f"How much does {subject} cost?"
    elif counted := re.match(rf"(?:up to|at most|at least|a maximum of) {NUMBER} ((?:[a-z-]+ )?[a-z]+s)\b", rest):
        yield 5, "detail", f"How many {counted[1]} does {subject} {verb}?"
    elif verb in TAKES_OBJECT and len(rest) > 5:
        yield 3, "detail", f"What does {subject} {verb}?"
    if reason := _REASON.match(rest):
        yield 4, "why", f"Why does {subject} {verb} {as_mine(reason[1])}?"
    if timed := re.match(r"(.{8,80}?) (?:when|if|once|after|before|until) ", rest):
        yield 4, "detail", f"When does {subject} {verb} {as_mine(timed[1])}?"
    if len(rest) < 100:
        yield 2, "applies", f"Does {subject} {verb} {as_mine(_short(rest))}?"
    if len(said) < 130:
        yield 1, "confirm", f"Is it true that {as_mine(lower_first(said, context))}?"


def _did(said: str, context: str) -> Made:
    """A plain verb in the past, which asks with "did"."""
    if not (parts := _verbal(said, context, base_of_past)):
        return
    subject, verb, rest = parts
    if verb in REPORTS and (rest.startswith("that ") or verb not in ("file", "sue", "find", "hold")):
        yield 4, "detail", f"What did {subject} {verb}?"
    if reason := _REASON.match(rest):
        yield 4, "why", f"Why did {subject} {verb} {as_mine(reason[1])}?"
    elif len(rest) < 110 and not rest.startswith("that "):
        yield 2, "why", f"Why did {subject} {verb} {as_mine(_short(rest))}?"
        yield 2, "confirm", f"Did {subject} really {verb} {as_mine(_short(rest))}?"


def _key_value(said: str, context: str) -> Made:
    if not (found := _KEY_VALUE.match(said)) or found[1].split()[0].lower() in VERBS:
        return
    name = lower_first(found[1], context)
    many = is_plural(name)
    if re.search(r"\d", found[2]):
        yield 4, "detail", f"What {'are' if many else 'is'} the {name}?"
    else:
        yield 2, "detail", f"Can you tell me about the {name}?"


def _terms(said: str, context: str) -> Made:
    if found := _CONTROL.search(said):
        yield 3, "how", f"Where do I find {found[1]}?"
        yield 2, "detail", f"What is {found[1]} for?"
    elif (found := _QUOTED.search(said)) and "[" not in found[1]:
        yield 2, "detail", f"What does “{found[1].rstrip('.,')}” mean?"


RULES: tuple[Callable[[str, str], Made], ...] = (
    _purpose,
    _condition,
    _trailing_condition,
    _you,
    _forbidden,
    _stated,
    _does,
    _did,
    _key_value,
    _terms,
)


def _parts(said: str, context: str) -> tuple[str, str, str] | None:
    """Subject, auxiliary and rest of a sentence such as "The code is valid for ten minutes"."""
    found = _STATED.match(said)
    if not found or not _names_something(found[1]):
        return None
    return as_mine(lower_first(found[1], context)), found[2].lower(), found[3]


def _verbal(said: str, context: str, form: Callable[[str], str | None] = base) -> tuple[str, str, str] | None:
    """Subject, verb and rest of a sentence such as "The lock keeps a log". Another verb after it casts doubt on all."""
    tokens = said.split()
    for place in range(1, min(7, len(tokens) - 1)):
        verb = form(tokens[place])
        if verb is None or (place == 1 and tokens[0].lower() in ("the", "a", "an", "our", "your", "each", "every")):
            continue
        subject = " ".join(tokens[:place])
        rest = " ".join(tokens[place + 1 :])
        plural = form is base and is_plural(subject)
        if not _names_something(subject) or plural or _FINITE.search(_MAIN_END.split(f" {rest}", maxsplit=1)[0]):
            return None
        return as_mine(lower_first(subject, context)), verb, rest
    return None


def _names_something(subject: str) -> bool:
    words = subject.lower().split()
    if words[0] in VERBS and len(words) > 1 and words[0] not in ("access", "support", "process", "report", "record"):
        return False
    bad = {
        "you",
        "we",
        "i",
        "who",
        "which",
        "that",
        "there",
        "if",
        "when",
        "to",
        "not",
        "what",
        "how",
        "it",
        "they",
        "by",
        "neither",
    }
    ends = {"the", "a", "an", "of", "for", "in", "and", "with", "or"}
    if _FINITE.search(f" {subject.lower()}") or " be " in f" {subject} ":
        return False
    return not bad & set(words) and words[-1] not in ends and not re.search(r"[,;:]", subject)


def _inverted(clause: str, context: str) -> str | None:
    """A statement in the order of a question, without its question word: "is the deposit returned"."""
    if parts := _parts(clause, context):
        subject, word, rest = parts
        return as_mine(f"{word} {subject} {rest}")
    if verbal := _verbal(clause, context):
        subject, verb, rest = verbal
        return as_mine(f"does {subject} {verb} {rest}")
    return None


# -- patterns over headings ---------------------------------------------------------------------------------------------


def of_heading(heading: str, context: str) -> Made:
    heading = re.sub(r"^(?:\d+(?:\.\d+)*[.)]?|[IVX]+\.|chapter \d+[:.]?)\s+", "", heading.strip(), flags=re.IGNORECASE)
    heading = heading.rpartition(": ")[2]
    words = heading.split()
    if not 1 <= len(words) <= 9 or not heading[:1].isalpha() or "." in heading or heading.isupper():
        return
    if heading.endswith("?"):
        yield 5, "how", heading
        return
    if found := re.match(r"How to (.+)", heading):
        yield 5, "how", f"How do I {as_mine(found[1])}?"
        return
    low = as_mine(lower_first(heading, "" if words[1:] and words[1][0].isupper() else f"{context} {words[0].lower()}"))
    action, rest = gerund_to_base(words[0].lower()), as_mine(" ".join(words[1:]))
    if action or (words[0].lower() in VERBS and rest):
        yield from _of_action(f"{action or words[0].lower()} {rest}".strip())
    elif len(words) <= 5 and not _EMPTY_HEADINGS.match(heading):
        yield from _of_topic(low)


def _of_action(action: str) -> Made:
    yield 3, "how", f"How do I {action}?"
    yield 2, "problem", f"I have to {action} for the first time. What should I watch out for?"
    yield 2, "detail", f"What do I need before I {action}?"


def _of_topic(topic: str) -> Made:
    many = is_plural(topic) or " and " in topic
    subject = topic if many or topic[:1].isupper() or topic.startswith(("the ", "a ", "an ", "my ")) else f"the {topic}"
    yield 1.5, "how", f"How {'do' if many else 'does'} {subject} work?"
    yield 1, "detail", f"What should I know about {subject}?"
    yield 1, "applies", f"Is there anything about {subject} that I should know before I start?"

"""Personas put together from what a text speaks of: kinds of people, and the things that they would ask about."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence

from .reading import Passage, salient

FIVE = 5
_NAMED = re.compile(r"“([^”]+)”")
_ANYTHING = ("the rules", "the exceptions")
_FROM_TEXT = (
    ("Newcomer to {0}", "Has just come to “{0}”, does not know the words yet, and wants to be told what to do first."),
    ("Old hand with {0}", "Has dealt with “{0}” for years and asks about the details of “{1}”, briefly and precisely."),
    (
        "Buyer who weighs {0}",
        "Has to decide about “{0}” soon, compares, and wants to know what “{1}” means for the cost.",
    ),
    ("Trainer who explains {0}", "Teaches others about “{0}” and needs plain words for “{1}” that a class can follow."),
    ("Worried owner, about {0}", "Has had trouble with “{0}”, is anxious not to make it worse, and asks about “{1}”."),
    ("Auditor of {0}", "Checks whether “{0}” is done as it should be, and asks for limits, reasons and exceptions."),
    ("Busy manager, {0}", "Answers for “{0}” among much else, has no time, and wants the upshot of “{1}” in a line."),
    (
        "Student who reads up on {0}",
        "Writes a paper on “{0}”, is curious about why “{1}” is as it is, and asks follow-ups.",
    ),
    ("Technician called to {0}", "Is on site because of “{0}”, has the tools in hand, and needs the next step."),
    ("Sceptic about {0}", "Was told something else about “{0}”, doubts it, and wants every claim on “{1}” confirmed."),
    ("Helper of an older relative, {0}", "Sees to “{0}” for somebody else, by phone, and needs steps to pass on."),
    ("Planner with {0} ahead", "Prepares for “{0}” next month and asks what “{1}” takes, in which order, and by when."),
)
_FROM_PERSONA = (
    ("Colleague who takes over {0}", "Works beside such a person and takes over “{0}” this week without a handover."),
    (
        "Client who waits for {0}",
        "Depends on what such a person does with “{0}” and wants to know when it will be right.",
    ),
    ("Mentor on {0}", "Taught such a person about “{0}” and checks whether the advice on “{1}” still holds."),
    (
        "Neighbour with the same {0}",
        "Heard of it from such a person, has the same “{0}”, and hopes to save the expense.",
    ),
    ("Supplier for {0}", "Delivers what such a person needs for “{0}” and asks which conditions “{1}” puts."),
    ("Partner at home, {0}", "Lives with such a person, has “{0}” to deal with while they are away, and knows little."),
    (
        "Critic of how {0} is handled",
        "Sees “{0}” from the other side, disagrees with such a person, and looks for proof.",
    ),
    ("Apprentice learning {0}", "Learns the trade from such a person and does not dare to ask them about “{0}” again."),
    ("Inspector of {0}", "Comes once a year to see how such a person keeps “{0}” and wants the rule on “{1}”."),
    ("Accountant behind {0}", "Pays the bills for “{0}” of such a person and asks what of “{1}” is needed at all."),
)


def personas(passages: Sequence[Passage], described: str, chance: random.Random) -> str:
    """Five people as JSON: about the passages, or about what a persona that is `described` deals with."""
    if described:
        return _five(_FROM_PERSONA, _NAMED.findall(described) or salient(described), chance)
    text = "\n".join(sentence.text for passage in passages for sentence in passage.sentences)
    return _five(_FROM_TEXT, salient(text, 12), chance)


def _five(kinds: Sequence[tuple[str, str]], topics: Sequence[str], chance: random.Random) -> str:
    topics = list(dict.fromkeys(topics)) if len(set(topics)) > 1 else [*topics, *_ANYTHING]
    made = []
    for name, description in chance.sample(kinds, FIVE):
        about = chance.sample(topics, 2)
        made.append({"name": name.format(about[0].removeprefix("the ")), "description": description.format(*about)})
    return json.dumps({"personas": made}, ensure_ascii=False)

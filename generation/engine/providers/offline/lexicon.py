"""The few facts about English that the offline model's questions need."""

from __future__ import annotations

import re


def word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Verbs that manuals, policies and reports are written with, by their base form.
VERBS = word_set(
    """
    accept access add adjust affect agree allow answer appear apply approve ask assign attach avoid back become
    begin belong blink block book bring build buy call cancel carry cause change charge check choose claim clean clear
    click close collect combine come complete confirm connect contact contain control copy cost count cover create
    cut decide delete deliver depend describe disable disconnect display do download drag draw drop earn edit email
    empty enable end ensure enter erase exclude expire explain export fail fill find finish fit fix follow get give
    go grant guide handle happen help hold import improve include increase inform insert inspect install invite
    issue join keep last lead leave let lift limit link list load lock log look lose lower make mark match measure
    mount move name need note notify offer open order pair pause pay perform pick place plan plead plug post press prevent
    print process produce protect prove provide publish pull push put raise read receive recommend record recover
    reduce refund refuse register reject release remain remind remove rename renew rent repair repeat replace reply
    report request require reset resolve respond restart restore restrict return reveal review rotate run save scan
    schedule scroll search secure see select send separate serve set share ship show shut sign slide sort speak
    specify start stay stop store submit support switch sync take tap tell test tie tighten touch track train
    transfer translate treat trigger try turn type unlock unplug unscrew update upgrade upload use verify view visit
    wait wake want warn wash watch wear wipe work write
    """
)
TAKES_OBJECT = word_set(
    """
    accept affect allow cause charge collect contain control cover display exclude guide include limit measure need
    offer prevent produce protect provide record recommend replace require restrict reveal send show store support
    trigger use
    """
)
AUXILIARIES = "is|are|was|were|can|may|must|should|will|cannot"
DETERMINERS = word_set(
    """
    the a an each every all any no some most both our your you it new this these if when in on at for after before to
    """
)
TIME = r"(?:seconds?|minutes?|hours?|days?|nights?|weeks?|months?|years?|business days?|working days?|calendar days?)"
NUMBER = (
    r"(?:\d[\d.,]*|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fourteen|fifteen|twenty|thirty|forty|"
    r"forty-five|fifty|sixty|ninety|a|an|half an?)"
)
SPAN = rf"(?:(?:up to|at least|at most|about|around|roughly|another|the (?:first|next|last)) )?{NUMBER}[ -]{TIME}"

REPORTS = word_set(
    """
    affirm allege argue conclude contend decide declare deny determine discover dismiss establish estimate file hold
    find observe propose reason rule say state suggest sue think vote
    """
)
"""Verbs of those whose claims are reported."""

_PAST = {
    "held": "hold",
    "found": "find",
    "said": "say",
    "sent": "send",
    "made": "make",
    "took": "take",
    "gave": "give",
    "brought": "bring",
    "sought": "seek",
    "began": "begin",
    "paid": "pay",
    "kept": "keep",
    "left": "leave",
    "lost": "lose",
    "wrote": "write",
    "met": "meet",
    "won": "win",
    "chose": "choose",
    "thought": "think",
}
_IRREGULAR = {"has": "have", "does": "do", "goes": "go"}
_MINE = {
    "your": "my",
    "yours": "mine",
    "yourself": "myself",
    "we": "you",
    "our": "your",
    "ours": "yours",
    "us": "you",
    "i": "you",
    "my": "your",
    "me": "you",
    "mine": "yours",
    "myself": "yourself",
}
_SWAPPED = re.compile(
    r"\b(you are|you're|you were|you've|you'll|you|yourself|yours|your|we are|we're|we were|we've|we'll|we|ours|our|us)\b",
    re.IGNORECASE,
)
_PHRASES = {
    "you are": "I am",
    "you're": "I'm",
    "you were": "I was",
    "you've": "I've",
    "you'll": "I'll",
    "we are": "you are",
    "we're": "you're",
    "we were": "you were",
    "we've": "you've",
    "we'll": "you'll",
}
_BEFORE_OBJECT = word_set(
    """
    to for from with by of about at on in against like than asks ask tells tell gives give sends send shows show
    warns warn reminds remind notifies notify helps help allows allow lets let charges charge emails email calls
    call contacts contact refunds refund bills bill invites invite reaches reach between around behind near gets get
    gave sent told asked prompts prompt alerts alert
    """
)
_AFTER_OBJECT = re.compile(r"\s*(?:$|[.,;:!?)]|(?:to|for|from|with|by|at|on|in|that|if|when|and|or|a|an|the|about)\b)")


def base(verb: str) -> str | None:
    """The base form of a verb in the third person singular; None for a word that is no verb that we know."""
    for form in (
        _IRREGULAR.get(verb, ""),
        verb.removesuffix("s"),
        verb.removesuffix("es"),
        verb.removesuffix("ies") + "y",
    ):
        if verb.endswith("s") and (form in VERBS or form == "have"):
            return form
    return None


def base_of_past(verb: str) -> str | None:
    """Ruled > rule, held > hold; None for a word that is no past form that we know."""
    if verb in _PAST:
        return _PAST[verb]
    if not verb.endswith("ed"):
        return None
    forms = (verb.removesuffix("d"), verb.removesuffix("ed"), verb[:-3], verb.removesuffix("ied") + "y")
    return next((form for form in forms if form in VERBS or form in REPORTS), None)


def gerund_to_base(word: str) -> str | None:
    """Resetting > reset, changing > change; None for a word that is no form of a verb that we know."""
    if not word.endswith("ing"):
        return None
    cut = word.removesuffix("ing")
    return next((form for form in (cut, cut + "e", cut[:-1]) if form in VERBS), None)


def as_mine(clause: str) -> str:
    """A clause that speaks to the reader, as the reader would say it: you > I or me, your > my, we > you."""
    return _SWAPPED.sub(lambda found: _swap(found, clause), clause)


def _swap(found: re.Match[str], clause: str) -> str:
    said = found[1].lower()
    if said in _PHRASES:
        return _PHRASES[said]
    if said != "you":
        return _MINE[said]
    before = clause[: found.start()].split()
    follows = bool(_AFTER_OBJECT.match(clause, found.end()))
    is_object = bool(before) and (before[-1].lower() in _BEFORE_OBJECT or follows)
    return "me" if is_object else "I"


def lower_first(text: str, context: str = "") -> str:
    """With a small first letter, unless the first word is a name as far as can be told from `context`."""
    first, _, rest = text.partition(" ")
    word = first.strip("“\"'(,")
    if word == "I" or word.startswith("I'") or any(char.isupper() or char.isdigit() for char in word[1:]):
        return text
    if word.lower() not in DETERMINERS and re.search(rf"[a-z,] {re.escape(word)}\b", context):
        return text
    if word.lower() in DETERMINERS or re.search(rf"\b{re.escape(word.lower())}\b", context):
        return text[:1].lower() + text[1:]
    plain = (
        word.endswith(("s", "ing", "ion", "ment", "ity", "ed", "ty", "er", "al", "ive", "ly"))
        and not rest[:1].isupper()
    )
    return text[:1].lower() + text[1:] if plain else text


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def is_plural(noun: str) -> bool:
    last = noun.split(" of ")[0].split()[-1].lower() if noun.split() else ""
    return last.endswith("s") and not last.endswith(("ss", "us", "is", "news"))

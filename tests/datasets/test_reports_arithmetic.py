"""The arithmetic of reports, checked against numbers reckoned by hand."""

from __future__ import annotations

import random
from collections import Counter
from math import log2

import pytest

from datasets.reports.bins import quantile, tenth, tenths, whole_bins, whole_edges
from datasets.reports.counting import BoundedCounter, PairCounter, Vocabulary, split_words
from datasets.reports.quality import Judged
from datasets.reports.tally import Archive, Entry, KnownPersona, Tally, Used, turns
from datasets.schema import Message, Score
from tests.factories import make_dialog


def said(*texts: str) -> tuple[Message, ...]:
    return make_dialog(*texts).messages


def tally_of(*entries: Entry) -> Tally:
    tally = Tally()
    for entry in entries:
        tally.add(entry)
    return tally


def vocabulary_of(*texts: str, **limits: int) -> Vocabulary:
    vocabulary = Vocabulary(**limits)
    for text in texts:
        vocabulary.add(split_words(text))
    return vocabulary


# -- numbers ------------------------------------------------------------------------------------------------------------


def test_turns_messages_and_words_are_counted() -> None:
    entries = (Entry(said("The red fox", "the red fox runs", "Why?", "Don’t know")), Entry(said("Red fox", "The dog")))
    summary = tally_of(*entries).findings(Archive()).summary
    assert (summary.conversations, summary.turns, summary.messages, summary.words) == (2, 3, 6, 14)
    assert summary.words_per_message == 14 / 6


def test_a_turn_is_a_user_message_that_was_answered_tools_or_not() -> None:
    roles = ["system", "user", "assistant", "tool", "assistant", "user", "user", "assistant", "assistant", "user"]
    assert turns([Message(role=role, content="x") for role in roles]) == 2  # type: ignore[arg-type]


def test_messages_without_words_are_not_counted_as_short_ones() -> None:
    lengths = tally_of(Entry(said("Two words", "", "?!", "One"))).findings(Archive()).lengths
    assert (lengths.user.messages, lengths.user.average) == (1, 2)
    assert (lengths.assistant.messages, lengths.assistant.average) == (1, 1)


def test_words_keep_their_apostrophes_and_lose_their_case() -> None:
    assert split_words("Don't: it’s E-mail №5, Größe!") == ["don't", "it’s", "e", "mail", "5", "größe"]


# -- diversity ----------------------------------------------------------------------------------------------------------

TEXTS = ("The red fox", "the red fox runs", "Red fox", "The dog")


def test_diversity_is_that_of_a_sum_done_by_hand() -> None:
    found = vocabulary_of(*TEXTS).findings()
    assert (found.words, found.vocabulary, found.type_token_ratio) == (11, 5, 5 / 11)
    by_hand = 3 * (3 / 11) * log2(11 / 3) + 2 * (1 / 11) * log2(11)
    assert found.entropy == pytest.approx(by_hand)
    assert by_hand == pytest.approx(2.1626, abs=1e-4)


def test_pairs_of_words_do_not_reach_across_messages() -> None:
    found = vocabulary_of(*TEXTS).findings()
    # the-red, red-fox | the-red, red-fox, fox-runs | red-fox | the-dog
    assert (found.bigrams, found.distinct_2, found.repeated) == (7, 4 / 7, 5 / 7)
    across = vocabulary_of("a b", "b a", "a b").findings()
    assert (across.bigrams, across.distinct_2, across.repeated) == (3, 2 / 3, 2 / 3)


def test_nothing_said_has_no_ratios() -> None:
    found = vocabulary_of("", "word").findings()
    assert (found.words, found.entropy, found.bigrams, found.distinct_2, found.repeated) == (1, 0, 0, None, None)
    assert vocabulary_of().findings().type_token_ratio is None


def test_a_full_vocabulary_says_so_and_still_counts_the_words_it_knows() -> None:
    found = vocabulary_of("a b c", "a d e a", "b", limit=3).findings()
    assert (found.words, found.vocabulary, found.vocabulary_is_full) == (8, 3, True)
    assert not vocabulary_of("a b c", "a b c", limit=3).findings().vocabulary_is_full


def test_many_pairs_are_estimated_from_a_bounded_sample() -> None:
    dice = random.Random(5)
    weights = [1 / (n + 1) for n in range(3000)]
    messages = [dice.choices(range(3000), weights, k=100) for _ in range(1500)]
    exact, sample = PairCounter(10**9), PairCounter(8000)
    for ids in messages:
        exact.add(ids)
        sample.add(ids)
    assert exact.sampled == 1
    assert sample.sampled < 1
    assert len(sample._counts) <= 8000
    assert sample.total == exact.total
    assert sample.different == pytest.approx(exact.different, rel=0.05)
    assert sample.single == pytest.approx(exact.single, rel=0.05)


# -- coverage -----------------------------------------------------------------------------------------------------------


def test_a_passage_used_in_every_turn_of_one_conversation_is_used_once() -> None:
    same = Used(7, 1, "Manual")
    tally = tally_of(Entry(said("a", "b", "c", "d"), used=(same, same, Used(7, 1, "Manual"))))
    assert tally.passages.counts == {7: 1}
    assert tally.top_documents == [(1, 1)]


def test_a_document_counts_the_conversations_about_it_not_its_passages() -> None:
    first = Entry(said("a", "b"), used=(Used(1, 1, "A"), Used(2, 1, "A"), Used(3, 2, "B")))
    second = Entry(said("a", "b"), used=(Used(3, 2, "B"), Used(0, 0, "Elsewhere", "f00")))
    tally = tally_of(first, second, Entry(said("a", "b")))
    found = tally.findings(Archive(documents={1: ("Manual", 9), 2: ("Annex", 9)})).coverage
    shown = [(one.name, one.conversations, one.id, one.corpus) for one in found.documents]
    assert shown == [("Annex", 2, 2, 9), ("Manual", 1, 1, 9), ("Elsewhere", 1, None, None)]
    assert found.without == 1
    assert tally.passages.counts == {1: 1, 2: 1, 3: 2, "f00": 1}


def test_more_passages_than_are_counted_are_said_to_be_more() -> None:
    tally = Tally(passages=BoundedCounter(2))
    for n in (1, 2, 3, 1):
        tally.add(Entry(said("a", "b"), used=(Used(n, 1, "A"),)))
    assert tally.passages.counts == {1: 2, 2: 1}
    assert tally.findings(Archive()).coverage.is_full


# -- personas -----------------------------------------------------------------------------------------------------------


def test_personas_are_counted_by_name_and_by_their_distance_from_a_document() -> None:
    people: list[int | str | None] = [1, 1, 2, 3, "A nurse in a hurry", None]
    known = {
        1: KnownPersona("Root", 0, True),
        2: KnownPersona("Child", 1, True),
        3: KnownPersona("Other child", 1, True),
    }
    found = tally_of(*(Entry(said("a", "b"), persona=one) for one in people)).findings(Archive(personas=known))
    shown = [(one.name, one.conversations) for one in found.personas.top]
    assert shown == [("Root", 2), ("Child", 1), ("Other child", 1), ("A nurse in a hurry", 1)]
    assert [(one.depth, one.conversations) for one in found.personas.depths] == [(0, 2), (1, 2)]
    assert (found.personas.without, found.summary.personas) == (1, 4)


def test_personas_written_by_hand_have_no_depth() -> None:
    found = tally_of(Entry(said("a", "b"), persona=1)).findings(Archive(personas={1: KnownPersona("Root")}))
    assert found.personas.depths == ()


# -- quality ------------------------------------------------------------------------------------------------------------


def test_scores_grades_and_criteria_of_the_judged_alone() -> None:
    scores = (Score(criterion="helpfulness", value=0.5), Score(criterion="grounding", value=None))
    judged = [
        Judged(0.9, scores, "good"),
        Judged(0.5, (Score(criterion="helpfulness", value=1.0),), "good"),
        Judged(None),
        None,
    ]
    found = tally_of(*(Entry(said("a", "b"), judged=one) for one in judged)).findings(Archive()).quality
    assert (found.judged, found.failed, found.unjudged, found.grades) == (2, 1, 1, {"good": 2})
    assert found.average == pytest.approx(0.7)
    shown = {one.criterion: (one.average, one.judged, one.not_applicable) for one in found.criteria}
    assert shown == {"helpfulness": (0.75, 2, 0), "grounding": (None, 0, 1)}


def test_each_score_is_in_the_bin_whose_label_says_so() -> None:
    assert [tenth(score) for score in (0, 0.0999, 0.1, 0.3, 0.6, 0.7, 0.95, 1)] == [0, 0, 1, 3, 6, 7, 9, 9]
    names = tenths([0] * 10).names
    assert names[0] == "0.0 – 0.1"
    assert names[-1] == "0.9 – 1.0"
    assert len(set(names)) == 10


# -- lengths ------------------------------------------------------------------------------------------------------------


def test_both_speakers_share_the_bins_of_their_histograms() -> None:
    entry = Entry(said("one two three", " ".join(["word"] * 25), "one two", "word " * 58))
    lengths = tally_of(entry).findings(Archive()).lengths
    assert lengths.user.bins.edges == lengths.assistant.bins.edges == tuple(range(0, 61, 5))
    assert lengths.user.bins.counts[0] == 2
    assert [(name, n) for name, n in zip(lengths.assistant.bins.names, lengths.assistant.bins.counts, strict=True) if n] == [
        ("25 – 29", 1), ("55 – 59", 1),
    ]  # fmt: skip
    assert (lengths.user.average, lengths.user.median, lengths.assistant.longest) == (2.5, 2, 58)


def test_a_few_very_long_messages_do_not_squeeze_the_others() -> None:
    numbers = Counter({10: 500, 20: 499, 40_000: 1})
    bins = whole_bins(numbers, whole_edges(numbers))
    assert bins.edges[-1] <= 24
    assert (bins.open_ended, bins.names[-1], bins.counts[-1]) == (True, "20 and more", 500)
    assert sum(bins.counts) == 1000


def test_a_median_is_a_number_that_occurs() -> None:
    assert [quantile(Counter(numbers), 0.5) for numbers in ([1, 2, 9], [1, 9], [4])] == [2, 1, 4]
    assert quantile({}, 0.5) is None

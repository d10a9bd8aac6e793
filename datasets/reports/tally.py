"""What a report knows after so many conversations: fed one at a time, it stays small."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from datasets.schema import Message

from .bins import quantile, whole_bins, whole_edges
from .counting import BoundedCounter, Vocabulary, split_words
from .findings import (
    CorpusCoverage,
    CoverageFindings,
    Depth,
    DocumentShare,
    Findings,
    Length,
    Lengths,
    PersonaFindings,
    ReportSummary,
    Share,
)
from .quality import Judged, QualityTally

KEYS = 1_000_000
"""Different passages, documents or personas that are counted: at most about 130 MB each."""
TOP = 15


@dataclass(frozen=True, slots=True)
class Used:
    """A passage that stood before the assistant. What is not in the archive has no numbers, but a digest of its text."""

    passage: int
    document: int
    title: str
    digest: str = ""

    @property
    def key(self) -> int | str:
        return self.passage or self.digest

    @property
    def source(self) -> int | str:
        """Its document, by the title where the archive has none."""
        return self.document or self.title


@dataclass(frozen=True, slots=True)
class Entry:
    """What a report reads of one conversation. `persona` is a row's id, or the text where there is no row."""

    messages: Sequence[Message]
    used: Sequence[Used] = ()
    persona: int | str | None = None
    judged: Judged | None = None
    offline: bool = False


@dataclass(frozen=True, slots=True)
class KnownPersona:
    name: str
    depth: int = 0
    derived: bool = False
    """Whether a model wrote it, from a document or from another persona."""


@dataclass(frozen=True, slots=True)
class Archive:
    """What the archive says of the ids that a tally has met."""

    personas: Mapping[int, KnownPersona] = field(default_factory=dict)
    documents: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    """Of those in `Tally.top_documents`: title and corpus."""
    corpora: Sequence[CorpusCoverage] = ()


@dataclass
class Tally:
    conversations: int = 0
    unreadable: int = 0
    offline: int = 0
    turns: int = 0
    no_persona: int = 0
    no_passage: int = 0
    quality: QualityTally = field(default_factory=QualityTally)
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    user_words: Counter[int] = field(default_factory=Counter)
    assistant_words: Counter[int] = field(default_factory=Counter)
    personas: BoundedCounter[int | str] = field(default_factory=lambda: BoundedCounter(KEYS))
    passages: BoundedCounter[int | str] = field(default_factory=lambda: BoundedCounter(KEYS))
    documents: BoundedCounter[int | str] = field(default_factory=lambda: BoundedCounter(KEYS))

    def add(self, entry: Entry) -> None:
        self.conversations += 1
        self.offline += entry.offline
        self.turns += turns(entry.messages)
        self._add_words(entry.messages)
        self._add_used(entry.used)
        self.quality.add(entry.judged)
        if entry.persona is None:
            self.no_persona += 1
        else:
            self.personas.add(entry.persona)

    def add_unreadable(self) -> None:
        self.conversations += 1
        self.unreadable += 1

    def _add_words(self, messages: Iterable[Message]) -> None:
        lengths = {"user": self.user_words, "assistant": self.assistant_words}
        for message in messages:
            if message.role in lengths and (words := split_words(message.content)):
                lengths[message.role][len(words)] += 1
                self.vocabulary.add(words)

    def _add_used(self, used: Iterable[Used]) -> None:
        """A passage counts once a conversation, however often it was looked up."""
        used = list(used)
        self.no_passage += not used
        for key in dict.fromkeys(one.key for one in used):
            self.passages.add(key)
        for source in dict.fromkeys(one.source for one in used):
            self.documents.add(source)

    # -- findings --

    @property
    def top_documents(self) -> list[tuple[int | str, int]]:
        return self.documents.top(TOP)

    def findings(self, archive: Archive) -> Findings:
        return Findings(
            summary=self._summary(),
            personas=self._personas(archive),
            coverage=self._coverage(archive),
            quality=self.quality.findings(),
            diversity=self.vocabulary.findings(),
            lengths=self._lengths(),
        )

    def _summary(self) -> ReportSummary:
        messages = self.user_words.total() + self.assistant_words.total()
        words = sum(length * times for one in (self.user_words, self.assistant_words) for length, times in one.items())
        return ReportSummary(
            conversations=self.conversations,
            unreadable=self.unreadable,
            offline=self.offline,
            turns=self.turns,
            messages=messages,
            words=words,
            words_per_message=words / messages if messages else None,
            personas=len(self.personas.counts),
            passages=len(self.passages.counts),
        )

    def _personas(self, archive: Archive) -> PersonaFindings:
        known = archive.personas
        depths: Counter[int] = Counter()
        for key, times in self.personas.counts.items():
            if isinstance(key, int) and key in known:
                depths[known[key].depth] += times
        derived = any(persona.derived for persona in known.values())
        return PersonaFindings(
            without=self.no_persona,
            top=tuple(_persona(key, times, known) for key, times in self.personas.top(TOP)),
            depths=tuple(Depth(depth=depth, conversations=depths[depth]) for depth in sorted(depths))
            if derived
            else (),
        )

    def _coverage(self, archive: Archive) -> CoverageFindings:
        corpora = archive.corpora
        once, more = sum(one.used_once for one in corpora), sum(one.used_more for one in corpora)
        return CoverageFindings(
            used_once=once,
            used_more=more,
            never=sum(one.never for one in corpora),
            corpora=tuple(corpora),
            outside=len(self.passages.counts) - once - more,
            without=self.no_passage,
            is_full=self.passages.is_full,
            documents=tuple(_document(key, times, archive.documents) for key, times in self.top_documents),
        )

    def _lengths(self) -> Lengths:
        edges = whole_edges(self.user_words + self.assistant_words)
        return Lengths(user=_length(self.user_words, edges), assistant=_length(self.assistant_words, edges))


def turns(messages: Sequence[Message]) -> int:
    """User messages that an assistant's message answers before the user speaks again."""
    answered, asked = 0, False
    for message in messages:
        if message.role == "user":
            asked = True
        elif message.role == "assistant" and asked:
            answered, asked = answered + 1, False
    return answered


def _length(numbers: Counter[int], edges: tuple[int, ...]) -> Length:
    messages = numbers.total()
    return Length(
        messages=messages,
        average=sum(number * times for number, times in numbers.items()) / messages if messages else None,
        median=quantile(numbers, 0.5),
        longest=max(numbers, default=None),
        bins=whole_bins(numbers, edges),
    )


def _persona(key: int | str, times: int, known: Mapping[int, KnownPersona]) -> Share:
    if isinstance(key, str):
        return Share(name=key, conversations=times)
    return Share(name=known[key].name if key in known else f"Persona {key}", conversations=times, id=key)


def _document(key: int | str, times: int, known: Mapping[int, tuple[str, int]]) -> DocumentShare:
    if isinstance(key, str):
        return DocumentShare(name=key or "A text without a title", conversations=times)
    if key not in known:
        return DocumentShare(name=f"Document {key}, which is no longer here", conversations=times)
    title, corpus = known[key]
    return DocumentShare(name=title, conversations=times, id=key, corpus=corpus)

"""The result of a report, as plain data: what its row keeps, its page shows and the API gives out."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Finding(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Bins(Finding):
    """A histogram: bin n holds `counts[n]` values from `edges[n]` to below `edges[n + 1]`; `names[n]` says so in words."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    names: tuple[str, ...]
    open_ended: bool = False
    """The last bin also holds whatever is above its upper edge."""


class Share(Finding):
    """How many conversations something has. `id` is that of its row, None where it has none."""

    name: str
    conversations: int
    id: int | None = None


class ReportSummary(Finding):
    conversations: int
    unreadable: int
    """Conversations whose stored messages cannot be read; they count in nothing else."""
    offline: int
    """Conversations that the offline model had a part in."""
    turns: int
    """User messages that an assistant's message answers."""
    messages: int
    """Messages of users and assistants that have words."""
    words: int
    words_per_message: float | None
    personas: int
    passages: int
    """Different passages that stood before the assistant in some conversation."""


class Depth(Finding):
    depth: int
    """Steps from the document that the personas come from."""
    conversations: int


class PersonaFindings(Finding):
    without: int
    """Conversations that name no persona."""
    top: tuple[Share, ...]
    depths: tuple[Depth, ...]
    """Empty where no persona was written from a document or from another persona."""


class DocumentShare(Share):
    corpus: int | None = None


class CorpusCoverage(Finding):
    """How many of a corpus's passages stood before the assistant in one conversation, in several, in none."""

    id: int
    name: str
    used_once: int
    used_more: int
    never: int


class CoverageFindings(Finding):
    """Of the passages that stood before the assistant, each counted once a conversation."""

    used_once: int
    """By a single conversation."""
    used_more: int
    never: int
    """Passages of `corpora` that no conversation used."""
    corpora: tuple[CorpusCoverage, ...]
    """Those that any used passage belongs to."""
    outside: int
    """Used passages that are in none of the project's corpora: of somebody else's collection, or replaced since."""
    without: int
    """Conversations that had no passage."""
    is_full: bool
    """There were more different passages than are counted: the numbers of used ones are too low."""
    documents: tuple[DocumentShare, ...]
    """The most used."""


class CriterionAverage(Finding):
    criterion: str
    average: float | None
    judged: int
    not_applicable: int


class QualityFindings(Finding):
    judged: int
    failed: int
    """Conversations whose judge gave no judgement."""
    unjudged: int
    average: float | None
    scores: Bins
    criteria: tuple[CriterionAverage, ...]
    grades: dict[str, int]


class Diversity(Finding):
    """Of the lower-case words of users and assistants. None where there are no words."""

    words: int
    vocabulary: int
    vocabulary_is_full: bool
    """There were more different words than have counts of their own; `vocabulary` and what follows from it are too low."""
    type_token_ratio: float | None
    entropy: float | None
    """Shannon's, in bits a word."""
    bigrams: int
    """Pairs of neighbouring words; a pair never reaches into another message."""
    distinct_2: float | None
    """Different pairs among all pairs."""
    repeated: float | None
    """Share of the pairs that occur more than once."""
    sampled: float
    """Share of the different pairs that were counted: below 1, the two before are estimates from a fair sample."""


class Length(Finding):
    """Words a message."""

    messages: int
    average: float | None
    median: int | None
    longest: int | None
    bins: Bins


class Lengths(Finding):
    """Both with the same bins."""

    user: Length
    assistant: Length


class Findings(Finding):
    summary: ReportSummary
    personas: PersonaFindings
    coverage: CoverageFindings
    quality: QualityFindings
    diversity: Diversity
    lengths: Lengths

"""Corpora: uploaded files, the documents read from them, and the passages that documents are cut into."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import PurePath
from typing import Literal, Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Coalesce
from django.utils import timezone

from .adopted import AdoptedCollection
from .people import Project, User


class CorpusQuerySet(models.QuerySet["Corpus"]):
    def with_totals(self) -> Self:
        """Adds the numbers of its files, documents and passages, and of files by how they stand, in one query."""
        return self.annotate(
            file_total=models.Count("files"),
            document_total=Coalesce(models.Sum("files__document_count"), 0),
            passage_total=Coalesce(models.Sum("files__passage_count"), 0),
            open_total=models.Count("files", filter=models.Q(files__state__in=SourceFile.OPEN)),
            reading_total=models.Count("files", filter=models.Q(files__state=SourceFile.State.READING)),
            waiting_total=models.F("open_total") - models.F("reading_total"),
            ready_total=models.Count("files", filter=models.Q(files__state=SourceFile.State.READY)),
            failed_total=models.Count("files", filter=models.Q(files__state=SourceFile.State.FAILED)),
        )


class CorpusManager(models.Manager["Corpus"]):
    """Leaves out corpora that somebody deleted and a worker has yet to clear away."""

    def get_queryset(self) -> CorpusQuerySet:
        return CorpusQuerySet(self.model, using=self._db).filter(deleted=None)

    def with_totals(self) -> CorpusQuerySet:
        return self.get_queryset().with_totals()


class Corpus(models.Model):
    """A body of documents that questions are asked about and answers are retrieved from."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="corpora")
    name = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    chunk_size = models.PositiveIntegerField(
        default=1200,
        validators=[MinValueValidator(200), MaxValueValidator(20_000)],
        help_text="Longest passage, in characters.",
    )
    chunk_overlap = models.PositiveIntegerField(
        default=150, validators=[MaxValueValidator(5_000)], help_text="Characters that neighbouring passages share."
    )
    adopted = models.OneToOneField(
        AdoptedCollection,
        models.PROTECT,
        null=True,
        editable=False,
        help_text="The collection that it is read from; none: from files.",
    )
    created = models.DateTimeField(auto_now_add=True)
    deleted = models.DateTimeField(null=True, editable=False, help_text="Since when it waits to be cleared away.")

    file_total: int
    document_total: int
    passage_total: int
    open_total: int
    reading_total: int
    waiting_total: int
    ready_total: int
    failed_total: int
    """What `with_totals` adds."""

    objects = CorpusManager()
    with_deleted = models.Manager()

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "corpora"
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], name="one_corpus_a_name", condition=models.Q(deleted=None)
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def collection(self) -> str:
        """The Qdrant collection that holds this corpus's passages."""
        return f"corpus-{self.pk}"


def upload_path(source: SourceFile, filename: str) -> str:
    """Files are kept under their content hash: a user's file name never becomes a path."""
    return f"corpora/{source.corpus_id}/{source.sha256}"


class SourceFileQuerySet(models.QuerySet["SourceFile"]):
    def open(self) -> Self:
        """Those that a worker still has something to do for."""
        return self.filter(state__in=SourceFile.OPEN)

    def free(self, now: datetime) -> Self:
        """Open ones that nobody holds at the moment."""
        return self.open().filter(models.Q(lease_until=None) | models.Q(lease_until__lt=now))

    def narrowed(self, state: str) -> Self:
        """Those in a state; "open" is any state that a worker has yet to end, and "" all of them."""
        return self.open() if state == "open" else self.filter(state=state) if state else self.all()

    def ask_reading(self, **changes: object) -> int:
        """Have them read from the beginning; whoever reads them now is shut out. Returns how many there were."""
        return self._begin(SourceFile.State.WAITING, **changes)

    def ask_deleting(self) -> int:
        """Have them cleared away; whoever reads them now is shut out."""
        return self._begin(SourceFile.State.DELETING)

    def _begin(self, state: str, **changes: object) -> int:
        fresh = {"progress": 0, "error": "", "problems": [], "problem_count": 0, "attempts": 0, "lease_until": None}
        fence = models.F("revision") + 1
        return self.update(state=state, revision=fence, updated=timezone.now(), **fresh, **changes)


class SourceFile(models.Model):
    """One uploaded file (or pasted text), and how far reading it has come."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        READING = "reading", "Reading"
        READY = "ready", "Ready"
        FAILED = "failed", "Failed"
        DELETING = "deleting", "Deleting"

    OPEN = (State.WAITING, State.READING, State.DELETING)
    ROWS = {".csv": "column", ".tsv": "column", ".tab": "column", ".jsonl": "content_key", ".ndjson": "content_key"}

    corpus = models.ForeignKey(Corpus, models.CASCADE, related_name="files", db_index=False)
    name = models.CharField(max_length=255)
    file = models.FileField(upload_to=upload_path, max_length=200)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    options = models.JSONField(default=dict, blank=True, help_text="Reading options: column, content_key.")
    columns = models.JSONField(
        default=list, blank=True, help_text="The columns or keys that its rows have, to pick from."
    )
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    progress = models.FloatField(default=0, help_text="Share of the file that has been read, 0 to 1.")
    error = models.TextField(blank=True, help_text="One sentence: what is wrong with the file and what to do.")
    problems = models.JSONField(default=list, blank=True, help_text="The first row problems: [[where, sentence], …].")
    problem_count = models.PositiveIntegerField(default=0)
    document_count = models.PositiveIntegerField(default=0)
    passage_count = models.PositiveIntegerField(default=0)
    revision = models.PositiveIntegerField(
        default=1,
        help_text="A fence: grows whenever the content, its cutting or its reader changes. Whoever began under an older "
        "number may write nothing more.",
    )
    lease_until = models.DateTimeField(
        null=True, blank=True, help_text="Until then it belongs to its reader, or rests before the next attempt."
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    objects = SourceFileQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["corpus", "name"], name="one_file_a_name")]
        indexes = [
            models.Index(
                fields=["created"],
                name="file_open",
                condition=models.Q(state__in=["waiting", "reading", "deleting"]),
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN

    @property
    def percent(self) -> int:
        return int(100 * self.progress)

    @property
    def option(self) -> str:
        """The reading option that says where the text of a row is; "" for a file that is one document, and a collection."""
        if not self.file:
            return ""
        return self.ROWS.get(PurePath(self.name).suffix.lower(), "")

    @property
    def picked(self) -> str:
        """The column or key that somebody chose; "" where the reader picks it."""
        return self.options.get(self.option, "")


class DocumentQuerySet(models.QuerySet["Document"]):
    def matching(self, *, title: str | None = None, file: int | None = None) -> Self:
        """Those with these words anywhere in their title, and of that file; None does not narrow."""
        narrowed = self if file is None else self.filter(source=file)
        for word in (title or "").split():
            narrowed = narrowed.filter(title__icontains=word)
        return narrowed

    def without_text(self) -> Self:
        """For lists: whatever may be long is left in the database."""
        return self.defer("text", "pages", "metadata")


class Document(models.Model):
    """One readable text: a whole PDF, or one row of a table. `key` tells the rows of a file apart."""

    corpus = models.ForeignKey(Corpus, models.CASCADE, related_name="documents", db_index=False)
    source = models.ForeignKey(SourceFile, models.CASCADE, related_name="documents", db_index=False)
    key = models.CharField(max_length=200, blank=True)
    external_id = models.CharField(max_length=200, blank=True, help_text="What it is called where it comes from.")
    title = models.CharField(max_length=300)
    text = models.TextField()
    pages = models.JSONField(default=list, help_text="Character offset at which each page begins.")
    metadata = models.JSONField(default=dict)
    characters = models.PositiveIntegerField()
    passage_count = models.PositiveIntegerField(default=0)
    revision = models.PositiveIntegerField(help_text="The revision of its file that it was last read from.")
    created = models.DateTimeField(auto_now_add=True)

    objects = DocumentQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["source", "key"], name="one_document_a_key")]
        indexes = [
            models.Index(fields=["corpus", "id"], name="document_by_corpus"),
            models.Index(fields=["source", "id"], name="document_by_source"),
        ]

    def __str__(self) -> str:
        return self.title

    def details(self) -> list[tuple[str, str]]:
        """What else its row said: names with values as short texts."""
        texts = (
            (name, value if isinstance(value, str) else json.dumps(value)) for name, value in self.metadata.items()
        )
        return [(name, text[:500]) for name, text in texts if text]

    def neighbour(self, step: Literal[-1, 1]) -> Document | None:
        """The one before or after it in its corpus."""
        others = Document.objects.without_text().filter(corpus=self.corpus_id)
        if step > 0:
            return others.filter(pk__gt=self.pk).order_by("pk").first()
        return others.filter(pk__lt=self.pk).order_by("-pk").first()


class Passage(models.Model):
    """A cut of a document: `document.text[start:end]`, with the page and heading that it stands under."""

    corpus = models.ForeignKey(Corpus, models.CASCADE, related_name="passages", db_index=False)
    document = models.ForeignKey(Document, models.CASCADE, related_name="passages", db_index=False)
    index = models.PositiveIntegerField()
    text = models.TextField()
    start = models.PositiveIntegerField()
    end = models.PositiveIntegerField()
    page = models.PositiveIntegerField(null=True)
    heading = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["document", "index"]
        constraints = [models.UniqueConstraint(fields=["document", "index"], name="one_passage_an_index")]
        indexes = [models.Index(fields=["corpus", "id"], name="passage_by_corpus")]

    def __str__(self) -> str:
        return f"{self.document_id}:{self.start}-{self.end}"

"""Corpora: uploaded files, the documents read from them, and the passages that documents are cut into."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from .people import Project, User


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
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "corpora"
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_corpus_a_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def collection(self) -> str:
        """The Qdrant collection that holds this corpus's passages."""
        return f"corpus-{self.pk}"


def upload_path(source: SourceFile, filename: str) -> str:
    """Files are kept under their content hash: a user's file name never becomes a path."""
    return f"corpora/{source.corpus_id}/{source.sha256}"


class SourceFile(models.Model):
    """One uploaded file (or pasted text), and how far reading it has come."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        READING = "reading", "Reading"
        READY = "ready", "Ready"
        FAILED = "failed", "Failed"

    corpus = models.ForeignKey(Corpus, models.CASCADE, related_name="files")
    name = models.CharField(max_length=255)
    file = models.FileField(upload_to=upload_path, max_length=200)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    options = models.JSONField(default=dict, blank=True, help_text="Reading options: column, content_key.")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    progress = models.FloatField(default=0, help_text="Share of the file that has been read, 0 to 1.")
    error = models.TextField(blank=True, help_text="One sentence: what is wrong with the file and what to do.")
    problems = models.JSONField(default=list, blank=True, help_text="The first row problems: [[where, sentence], …].")
    problem_count = models.PositiveIntegerField(default=0)
    document_count = models.PositiveIntegerField(default=0)
    passage_count = models.PositiveIntegerField(default=0)
    revision = models.PositiveIntegerField(default=1, help_text="Grows each time the content or its cutting changes.")
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["corpus", "name"], name="one_file_a_name")]
        indexes = [
            models.Index(
                fields=["created"],
                name="file_open",
                condition=models.Q(state__in=["waiting", "reading"]),
            )
        ]

    def __str__(self) -> str:
        return self.name


class Document(models.Model):
    """One readable text: a whole PDF, or one row of a table. `key` tells the rows of a file apart."""

    corpus = models.ForeignKey(Corpus, models.CASCADE, related_name="documents")
    source = models.ForeignKey(SourceFile, models.CASCADE, related_name="documents")
    key = models.CharField(max_length=200, blank=True)
    title = models.CharField(max_length=300)
    text = models.TextField()
    pages = models.JSONField(default=list, help_text="Character offset at which each page begins.")
    metadata = models.JSONField(default=dict)
    characters = models.PositiveIntegerField()
    passage_count = models.PositiveIntegerField(default=0)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["source", "key"], name="one_document_a_key")]
        indexes = [models.Index(fields=["corpus", "id"], name="document_by_corpus")]

    def __str__(self) -> str:
        return self.title


class Passage(models.Model):
    """A cut of a document: `document.text[start:end]`, with the page and heading that it stands under."""

    corpus = models.ForeignKey(Corpus, models.CASCADE, related_name="passages")
    document = models.ForeignKey(Document, models.CASCADE, related_name="passages")
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

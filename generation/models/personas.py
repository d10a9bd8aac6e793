"""Growing personas from documents: the state of that work lives in these rows, never in the queue."""

from __future__ import annotations

from decimal import Decimal

from django.db import models

from datasets.models import Corpus, Document, Persona, Project, User

from .endpoints import Endpoint
from .work import Costed, Leased, LeasedQuerySet


class PersonaGrowth(Costed):
    """One order: so many layers of personas from these documents, by this model.

    Prices are those of its beginning. The counters are kept by the transactions that land the rows they count.
    """

    class State(models.TextChoices):
        RUNNING = "running", "Growing"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    project = models.ForeignKey(Project, models.CASCADE, related_name="persona_growths")
    corpus = models.ForeignKey(Corpus, models.SET_NULL, null=True, related_name="+")
    corpus_name = models.CharField(max_length=100)
    endpoint = models.ForeignKey(Endpoint, models.SET_NULL, null=True, related_name="+")
    endpoint_name = models.CharField(max_length=100)
    model = models.CharField(max_length=150)
    offline = models.BooleanField(default=False)
    documents = models.PositiveIntegerField(help_text="How many documents it began with.")
    depth = models.PositiveSmallIntegerField(help_text="The deepest layer: 0 is five personas a document.")
    concurrency = models.PositiveSmallIntegerField(default=8)
    prompt_price = models.DecimalField(max_digits=12, decimal_places=6, default=0)
    completion_price = models.DecimalField(max_digits=12, decimal_places=6, default=0)
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    reason = models.TextField(blank=True, help_text="Why it failed or ended early, in a sentence.")
    personas = models.PositiveIntegerField(default=0)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)
    finished = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["project", "-id"], name="growth_newest"),
            models.Index(fields=["id"], name="growth_active", condition=models.Q(state="running")),
        ]

    def __str__(self) -> str:
        return f"Personas from {self.corpus_name}"

    @property
    def pieces(self) -> LeasedQuerySet[PersonaBranch]:
        return self.branches.all()

    def price_of(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        return (self.prompt_price * prompt_tokens + self.completion_price * completion_tokens) / 1_000_000


class PersonaBranch(Leased):
    """One step of a growth: five personas from a document, or five more from one of its personas."""

    doing = "writing these personas"

    growth = models.ForeignKey(PersonaGrowth, models.CASCADE, related_name="branches", db_index=False)
    document = models.ForeignKey(Document, models.CASCADE, related_name="+")
    persona = models.ForeignKey(Persona, models.CASCADE, null=True, related_name="+")
    depth = models.PositiveSmallIntegerField(default=0, help_text="The layer of the personas that it makes.")

    objects = LeasedQuerySet["PersonaBranch"].as_manager()

    class Meta:
        ordering = ["depth", "pk"]
        verbose_name_plural = "persona branches"
        indexes = [models.Index(fields=["growth", "state", "depth", "id"], name="branch_by_state")]

    def __str__(self) -> str:
        return f"{self.growth_id}#{self.pk}"

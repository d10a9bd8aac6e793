"""Runs and their slots: the state of all generation lives in these rows, never in the queue."""

from __future__ import annotations

from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models

from datasets.models import Batch, Conversation, Corpus, Persona, PersonaVersion, Project, User

from .endpoints import Endpoint
from .work import Costed, Leased, LeasedQuerySet


class Recipe(models.Model):
    """A named run configuration. `spec` is a `generation.engine.recipe.Recipe` as JSON."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="recipes")
    name = models.CharField(max_length=100)
    spec = models.JSONField()
    author = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_recipe_a_name")]

    def __str__(self) -> str:
        return self.name


class RunQuerySet(models.QuerySet["Run"]):
    def before(self, pk: str | None) -> Self:
        """Those older than run `pk`, as a list page's address gives it; all of them when it gives none."""
        return self.filter(pk__lt=int(pk)) if pk and pk.isdecimal() else self


class Run(Costed):
    """A launched recipe, frozen: what it was made from can change later without changing the run.

    `spec` is the recipe; `frozen` holds every text and name that it pointed to (`generation.adapters.Frozen`).
    The counters are kept by the same transactions that land the rows they count.
    """

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        PAUSED = "paused", "Paused"
        STOPPED = "stopped", "Stopped"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"
        DONE = "done", "Done"

    project = models.ForeignKey(Project, models.CASCADE, related_name="runs")
    batch = models.OneToOneField(Batch, models.CASCADE, related_name="run")
    name = models.CharField(max_length=120)
    recipe = models.ForeignKey(Recipe, models.SET_NULL, null=True, related_name="runs")
    corpus = models.ForeignKey(Corpus, models.SET_NULL, null=True, related_name="runs")
    spec = models.JSONField()
    frozen = models.JSONField()
    offline = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    reason = models.TextField(blank=True, help_text="Why the run stopped or failed, in a sentence.")
    slots_total = models.PositiveIntegerField()
    slots_done = models.PositiveIntegerField(default=0)
    slots_failed = models.PositiveIntegerField(default=0)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)
    started = models.DateTimeField(null=True, help_text="When the first slot was claimed.")
    finished = models.DateTimeField(null=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["project", "-id"], name="run_newest"),
            models.Index(fields=["id"], name="run_active", condition=models.Q(state="running")),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def pieces(self) -> LeasedQuerySet[Slot]:
        return self.slots.all()

    @property
    def concurrency(self) -> int:
        return int(self.spec["concurrency"])

    @property
    def slots_open(self) -> int:
        """Slots that are neither done nor failed."""
        return self.slots_total - self.slots_done - self.slots_failed


class Slot(Leased):
    """One promised conversation of a run: exactly N slots, N results."""

    doing = "making this conversation"

    run = models.ForeignKey(Run, models.CASCADE, related_name="slots")
    index = models.PositiveIntegerField()
    seed = models.BigIntegerField()
    turns = models.PositiveSmallIntegerField()
    context = ArrayField(models.BigIntegerField(), default=list, help_text="Reserved passages.")
    persona = models.ForeignKey(Persona, models.SET_NULL, null=True, related_name="+")
    persona_version = models.ForeignKey(
        PersonaVersion,
        models.SET_NULL,
        null=True,
        related_name="+",
        db_index=False,
        help_text="Of its persona, as it was at the launch; none where the frozen recipe holds the text.",
    )
    batch = models.PositiveIntegerField(default=0, help_text="Slots of a batch have their questions written together.")
    leads = models.BooleanField(default=True, help_text="Whether it has its question written; others wait for theirs.")
    opening = models.TextField(blank=True, help_text="Its first question, once there is one.")
    sketch = ArrayField(models.BigIntegerField(), default=list, help_text="By which near-duplicates of it are found.")
    error_kind = models.CharField(max_length=10, blank=True)
    conversation = models.OneToOneField(Conversation, models.SET_NULL, null=True, related_name="slot")
    delivered = models.BooleanField(default=True, help_text="Whether the sinks of the recipe have the conversation.")

    objects = LeasedQuerySet["Slot"].as_manager()

    class Meta:
        ordering = ["index"]
        constraints = [models.UniqueConstraint(fields=["run", "index"], name="one_slot_an_index")]
        indexes = [
            models.Index(fields=["run", "index"], name="slot_pending", condition=models.Q(state="pending")),
            models.Index(fields=["run", "lease_until"], name="slot_running", condition=models.Q(state="running")),
            models.Index(fields=["run", "-updated"], name="slot_failed", condition=models.Q(state="failed")),
            models.Index(fields=["run", "batch"], name="slot_waiting", condition=models.Q(leads=False, opening="")),
            models.Index(fields=["run", "id"], name="slot_undelivered", condition=models.Q(delivered=False)),
            models.Index(
                fields=["run", "updated"],
                name="slot_ended",
                condition=models.Q(state="done") | ~models.Q(error_kind=""),
            ),
            GinIndex(fields=["sketch"], name="slot_sketch", fastupdate=False),
        ]

    def __str__(self) -> str:
        return f"{self.run_id}#{self.index}"


class Call(models.Model):
    """One request to a model: a line of the ledger. The texts are in the version's trace."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="calls")
    run = models.ForeignKey(Run, models.CASCADE, null=True, related_name="ledger", db_index=False)
    slot = models.PositiveIntegerField(null=True, help_text="Index of the run's slot that it was made for.")
    endpoint = models.ForeignKey(Endpoint, models.SET_NULL, null=True, related_name="calls")
    operation = models.CharField(max_length=20)
    model = models.CharField(max_length=150)
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    latency_ms = models.PositiveIntegerField(default=0)
    tries = models.PositiveSmallIntegerField(default=1)
    finish = models.CharField(
        max_length=40, blank=True, default="", help_text="Why the reply ended, in the server's word."
    )
    cost = models.DecimalField(max_digits=12, decimal_places=6, default=0)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["project", "-id"], name="call_newest"),
            models.Index(fields=["run", "created"], name="call_by_run"),
            models.Index(fields=["project", "created"], name="call_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.operation} · {self.model}"

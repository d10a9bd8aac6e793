"""Conversations that a person wants better: proposals made by workers, each accepted or declined by a person."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import F, Q

from datasets.models import Conversation, Project, Status, User, Version

from .work import Costed, Leased, LeasedQuerySet


class Improvement(Costed):
    """One order: these conversations, in this way. `spec` is a `generation.engine.mending.Mending` as JSON.

    `frozen` holds the models and prices of each batch as they were when it was started (`generation.frozen.Casts`).
    The counters are kept by the same transactions that land the rows they count.
    """

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    project = models.ForeignKey(Project, models.CASCADE, related_name="improvements")
    filter = models.JSONField(
        default=dict, help_text="The conversation filter that was meant, as its query parameters."
    )
    spec = models.JSONField()
    frozen = models.JSONField()
    offline = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    reason = models.TextField(blank=True, help_text="Why it failed or ended early, in a sentence.")
    total = models.PositiveIntegerField(help_text="Conversations that it was asked for.")
    made = models.PositiveIntegerField(default=0, help_text="Proposals made, whatever became of them.")
    failed = models.PositiveIntegerField(default=0)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)
    started = models.DateTimeField(null=True, help_text="When the first conversation was claimed.")
    finished = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["project", "-id"], name="improvement_newest"),
            models.Index(fields=["id"], name="improvement_active", condition=Q(state="running")),
        ]

    def __str__(self) -> str:
        return f"Improvement {self.pk}"

    @property
    def pieces(self) -> LeasedQuerySet[ImprovementItem]:
        return self.items.all()

    @property
    def concurrency(self) -> int:
        return int(self.spec["concurrency"])

    @property
    def left(self) -> int:
        """Conversations without a proposal and without a failure."""
        return self.total - self.made - self.failed


class ImprovementItemQuerySet(LeasedQuerySet["ImprovementItem"]):
    def undecided(self) -> Self:
        return self.filter(state=ImprovementItem.State.PROPOSED)

    def shown(self) -> Self:
        """Those that there is a proposal of."""
        return self.exclude(proposal=None)

    def better(self) -> Self:
        """Proposals that score higher than what they would replace, of conversations that nobody changed since."""
        return self.undecided().filter(after__gt=F("before"), conversation__head=F("base"))


class ImprovementItem(Leased):
    """One conversation of an improvement. `base` is the version that its proposal was made from."""

    doing = "improving this conversation"

    class State(models.TextChoices):
        PENDING = "pending", "Waiting"
        RUNNING = "running", "Running"
        PROPOSED = "proposed", "Proposed"
        ACCEPTED = "accepted", "Accepted"
        DECLINED = "declined", "Declined"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    improvement = models.ForeignKey(Improvement, models.CASCADE, related_name="items", db_index=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="+")
    base = models.ForeignKey(Version, models.CASCADE, related_name="+")
    proposal = models.ForeignKey(Version, models.SET_NULL, null=True, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    before = models.FloatField(null=True, help_text="The judge's overall score of the base, 0 to 1.")
    after = models.FloatField(null=True, help_text="The judge's overall score of the proposal.")
    previous = models.CharField(max_length=10, choices=Status, blank=True, help_text="Its status before accepting.")
    decided_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    decided = models.DateTimeField(null=True)

    objects = ImprovementItemQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["improvement", "conversation"], name="one_item_a_conversation"),
        ]
        indexes = [
            models.Index(fields=["improvement", "state", "id"], name="item_by_state"),
            models.Index(fields=["lease_until"], name="item_running", condition=Q(state="running")),
        ]

    def __str__(self) -> str:
        return f"{self.improvement_id}: {self.conversation_id}"
